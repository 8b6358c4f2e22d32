/**
 * What a wire format must offer: bytes to tensors and back. One file per format implements it; engines never see bytes.
 */
import type { Signature, Tensor } from '../tensor.ts'

/** The model a request is for, as its answer names it. */
export interface ModelIdentity {
  readonly name: string
  readonly version: string
  readonly signature: Signature
}

export interface InferenceRequest {
  /** Echoed in the answer when the client gave one. */
  readonly id: string | undefined
  /** One tensor for every input of the signature, in its order. */
  readonly inputs: readonly Tensor[]
  /** Names of the outputs to answer, in the order to answer them. */
  readonly outputs: readonly string[]
}

export interface InferenceAnswer {
  readonly id: string | undefined
  readonly outputs: readonly Tensor[]
}

export interface Codec {
  readonly contentType: string
  /** @throws Fault for everything that is wrong with the request. */
  decode(body: Uint8Array<ArrayBuffer>, model: ModelIdentity): InferenceRequest
  encode(answer: InferenceAnswer, model: ModelIdentity): Uint8Array<ArrayBuffer>
}
