import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { inferenceClient } from '../test/fixtures/grpc.ts'
import { identityModel } from '../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(240_000)

let server: Server
beforeAll(async () => {
  // The heap of each thread of a pod with little memory, whatever this machine has: 64 MB, and 3 for what is young.
  server = await startServer(identityModel('STRING'), {
    NODE_OPTIONS: '--max-old-space-size=64 --max-semi-space-size=1',
    // A busy machine may take its time.
    SLIPWAY_QUEUE_TIMEOUT_MS: '200000',
  })
  await server.ready()
})
afterAll(() => server.stop())

const json = (count: number): string => {
  const data = Array.from({ length: count }, () => '"a"').join(',')
  return `{"inputs":[{"name":"x","datatype":"BYTES","shape":[${count}],"data":[${data}]}]}`
}
/** Texts without a letter, each after its length. */
const raw = (count: number): Buffer => Buffer.alloc(4 * count)
const binary = (count: number) => {
  const parameters = { binary_data_size: 4 * count }
  const head = Buffer.from(JSON.stringify({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [count], parameters }] }))
  const headers = { 'inference-header-content-length': String(head.length) }
  return call(server, '/v2/models/m/infer', { method: 'POST', body: Buffer.concat([head, raw(count)]), headers })
}
const predict = (count: number, instance: string) => {
  const instances = Array.from({ length: count }, () => instance).join(',')
  return call(server, '/v1/models/m:predict', { method: 'POST', body: `{"instances":[${instances}]}` })
}
const grpc = async (count: number, form: 'raw' | 'typed') => {
  const client = inferenceClient(server.grpcAddress)
  const input = { name: 'x', datatype: 'BYTES', shape: [count] }
  const contents = { bytes_contents: Array.from({ length: count }, () => Buffer.alloc(0)) }
  const message =
    form === 'raw'
      ? { model_name: 'm', inputs: [input], raw_input_contents: [raw(count)] }
      : { model_name: 'm', inputs: [{ ...input, contents }] }
  const { code, details } = await client.call('ModelInfer', message)
  client.close()
  return { status: code, body: { error: details } }
}
const resourceExhausted = 8

test.each([
  ['in JSON', (count: number) => infer(server, json(count)), 413],
  ['as binary data', binary, 413],
  ['in instances', (count: number) => predict(count, '"a"'), 413],
  ['in base64', (count: number) => predict(count, '{"b64":"YQ=="}'), 413],
  ['over gRPC, raw', (count: number) => grpc(count, 'raw'), resourceExhausted],
  ['over gRPC, typed', (count: number) => grpc(count, 'typed'), resourceExhausted],
] as const)('more texts than the heap holds are refused %s, and nobody else suffers', async (_form, ask, refused) => {
  expect(await ask(1_000_000)).toMatchObject({
    status: refused,
    body: { error: expect.stringContaining('is more text than this pod reads at once: 256 bytes for each element') },
  })
  expect((await ask(50_000)).status).toBe(refused === 413 ? 200 : 0)
})

test('a text longer than the heap is refused, and one that fits comes back', async () => {
  const send = (length: number) =>
    infer(server, `{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":["${'a'.repeat(length)}"]}]}`)
  expect(await send(30_000_000)).toMatchObject({
    status: 413,
    body: { error: expect.stringContaining('inputs[0].data') },
  })
  expect(await send(5_000_000)).toMatchObject({ status: 200, body: { outputs: [{ data: ['a'.repeat(5_000_000)] }] } })
})

test('requests that hold much text together are all answered', async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, () => infer(server, json(60_000))))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(await call(server, '/v2/health/live')).toMatchObject({ status: 200 })
})
