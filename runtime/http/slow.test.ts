import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { serveHere, type Here } from '../../test/fixtures/inprocess.ts'
import { addModel } from '../../test/fixtures/onnx.ts'

jest.setTimeout(60_000)
/** It has little patience with its clients. */
const patience = { headersMs: 200, requestMs: 400, idleMs: 1000, farewellMs: 200 }
let here: Here
beforeAll(async () => {
  here = await serveHere(addModel(), { patience })
})
afterAll(() => here.close())

/**
 * Sends a byte every 20 ms until the connection is over.
 * @param deaf whether the client goes on although the server has said its last word
 * @returns the answer, and the most bytes that were held meanwhile
 */
const trickle = async (
  head: string,
  deaf = false,
): Promise<{ readonly answer: string; readonly heldBytes: number }> => {
  const socket = connect({ port: here.port, host: '127.0.0.1', allowHalfOpen: deaf })
  let answer = ''
  let heldBytes = 0
  socket.on('data', (chunk) => (answer += String(chunk)))
  socket.on('error', () => {
    // Writing to a connection that the server has ended.
  })
  socket.write(head, 'latin1')
  const timer = setInterval(() => {
    socket.write('y')
    heldBytes = Math.max(heldBytes, here.live.scheduler.heldBytes)
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
  while (here.live.scheduler.heldBytes > 0) await sleep(10)
  while (here.statuses.length === 0) await sleep(10)
  expect(here.statuses.splice(0)).toEqual([499])
})

test('a client that goes on sending after its 408 is cut off, and what it held is free again', async () => {
  const { answer, heldBytes } = await trickle(`${infer}content-length: 900000\r\n\r\n`, true)
  expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  expect(heldBytes).toBeGreaterThan(0)
  while (here.live.scheduler.heldBytes > 0) await sleep(10)
})

test('a body that is answered without being read does not hold its connection', async () => {
  const { answer } = await trickle('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n', true)
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
})
