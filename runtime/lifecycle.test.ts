import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { once } from 'node:events'
import { connect } from 'node:net'
import { identityModel, loopModel, tableModel } from '../test/fixtures/onnx.ts'
import { call, infer, runCommand, startServer, type Answer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

/** A request that keeps the loop model busy for about a second on a slow machine's core. */
const slow = (turns = 3000): string =>
  `{"inputs":[{"name":"turns","datatype":"INT64","shape":[],"data":[${turns}]},{"name":"x","datatype":"FP32","shape":[1],"data":[2]}]}`
const slowAnswer = [{ name: 'y', datatype: 'FP32', shape: [1], data: [2] }]

describe('while a model computes', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(loopModel(), {
      SLIPWAY_QUEUE_MAX_REQUESTS: '2',
      SLIPWAY_QUEUE_TIMEOUT_MS: '60000',
    })
    await server.ready()
  })
  afterAll(() => server.stop())

  test('health is answered before the prediction', async () => {
    const order: string[] = []
    const prediction = infer(server, slow()).then(({ status }) => order.push(`prediction ${status}`))
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    for (const path of ['/v2/health/live', '/v2/health/ready', '/v2/models/m', '/v2/models/m/ready']) {
      order.push(`${path} ${(await call(server, path)).status}`)
    }
    await prediction
    expect(order).toEqual([
      '/v2/health/live 200',
      '/v2/health/ready 200',
      '/v2/models/m 200',
      '/v2/models/m/ready 200',
      'prediction 200',
    ])
  })

  test('two may wait, the next is told to come again, and who goes away is never run', async () => {
    const runs = await server.metric('slipway_inference_duration_seconds_count')
    const running = infer(server, slow(12_000))
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    const leaving = new AbortController()
    const left = infer(server, slow(1), { signal: leaving.signal }).catch((error: unknown) => String(error))
    const waiting = infer(server, slow(1))
    await server.sees('slipway_queue_depth', (count) => count === 2)
    const refused = await infer(server, slow(1))
    expect(refused).toMatchObject({
      status: 503,
      body: {
        error: 'the queue is full: 2 requests wait and 2 may; try again after the time in Retry-After, or add replicas',
      },
    })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    const oldest = 'slipway_queue_oldest_wait_seconds'
    const aWhile = await server.metric(oldest)
    expect(aWhile).toBeGreaterThan(0)
    await server.sees(oldest, (seconds) => seconds > aWhile)
    leaving.abort()
    expect(await left).toContain('AbortError')
    await server.sees('slipway_queue_depth', (count) => count === 1)
    expect(await server.metric('slipway_requests_total{code="499"}')).toBe(1)
    expect((await running).body.outputs).toEqual(slowAnswer)
    expect((await waiting).status).toBe(200)
    expect(await server.metric(oldest)).toBe(0)
    expect(await server.metric('slipway_inference_duration_seconds_count')).toBe(runs + 2)
  })
})

test('a model that fails on an input says so, and goes on', async () => {
  const server = await startServer(tableModel())
  await server.ready()
  const lookUp = (index: number): Promise<Answer> =>
    infer(server, `{"inputs":[{"name":"index","datatype":"INT64","shape":[1,1],"data":[${index}]}]}`)
  expect(await lookUp(5000)).toMatchObject({
    status: 500,
    body: { error: expect.stringContaining('the model failed') },
  })
  expect(await lookUp(7)).toMatchObject({ status: 200, body: { outputs: [{ data: [7.5] }] } })
  expect((await call(server, '/v2/health/ready')).status).toBe(200)
  await server.stop()
})

test('who waits longer than allowed is told so with 504', async () => {
  const server = await startServer(loopModel(), { SLIPWAY_QUEUE_TIMEOUT_MS: '50' })
  await server.ready()
  const running = infer(server, slow(3000))
  await server.sees('slipway_inferences_in_flight', (count) => count > 0)
  expect(await infer(server, slow(1))).toMatchObject({
    status: 504,
    body: { error: expect.stringContaining('waited 50 ms for a free worker') },
  })
  expect((await running).status).toBe(200)
  await server.stop()
})

