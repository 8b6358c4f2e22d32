// Against real HTTP servers on loopback: each test router has an address of its own, since the port is always the same.
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterAll, afterEach, describe, expect, test } from '@jest/globals'
import { agentPort } from '../api/routerstate.ts'
import { Asker } from './ask.ts'
import { answerOf } from './fixtures.ts'

const servers: Server[] = []
const asker = new Asker({ timeoutMs: 300, maxBytes: 10_000 })
/** For answers that do come: a busy machine is no failure. */
const patient = new Asker({ timeoutMs: 30_000, maxBytes: 10_000 })

const serve = (address: string, answer: RequestListener): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer(answer)
    servers.push(server)
    server.once('error', reject).listen(agentPort, address, resolve)
  })

const endpoint = (address: string) => ({ name: 'r-1', address, ready: true, terminating: false })
const state = (router: string): string => JSON.stringify(answerOf(router, 3, { x: 1 }).state)

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})
afterAll(() => Promise.all([asker.close(), patient.close()]))

describe('a router', () => {
  test('is asked by its name and answers its state', async () => {
    let host: string | undefined
    await serve('127.0.47.1', (request, response) => {
      host = request.headers.host
      response.end(state('r-1'))
    })
    const answer = await patient.ask(endpoint('127.0.47.1'))
    expect(answer).toMatchObject({ router: 'r-1', state: { bootId: 'boot-1', models: [{ appliedEpoch: 3 }] } })
    expect(host).toBe('r-1')
  })

  test.each<[string, RequestListener, string]>([
    ['another pod that has its address by now', (_, r) => r.end(state('r-2')), 'r-2 answers under its address'],
    ['an error', (_, r) => r.writeHead(503).end('draining'), 'it answered 503: draining'],
    ['something else', (_, r) => r.end('{"models":[{}]}'), 'not the state of a router'],
    ['no JSON', (_, r) => r.end('<html>'), 'JSON'],
    ['more than it may', (_, r) => r.end('x'.repeat(20_000)), 'more than 10000 bytes'],
    ['half an answer', (_, r) => r.writeHead(200, { 'content-length': '100' }).write('{'), 'no answer within 300 ms'],
    ['nothing', () => undefined, 'no answer within 300 ms'],
    ['a closed connection', (q) => q.socket.destroy(), 'other side closed'],
  ])('that answers %s is one that says why it is not known', async (_, listener, words) => {
    await serve('127.0.47.2', listener)
    const answer = await (words.startsWith('no answer') ? asker : patient).ask(endpoint('127.0.47.2'))
    expect(answer.state).toBeUndefined()
    expect(answer.error).toContain(words)
  })

  test('that does not listen says that the connection is refused', async () => {
    expect((await patient.ask(endpoint('127.0.47.3'))).error).toContain('ECONNREFUSED')
  })
})
