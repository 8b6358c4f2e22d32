/**
 * The wire formats by name. A name travels to the worker, with the options of one request; the code runs there.
 */
import type { Codec, InferenceRequest, ModelIdentity } from './codec.ts'
import { oipRest } from './oip-rest.ts'

const codecs = { 'oip-rest': oipRest } as const satisfies Record<string, Codec<never>>

export type CodecName = keyof typeof codecs

/** How a body is written: a format, and what its headers and path say about it. Can be cloned to another thread. */
export type Wire = { [Name in CodecName]: { readonly codec: Name; readonly options: OptionsOf<Name> } }[CodecName]

type OptionsOf<Name extends CodecName> = Parameters<(typeof codecs)[Name]['decode']>[2]

/**
 * Reads a request.
 * @throws Fault for everything that is wrong with it
 */
export function decode(wire: Wire, body: Uint8Array<ArrayBuffer>, model: ModelIdentity): InferenceRequest {
  const codec: Codec<Wire['options']> = codecs[wire.codec]
  return codec.decode(body, model, wire.options)
}
