// The answer that a model gives without any server: onnxruntime on the same file and the same request.
import { InferenceSession, Tensor } from 'onnxruntime-node'

interface Request {
  readonly inputs: readonly {
    readonly name: string
    readonly shape: number[]
    readonly datatype: string
    readonly data: number[]
  }[]
}

/**
 * Runs an Open Inference Protocol request (FP32 and INT64 inputs, flat data) directly.
 *
 * @returns every output's values by name; compare answers with `sameFloats`
 */
export const directRun = async (model: string, request: string): Promise<Record<string, number[]>> => {
  const session = await InferenceSession.create(model)
  const { inputs } = JSON.parse(request) as Request
  const feeds = Object.fromEntries(inputs.map((input) => [input.name, tensorOf(input)]))
  const outputs = await session.run(feeds)
  await session.release()
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data as Float32Array)]))
}

/** True when both are the same 32-bit floats; an answer may print them with fewer digits than a 64-bit float has. */
export const sameFloats = (answer: readonly number[], direct: readonly number[]): boolean =>
  answer.length === direct.length && answer.every((value, i) => Math.fround(value) === direct[i])

const tensorOf = ({ datatype, data, shape }: Request['inputs'][number]): Tensor => {
  if (datatype === 'FP32') return new Tensor('float32', Float32Array.from(data), shape)
  if (datatype === 'INT64') return new Tensor('int64', BigInt64Array.from(data, BigInt), shape)
  throw new Error(`directRun knows FP32 and INT64, not ${datatype}`)
}
