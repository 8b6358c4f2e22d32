import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { identityModel } from '../test/fixtures/onnx.ts'
import { startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)
const model = identityModel('FLOAT', ['n', 2])
let server: Server
let keeping: Server
beforeAll(async () => {
  server = await startServer(model)
  keeping = await startServer(model, { SLIPWAY_CACHE_MAX_BYTES: String(64 * 2 ** 20) })
  await Promise.all([server.ready(), keeping.ready()])
})
afterAll(() => Promise.all([server.stop(), keeping.stop()]))

/** Whether the numbers of a request came back. */
const ask = async (
  rows: number,
  seed: number,
  form: 'binary' | 'json' | 'chunked',
  { url }: Server = server,
): Promise<string> => {
  const floats = Float32Array.from({ length: rows * 2 }, (_, at) => seed + at / 1024)
  const input = { name: 'x', datatype: 'FP32', shape: [rows, 2] }
  const binary = { inputs: [{ ...input, parameters: { binary_data_size: floats.byteLength } }] }
  const head = Buffer.from(JSON.stringify({ ...binary, parameters: { binary_data_output: true } }))
  const bytes = Buffer.concat([head, Buffer.from(floats.buffer)])
  const json = JSON.stringify({ inputs: [{ ...input, data: [...floats] }], parameters: { binary_data_output: true } })
  const chunked = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += 50_000) controller.enqueue(bytes.subarray(at, at + 50_000))
      controller.close()
    },
  })
  const response = await fetch(`${url}/v2/models/m/infer`, {
    method: 'POST',
    body: form === 'json' ? json : form === 'binary' ? bytes : chunked,
    headers: form === 'json' ? {} : { 'inference-header-content-length': String(head.length) },
    ...(form === 'chunked' ? { duplex: 'half' } : {}),
  })
  const answer = Buffer.from(await response.arrayBuffer())
  const from = Number(response.headers.get('inference-header-content-length'))
  const same = Buffer.compare(answer.subarray(from), Buffer.from(floats.buffer)) === 0
  return `${response.status} ${same ? 'the same' : 'others'}`
}

// Their memory is used again for one another: an answer with somebody else's numbers would show here.
test('large requests of many sizes and forms, side by side, each get their own numbers back', async () => {
  const forms = ['binary', 'json', 'chunked'] as const
  const client = async (number: number): Promise<string[]> => {
    const got: string[] = []
    for (let turn = 0; turn < 6; turn += 1) {
      const form = forms[(number + turn) % forms.length] ?? 'binary'
      const rows = 9000 + 1583 * ((number * 5 + turn * 3) % 8)
      got.push(await ask(rows, number * 1000 + turn * 17, form)) // oxlint-disable-line no-await-in-loop -- one after another
    }
    return got
  }
  const answers = await Promise.all(Array.from({ length: 6 }, (_, number) => client(number)))
  expect(new Set(answers.flat())).toEqual(new Set(['200 the same']))
})

test('an answer that is kept is not given to another request as its memory', async () => {
  const got: string[] = []
  // The second time it is recalled; what comes then is a little smaller, and would fit into its memory.
  for (const [rows, seed] of [
    [20_000, 1],
    [20_000, 1],
    [19_000, 2],
    [20_000, 1],
  ] as const)
    got.push(await ask(rows, seed, 'binary', keeping)) // oxlint-disable-line no-await-in-loop -- one after another
  expect(new Set(got)).toEqual(new Set(['200 the same']))
})
