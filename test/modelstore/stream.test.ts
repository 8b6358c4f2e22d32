import { afterEach, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startStream, type Answer, type Stream, type StreamOptions } from './stream.ts'

let server: Server | undefined
afterEach(() => {
  server?.close()
  server?.closeAllConnections()
})

const start = async (listener: RequestListener, options: Partial<StreamOptions> = {}): Promise<Stream> => {
  server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return startStream({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/models/m/infer`,
    body: '{}',
    rate: 0,
    seconds: 60,
    concurrency: 2,
    keepAlive: true,
    timeoutMs: 5000,
    ...options,
  })
}
const answer = (revision: string): string => JSON.stringify({ model_name: 'm', model_version: `of ${revision}` })

describe('the load client', () => {
  test.each([true, false])(
    'counts every answer by revision and sees the change (keep-alive: %s)',
    async (keepAlive) => {
      let served = 0
      const sockets = new Set<unknown>()
      const changes: Answer[] = []
      const stream = await start(
        ({ socket }, response) => {
          sockets.add(socket)
          served += 1
          if (served === 40) stream.stop()
          const revision = served <= 20 ? 'a' : 'b'
          response.setHeader('x-slipway-revision', revision).end(answer(revision))
        },
        { concurrency: 1, keepAlive, onChange: (change) => changes.push(change) },
      )
      const summary = await stream.done
      expect(summary).toMatchObject({ sent: 40, ok: 40, failed: 0, byRevision: { a: 20, b: 20 }, failures: [] })
      expect(summary.transitions).toEqual([{ from: 'a', to: 'b', at: expect.any(String) }])
      expect(changes.map(({ status, revision, version }) => ({ status, revision, version }))).toEqual([
        { status: 200, revision: 'a', version: 'of a' },
        { status: 200, revision: 'b', version: 'of b' },
      ])
      expect(sockets.size).toBe(keepAlive ? 1 : 40)
    },
  )

  test('every kind of failure is a failure: status, reset, silence, nonsense', async () => {
    let served = 0
    const stream = await start(
      (_request, response) => {
        served += 1
        if (served === 5) stream.stop()
        if (served === 1) response.writeHead(503).end('{"error":"the queue is full"}')
        else if (served === 2) response.destroy()
        else if (served === 3) response.end('<html>')
        else if (served === 4) response.flushHeaders()
        else response.end(answer('a'))
      },
      { concurrency: 1, timeoutMs: 200 },
    )
    const { sent, ok, failed, failures } = await stream.done
    expect({ sent, ok, failed }).toEqual({ sent: 5, ok: 1, failed: 4 })
    expect(failures.map(({ status, error }) => `${status} ${error}`)).toEqual([
      '503 the queue is full',
      '0 socket hang up',
      '200 the answer is no JSON: <html>',
      expect.stringMatching(/^200 (aborted|no answer within 200 ms)$/),
    ])
  })

  test('never has more requests under way than allowed, and waits for those when it is stopped', async () => {
    let underWay = 0
    let most = 0
    let served = 0
    const stream = await start(
      (_request, response) => {
        underWay += 1
        most = Math.max(most, underWay)
        if (++served === 30) stream.stop()
        setTimeout(() => {
          underWay -= 1
          response.end(answer('a'))
        }, 5)
      },
      { rate: 100_000, concurrency: 7 },
    )
    const { sent, ok } = await stream.done
    expect(most).toBe(7)
    expect(ok).toBe(sent)
  })
})
