// What a model is asked, in each form of the protocol. Pure.
import { encode } from '../../runtime/grpc/protobuf/message.ts'
import { ModelInferRequest } from '../../runtime/grpc/api/inference.ts'

/** One input of a request. */
export type Feed = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly datatype: 'FP32'; readonly data: Float32Array<ArrayBuffer> }
  | { readonly datatype: 'INT64'; readonly data: BigInt64Array<ArrayBuffer> }
)

export const forms = ['json', 'binary', 'grpc'] as const
export type Form = (typeof forms)[number]

/** A request as it is sent. */
export interface Body {
  readonly bytes: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** Numbers in [-scale, scale] that are the same on every machine and run. */
export function numbers(count: number, scale: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count)
  let state = seed >>> 0 || 1
  for (let at = 0; at < count; at += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    values[at] = ((state >>> 0) / 2 ** 31 - 1) * scale
  }
  return values
}

/** The values that every request of a shape carries; short ones, as rounded measurements are. */
export const shortNumbers = (shape: readonly number[]): Float32Array<ArrayBuffer> =>
  numbers(
    shape.reduce((a, b) => a * b, 1),
    1,
    17,
  ).map((value) => Math.round(value * 1e6) / 1e6)

/** What of a model its requests are made from. */
interface Asking {
  readonly requests: readonly (readonly Feed[])[]
  readonly outputs: readonly { readonly name: string }[]
}

/** A model's requests as the Open Inference Protocol has them, all outputs wanted in the same form. */
export const bodiesOf = ({ requests, outputs }: Asking, form: Form): readonly Body[] =>
  requests.map((feeds) =>
    bodyOf(
      feeds,
      outputs.map(({ name }) => name),
      form,
    ),
  )

function bodyOf(feeds: readonly Feed[], outputs: readonly string[], form: Form): Body {
  const tensors = feeds.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  if (form === 'grpc') {
    const message = {
      model_name: 'm',
      inputs: feeds.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) })),
      raw_input_contents: tensors,
    }
    return { bytes: encode(ModelInferRequest, message), headers: {} }
  }
  const described = feeds.map(({ name, datatype, shape }) => ({ name, shape, datatype }))
  if (form === 'json') {
    const inputs = feeds.map(({ data }, at) => ({
      ...described[at],
      data: Array.from<number | bigint, number>(data, short),
    }))
    return { bytes: Buffer.from(JSON.stringify({ inputs })), headers: { 'content-type': 'application/json' } }
  }
  const head = Buffer.from(
    JSON.stringify({
      inputs: described.map((one, at) => ({ ...one, parameters: { binary_data_size: tensors[at]?.byteLength } })),
      outputs: outputs.map((name) => ({ name, parameters: { binary_data: true } })),
    }),
  )
  return {
    bytes: Buffer.concat([head, ...tensors]),
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) },
  }
}

/** As somebody writes it who rounds to a millionth. */
const short = (value: number | bigint): number => Number(Number(value).toFixed(6))
