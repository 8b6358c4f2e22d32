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

/** A request parameter of the protocol: flat, never nested. 64-bit integers of gRPC are bigint. */
export type Parameter = string | number | boolean | bigint

/** A request as the worker holds it between decoding and encoding. It stays in its thread. */
export interface InferenceRequest {
  /** Echoed in the answer when the client gave one. */
  readonly id: string | undefined
  /** One tensor for every input of the signature, in its order. */
  readonly inputs: readonly Tensor[]
  /** Names of the outputs the model must compute, each once, in the order of the answer. */
  readonly outputs: readonly string[]
  /** The request's own parameters, such as `priority` and `timeout` (microseconds). Sequences are refused before. */
  readonly parameters: Readonly<Record<string, Parameter>>
  /**
   * Writes the answer in the form that this request asked for.
   * @param outputs the tensors of `outputs`, in that order
   */
  answer(outputs: readonly Tensor[]): Encoded
}

/** An answer as it goes over the wire. */
export interface Encoded {
  /** Owns its buffer, which is transferred. */
  readonly body: Uint8Array<ArrayBuffer>
  /** Headers in lower case, `content-type` among them; gRPC has none. */
  readonly headers: Readonly<Record<string, string>>
}

/** @typeParam Options what the codec must know beside the body, from headers and path; plain data that can be cloned */
export interface Codec<Options> {
  /** @throws Fault for everything that is wrong with the request. */
  decode(body: Uint8Array<ArrayBuffer>, model: ModelIdentity, options: Options): InferenceRequest
}
