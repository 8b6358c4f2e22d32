import { afterEach, expect, jest, test } from '@jest/globals'
import type grpc from '@grpc/grpc-js'
import { healthClient, inferenceClient } from '../test/fixtures/grpc.ts'
import { loopModel } from '../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

const slow = (turns: number): string =>
  `{"inputs":[{"name":"turns","datatype":"INT64","shape":[],"data":[${turns}]},{"name":"x","datatype":"FP32","shape":[1],"data":[2]}]}`

let server: Server
afterEach(() => server.stop())
const start = async (stuckAfterMs: number): Promise<void> => {
  server = await startServer(loopModel(), { SLIPWAY_STUCK_AFTER_MS: String(stuckAfterMs) })
  await server.ready()
}

test('a worker that hangs makes the server neither live nor ready, whoever asks and however', async () => {
  await start(200)
  const client = inferenceClient(server.grpcAddress)
  const health = healthClient(server.grpcAddress)
  const watch = health.raw['Watch']?.({ service: 'm' }) as grpc.ClientReadableStream<{ status: string }>
  const told: string[] = []
  const toldOff = new Promise<void>((resolve) => {
    watch.on('data', ({ status }: { status: string }) => {
      told.push(status)
      if (status === 'NOT_SERVING') resolve()
    })
  })
  watch.on('error', () => {
    // It ends with the server.
  })
  const hung = infer(server, slow(1e9)).catch(() => 'lost')
  while ((await call(server, '/v2/health/live')).status === 200);

  const reason = expect.stringMatching(/^a single inference has run for \d+ s, so the worker hangs$/)
  expect(await call(server, '/v2/health/live')).toMatchObject({ status: 503, body: { live: false, reason } })
  expect(await call(server, '/v2/health/ready')).toMatchObject({
    status: 503,
    body: { live: false, ready: false, reason },
  })
  expect(await call(server, '/v2/models/m/ready')).toMatchObject({ status: 503, body: { ready: false, reason } })
  expect(await call(server, '/ping')).toMatchObject({ status: 503, body: { status: 'Unhealthy' } })
  const state = await fetch(server.metricsUrl.replace('/metrics', '/state'))
  expect(await state.json()).toMatchObject({ live: false, ready: false, reason })
  expect(await server.metric('slipway_ready')).toBe(0)

  const answers = async (method: string, request: object) => (await client.call(method, request)).response
  expect(await answers('ServerLive', {})).toEqual({ live: false })
  expect(await answers('ServerReady', {})).toEqual({ ready: false })
  expect(await answers('ModelReady', { name: 'm' })).toEqual({ ready: false })
  for (const service of ['', 'inference.GRPCInferenceService', 'm'])
    expect((await health.call('Check', { service })).response).toEqual({ status: 'NOT_SERVING' })
  await toldOff
  expect(told.at(-1)).toBe('NOT_SERVING')
  await server.stop()
  expect(await hung).toBe('lost')
  client.close()
  health.close()
})

test('a run that only seemed to hang is answered, and the server is live again', async () => {
  await start(20)
  let wasSeen = false
  // How long so many turns take is the machine's affair; one of these runs is long enough to be looked at.
  for (let turns = 500; !wasSeen; turns *= 2) {
    const run = { answered: false }
    const answer = infer(server, slow(turns)).finally(() => (run.answered = true))
    while (!run.answered && !wasSeen) wasSeen = (await call(server, '/v2/health/live')).status === 503
    expect((await answer).status).toBe(200)
  }
  expect((await call(server, '/v2/health/live')).status).toBe(200)
  expect((await call(server, '/v2/health/ready')).status).toBe(200)
  expect((await infer(server, slow(1))).status).toBe(200)
})
