/**
 * The wire formats by name. A name travels to the worker, with the options of one request; the code runs there.
 */
import { dataOfEvent, eventOf, type EventMode } from './cloudevent.ts'
import type { Codec, InferenceRequest, ModelIdentity } from './codec.ts'
import { kserveV1 } from './kserve-v1.ts'
import { oipGrpc } from './oip-grpc.ts'
import { oipRest } from './oip-rest.ts'
import { textRoom } from './textroom.ts'
import { torchserve } from './torchserve.ts'

const codecs = {
  'oip-rest': oipRest,
  'oip-grpc': oipGrpc,
  'kserve-v1': kserveV1,
  torchserve,
} as const satisfies Record<string, Codec<never>>

export type CodecName = keyof typeof codecs

/** How a body is written: a format, and what its headers and path say about it. Can be cloned to another thread. */
export type Wire = {
  [Name in CodecName]: {
    readonly codec: Name
    readonly options: OptionsOf<Name>
    /** Set when the request came as a CloudEvent, and the answer must be one. */
    readonly event?: EventMode
  }
}[CodecName]

type OptionsOf<Name extends CodecName> = Parameters<(typeof codecs)[Name]['decode']>[2]

/**
 * Reads a request.
 * @throws Fault for everything that is wrong with it
 */
export function decode(wire: Wire, body: Uint8Array<ArrayBuffer>, model: ModelIdentity): InferenceRequest {
  textRoom.begin()
  const { event } = wire
  const codec: Codec<Wire['options']> = codecs[wire.codec]
  if (event === undefined) return codec.decode(body, model, wire.options)
  const request = codec.decode(event === 'structured' ? dataOfEvent(body) : body, model, wire.options)
  return { ...request, answer: (outputs) => eventOf(request.answer(outputs), event, model.name) }
}
