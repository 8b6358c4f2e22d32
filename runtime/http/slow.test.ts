import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { addModel } from '../../test/fixtures/onnx.ts'
import { runtimeProgram } from '../../test/fixtures/program.ts'
import { BodyMemory } from '../bodymemory.ts'
import { parseConfig } from '../config.ts'
import { createMetrics } from '../metrics.ts'
import { Models } from '../models.ts'
import { ServerState } from '../state.ts'
import { LiveVersion } from '../version.ts'
import { createHttpServer } from './server.ts'

jest.setTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-slow-'))

/** A server of a model that has little patience with its clients, in this process, so that its memory can be looked at. */
const file = join(folder, 'model.onnx')
writeFileSync(file, addModel())
const entry = pathToFileURL(runtimeProgram())
const spec = { version: 'v1', file, digest: undefined, labels: [] }
const scheduling = { maxRequests: 4, maxWaitMs: 60_000, maxBytes: 1_000_000, maxDelayMs: 0, maxCachedBytes: 0 }
const live = new LiveVersion('m', spec, { entry, stuckAfterMs: 60_000 }, scheduling)
const models = new Models('m')
const statuses: number[] = []
let port = 0
let close: () => Promise<void>
beforeAll(async () => {
  models.add(live)
  models.makeCurrent(live)
  const state = new ServerState(models)
  const config = parseConfig({ SLIPWAY_MODEL_NAME: 'm' }, 'serve')
  const server = createHttpServer(
    {
      models,
      state,
      metrics: createMetrics(config, { models, ready: () => state.health().ready }),
      memory: new BodyMemory(0),
      answering: { revision: 'r', closing: () => false },
      maxBodyBytes: 1_000_000,
      observer: { finished: ({ status }) => void statuses.push(status) },
      onBug: (error) => {
        throw error
      },
      app: (_request, response) => response.end(),
      connectionMaxAgeMs: 60_000,
    },
    { headersMs: 200, requestMs: 400, idleMs: 1000, farewellMs: 200 },
  )
  const order = { device: 'CPU', sizeBytes: 0, maxBatch: 1, warmupRequests: 0, warmupSample: undefined } as const
  await live.load('', order, [{ workers: 1, intraOpThreads: 1 }])
  state.enter({ name: 'Serving' })
  port = await server.listen(0)
  close = () => server.close()
})
afterAll(async () => {
  await close()
  await live.pool.close()
  rmSync(folder, { recursive: true })
})

/**
 * Sends a byte every 20 ms until the connection is over.
 * @param deaf whether the client goes on although the server has said its last word
 * @returns the answer, and the most bytes that were held meanwhile
 */
const trickle = async (
  head: string,
  deaf = false,
): Promise<{ readonly answer: string; readonly heldBytes: number }> => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: deaf })
  let answer = ''
  let heldBytes = 0
  socket.on('data', (chunk) => (answer += String(chunk)))
  socket.on('error', () => {
    // Writing to a connection that the server has ended.
  })
  socket.write(head, 'latin1')
  const timer = setInterval(() => {
    socket.write('y')
    heldBytes = Math.max(heldBytes, live.scheduler.heldBytes)
  }, 20)
  await new Promise((resolve) => socket.once('close', resolve))
  clearInterval(timer)
  return { answer, heldBytes }
}
const infer = 'POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\n'

test('a head that never ends is answered by 408', async () => {
  const { answer } = await trickle('GET /v2/health/live HTTP/1.1\r\nhost: x\r\nx-')
  expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  expect(answer).toContain('the request did not arrive in time')
})

test.each([
  ['of a length', 'content-length: 900000\r\n\r\n'],
  ['in chunks', 'transfer-encoding: chunked\r\n\r\nf4240\r\n'],
  // A file name that never ends: nothing comes out of it that would be held.
  ['compressed', 'content-encoding: gzip\r\ncontent-length: 900000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\x03'],
])('a prediction whose body %s never ends is answered by 408, and what it held is free again', async (_, rest) => {
  const { answer, heldBytes } = await trickle(infer + rest)
  expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
  if (!rest.includes('gzip')) expect(heldBytes).toBeGreaterThan(0)
  while (live.scheduler.heldBytes > 0) await sleep(10)
  while (statuses.length === 0) await sleep(10)
  expect(statuses.splice(0)).toEqual([499])
})

test('a client that goes on sending after its 408 is cut off, and what it held is free again', async () => {
  const { answer, heldBytes } = await trickle(`${infer}content-length: 900000\r\n\r\n`, true)
  expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  expect(heldBytes).toBeGreaterThan(0)
  while (live.scheduler.heldBytes > 0) await sleep(10)
})

test('a body that is answered without being read does not hold its connection', async () => {
  const { answer } = await trickle('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n', true)
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
})
