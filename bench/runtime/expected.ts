// What a model answers without any server, and whether a server answers the same: a fast wrong answer is no answer.
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { ModelInferResponse } from '../../runtime/grpc/api/inference.ts'
import { decode } from '../../runtime/grpc/protobuf/message.ts'
import type { Model } from './models.ts'
import type { Feed, Form } from './requests.ts'

/** The values of each output. */
export type Values = Readonly<Record<string, ArrayLike<number>>>

/** The outputs for each of a model's requests, by a session in this process. */
export async function directAnswers(file: string, { requests }: Model): Promise<readonly Values[]> {
  const session = await InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const answers: Values[] = []
  for (const feeds of requests) {
    const results = await session.run(Object.fromEntries(feeds.map(tensorOf))) // oxlint-disable-line no-await-in-loop
    answers.push(Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array])))
  }
  await session.release()
  return answers
}

const tensorOf = (feed: Feed): readonly [string, Tensor] => [
  feed.name,
  feed.datatype === 'FP32' ? new Tensor('float32', feed.data, feed.shape) : new Tensor('int64', feed.data, feed.shape),
]

/**
 * Compares an answer with what a direct run gave. Another build of ONNX Runtime may add in another order, so numbers may
 * differ by a thousandth.
 * @throws Error naming the output that is missing, or has other numbers
 */
export function checkAnswer(bytes: Uint8Array, form: Form, expected: Values): void {
  const found = valuesIn(bytes, form, expected)
  for (const [name, wanted] of Object.entries(expected)) {
    const values = found[name]
    if (values === undefined) throw new Error(`its answer has no output ${name}`)
    if (values.length !== wanted.length)
      throw new Error(`it answers ${values.length} numbers for ${name}, and a direct run ${wanted.length}`)
    for (let at = 0; at < wanted.length; at += 1) {
      const [ours = NaN, theirs = NaN] = [wanted[at], values[at]]
      // NaN is never near.
      if (!(Math.abs(ours - theirs) <= 1e-3 * (1 + Math.abs(ours))))
        throw new Error(`it answers ${theirs} at place ${at} of ${name}, and a direct run ${ours}`)
    }
  }
}

interface Answer {
  readonly outputs: readonly { readonly name: string; readonly data?: readonly number[] }[]
}

function valuesIn(bytes: Uint8Array, form: Form, expected: Values): Values {
  if (form === 'grpc') {
    const { outputs, raw_output_contents: raw } = decode(ModelInferResponse, Uint8Array.from(bytes))
    return Object.fromEntries(
      outputs.map(({ name, contents }, at) => [
        name,
        raw[at] === undefined ? contents?.fp32_contents : floats(raw[at]),
      ]),
    ) as Values
  }
  // The header that says where the JSON ends is not at hand; where the tensors begin is known from what they must be.
  const binary = form === 'binary' ? Object.values(expected).reduce((sum, { length }) => sum + length * 4, 0) : 0
  const head = Buffer.from(bytes.subarray(0, bytes.byteLength - binary)).toString()
  const { outputs } = JSON.parse(head) as Answer
  if (form === 'json') return Object.fromEntries(outputs.map(({ name, data = [] }) => [name, data]))
  let at = bytes.byteLength - binary
  return Object.fromEntries(
    outputs.map(({ name }) => {
      const from = at
      at += (expected[name]?.length ?? 0) * 4
      return [name, floats(bytes.subarray(from, at))]
    }),
  )
}

/** Little-endian floats at any offset. */
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(Uint8Array.from(bytes).buffer)
