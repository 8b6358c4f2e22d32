// What the soak asks, in each form of the protocol. Every request carries values of its own, so that an answer to somebody
// else is seen.
import grpcJs from '@grpc/grpc-js'
import { Agent, request } from 'undici'
import { inferenceClient } from '../../test/fixtures/grpc.ts'
import { onnxModel, type ElementType } from '../../test/fixtures/onnx.ts'
import type { Server } from '../../test/fixtures/runtime.ts'

const types = [
  ['FP32', 'FLOAT', Float32Array],
  ['FP64', 'DOUBLE', Float64Array],
  ['INT32', 'INT32', Int32Array],
  ['UINT8', 'UINT8', Uint8Array],
] as const satisfies readonly (readonly [string, ElementType, unknown])[]

/** `y_<TYPE>` is `x_<TYPE>`, with a batch dimension and a free one. */
export const soakModel = onnxModel({
  nodes: types.map(([type]) => ({ op: 'Identity', inputs: [`x_${type}`], outputs: [`y_${type}`] })),
  inputs: types.map(([type, element]) => ({ name: `x_${type}`, type: element, shape: ['batch', 'n'] })),
  outputs: types.map(([type, element]) => ({ name: `y_${type}`, type: element, shape: ['batch', 'n'] })),
})

/** Of 100 requests so many are given up before their answer. */
const disconnects = 5

/** One tensor of values that nobody else sends, and the form that it is sent in. */
export interface Question {
  readonly form: 'json' | 'binary' | 'grpc'
  readonly datatype: string
  readonly shape: readonly [number, number]
  readonly data: Float32Array | Float64Array | Int32Array | Uint8Array
  /** Gives up after so long; undefined waits for the answer. */
  readonly leavesAfterMs: number | undefined
}

/** A question that nobody else asks, from its two numbers. */
export function invent(lane: number, count: number): Question {
  const [datatype, , kind] = types[(lane + count) % types.length] ?? types[0]
  // Mostly small; every 50th has some 100 KB.
  const shape = count % 50 === 0 ? ([2, 12_800] as const) : ([1 + (count % 3), 1 + (count % 7) * 5] as const)
  const base = (lane * 31 + count * 7) % 251
  const data = kind.from(Array.from({ length: shape[0] * shape[1] }, (_, at) => (base + at) % 251))
  const leaves = (lane * 13 + count * 29) % 100 < disconnects
  // The large ones come in all forms too: 50 is no multiple of 3.
  const form = (['json', 'binary', 'grpc'] as const)[count % 3] ?? 'json'
  return { form, datatype, shape, data, leavesAfterMs: leaves ? 1 + (count % 5) : undefined }
}

/** Asks a server over both protocols. */
export interface SoakClient {
  /** What was wrong with the answer, in words; undefined when it was right. */
  ask(question: Question, signal: AbortSignal): Promise<string | undefined>
  close(): Promise<void>
}

/** @param users how many ask at once */
export function connect(server: Pick<Server, 'url' | 'grpcAddress'>, users: number): SoakClient {
  const agent = new Agent({ connections: users * 2 })
  const grpc = inferenceClient(server.grpcAddress)
  const overHttp = async (question: Question, signal: AbortSignal): Promise<string | undefined> => {
    const { body, headers } = question.form === 'json' ? jsonOf(question) : binaryOf(question)
    const url = `${server.url}/v2/models/m/infer`
    const answer = await request(url, { method: 'POST', body, headers, dispatcher: agent, signal })
    const bytes = Buffer.from(await answer.body.arrayBuffer())
    if (answer.statusCode !== 200) return `${answer.statusCode} ${bytes.toString('utf8').slice(0, 200)}`
    const found = question.form === 'json' ? numbersOf(bytes) : bytes.subarray(Number(answer.headers[headLength] ?? 0))
    return isAnswer(question, found) ? undefined : stranger
  }
  const overGrpc = async (question: Question, signal: AbortSignal): Promise<string | undefined> => {
    const { code, details, response } = await grpc.call('ModelInfer', messageOf(question), { signal })
    if (code !== grpcJs.status.OK) return `gRPC status ${code}: ${details}`
    const [found] = (response?.['raw_output_contents'] ?? []) as readonly Buffer[]
    return found !== undefined && isAnswer(question, found) ? undefined : stranger
  }
  return {
    async ask(question, signal) {
      try {
        return await (question.form === 'grpc' ? overGrpc : overHttp)(question, signal)
      } catch (error) {
        return error instanceof Error ? error.message : String(error)
      }
    },
    async close() {
      grpc.close()
      await agent.close()
    },
  }
}

const stranger = 'an answer with the values of somebody else'
const headLength = 'inference-header-content-length'

const bytesOf = ({ data }: Question): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength)

/** Numbers, or the bytes of a tensor. */
function isAnswer(question: Question, found: readonly number[] | Buffer): boolean {
  if (Buffer.isBuffer(found)) return bytesOf(question).equals(found)
  return found.length === question.data.length && found.every((value, at) => value === question.data[at])
}

const numbersOf = (bytes: Buffer): readonly number[] => {
  const { outputs } = JSON.parse(bytes.toString()) as { outputs: readonly { data: number[] }[] }
  return outputs[0]?.data ?? []
}

/** Every input has to come; the others are as small as they may be. */
const others = ({ datatype, shape: [rows] }: Question) =>
  types.flatMap(([other, , kind]) =>
    other === datatype ? [] : [{ name: `x_${other}`, shape: [rows, 1], datatype: other, data: new kind(rows) }],
  )

const own = ({ datatype, shape }: Question) => ({ name: `x_${datatype}`, shape, datatype })

const plain = (question: Question) => others(question).map((one) => ({ ...one, data: Array.from(one.data) }))

function jsonOf(question: Question): { body: Buffer; headers: Record<string, string> } {
  const inputs = [{ ...own(question), data: Array.from(question.data) }, ...plain(question)]
  const body = Buffer.from(JSON.stringify({ inputs, outputs: [{ name: `y_${question.datatype}` }] }))
  return { body, headers: { 'content-type': 'application/json' } }
}

function binaryOf(question: Question): { body: Buffer; headers: Record<string, string> } {
  const tensor = bytesOf(question)
  const inputs = [{ ...own(question), parameters: { binary_data_size: tensor.length } }, ...plain(question)]
  const outputs = [{ name: `y_${question.datatype}`, parameters: { binary_data: true } }]
  const head = Buffer.from(JSON.stringify({ inputs, outputs }))
  return {
    body: Buffer.concat([head, tensor]),
    headers: { 'content-type': 'application/octet-stream', [headLength]: String(head.length) },
  }
}

function messageOf(question: Question): object {
  const small = others(question)
  return {
    model_name: 'm',
    inputs: [own(question), ...small.map(({ name, shape, datatype }) => ({ name, shape, datatype }))],
    raw_input_contents: [
      bytesOf(question),
      ...small.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
    ],
    outputs: [{ name: `y_${question.datatype}` }],
  }
}
