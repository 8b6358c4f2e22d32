// The program behind directrun.ts: a model file as argument, an Open Inference Protocol request on stdin, the outputs
// as JSON on stdout.
import { text } from 'node:stream/consumers'
import { InferenceSession, Tensor } from 'onnxruntime-node'

interface Input {
  readonly name: string
  readonly shape: number[]
  readonly datatype: string
  readonly data: number[]
}

const tensorOf = ({ datatype, data, shape }: Input): Tensor => {
  if (datatype === 'FP32') return new Tensor('float32', Float32Array.from(data), shape)
  if (datatype === 'INT64') return new Tensor('int64', BigInt64Array.from(data, BigInt), shape)
  throw new Error(`a direct run knows FP32 and INT64, not ${datatype}`)
}

const [, , model = ''] = process.argv
const { inputs } = JSON.parse(await text(process.stdin)) as { inputs: Input[] }
const session = await InferenceSession.create(model)
const outputs = await session.run(Object.fromEntries(inputs.map((input) => [input.name, tensorOf(input)])))
const values = Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data as Float32Array)])
console.log(JSON.stringify(Object.fromEntries(values)))