describe('a termination signal', () => {
  test('loses no request: it drains, answers what is under way, and exits with 0', async () => {
    const server = await startServer(loopModel(), { SLIPWAY_DRAIN_DELAY_MS: '1000' })
    await server.ready()
    const running = Array.from({ length: 5 }, () => infer(server, slow(500)))
    await server.sees('slipway_queue_depth', (count) => count > 0)
    server.signal('SIGTERM')
    let ready = await call(server, '/v2/health/ready')
    while (ready.status === 200) ready = await call(server, '/v2/health/ready')
    expect(ready).toMatchObject({ status: 503, body: { live: true, ready: false, reason: 'it is shutting down' } })
    expect((await call(server, '/v2/health/live')).status).toBe(200)
    expect((await call(server, '/v2/models/m/ready')).status).toBe(503)
    const late = await infer(server, slow(1))
    expect({ status: late.status, connection: late.headers.get('connection') }).toEqual({
      status: 200,
      connection: 'close',
    })
    expect((await Promise.all(running)).map(({ status, body }) => ({ status, outputs: body.outputs }))).toEqual(
      running.map(() => ({ status: 200, outputs: slowAnswer })),
    )
    expect(await server.finished).toEqual({ code: 0, signal: null })
  })

  test('waits for a prediction that takes longer than the delay', async () => {
    const server = await startServer(loopModel(), { SLIPWAY_DRAIN_DELAY_MS: '0' })
    await server.ready()
    const running = infer(server, slow(3000))
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    server.signal('SIGTERM')
    expect((await running).status).toBe(200)
    expect(await server.finished).toEqual({ code: 0, signal: null })
  })

  test('does not wait for a connection on which nothing was ever asked', async () => {
    const server = await startServer(loopModel(), { SLIPWAY_DRAIN_DELAY_MS: '0' })
    await server.ready()
    const silent = connect(Number(new URL(server.url).port), '127.0.0.1')
    await once(silent, 'connect')
    server.signal('SIGTERM')
    expect(await server.finished).toEqual({ code: 0, signal: null })
    silent.destroy()
  })

  test('that comes twice ends the process in the middle of a prediction, cleanly', async () => {
    const server = await startServer(loopModel(), { SLIPWAY_DRAIN_DELAY_MS: '600000' })
    await server.ready()
    const running = infer(server, slow(1_000_000)).catch(() => 'lost')
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    server.signal('SIGTERM')
    while ((await call(server, '/v2/health/ready')).status === 200);
    server.signal('SIGTERM')
    expect(await server.finished).toEqual({ code: 0, signal: null })
    expect(await running).toBe('lost')
  })

  test('while the model loads ends the process at once', async () => {
    const server = await startServer(identityModel('FLOAT'), { SLIPWAY_WARMUP_REQUESTS: '100000' })
    expect(await call(server, '/v2/health/ready')).toMatchObject({ status: 503, body: { live: true, ready: false } })
    expect(await infer(server, '{}')).toMatchObject({
      status: 503,
      body: { error: expect.stringContaining('the model m is not ready: it is') },
    })
    server.signal('SIGTERM')
    expect(await server.finished).toEqual({ code: 0, signal: null })
  })
})

describe('a server that cannot serve', () => {
  test('a file of another digest is never loaded', async () => {
    const command = runCommand(
      'serve',
      {
        SLIPWAY_MODEL_NAME: 'm',
        SLIPWAY_HTTP_PORT: '0',
        SLIPWAY_METRICS_PORT: '0',
        SLIPWAY_MODEL_DIGEST: `sha256:${'0'.repeat(64)}`,
      },
      identityModel('FLOAT'),
    )
    expect(await command.finished).toEqual({ code: 1, signal: null })
    expect(command.termination()).toMatchObject({ ok: false, code: 'DigestMismatch', retryable: false })
    expect(command.log.some((line) => line['event.action'] === 'ready')).toBe(false)
  })

  test('a broken model ends with its reason', async () => {
    const command = runCommand(
      'serve',
      { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_HTTP_PORT: '0', SLIPWAY_METRICS_PORT: '0' },
      Buffer.from('no model'),
    )
    expect(await command.finished).toEqual({ code: 1, signal: null })
    expect(command.termination()).toMatchObject({ ok: false, code: 'ModelInvalid' })
  })

  test('a taken port ends with its reason', async () => {
    const first = await startServer(identityModel('FLOAT'))
    const second = runCommand(
      'serve',
      { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_HTTP_PORT: new URL(first.url).port, SLIPWAY_METRICS_PORT: '0' },
      identityModel('FLOAT'),
    )
    expect(await second.finished).toEqual({ code: 1, signal: null })
    expect(second.termination()).toMatchObject({
      ok: false,
      code: 'BadConfiguration',
      message: expect.stringMatching(/port \d+ cannot be used.*EADDRINUSE.*SLIPWAY_HTTP_PORT/),
    })
    await first.stop()
  })

  test('a folder where the model file should be ends with its reason', async () => {
    const command = runCommand('inspect', { SLIPWAY_MODEL_FILE: import.meta.dirname })
    expect(await command.finished).toEqual({ code: 1, signal: null })
    expect(command.termination()).toMatchObject({
      ok: false,
      code: 'ModelNotFound',
      message: expect.stringContaining('is a folder'),
    })
  })
})
