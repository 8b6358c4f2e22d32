import { afterEach, expect, test } from '@jest/globals'
import { Agent, createServer, get, type Server } from 'node:http'
import { listen } from './server.ts'
import { stamp } from './answer.ts'
import { limitAge } from './connectionage.ts'

let server: Server | undefined
afterEach(() => void server?.close())

/** How two requests in a row on a client that keeps its connections are answered. */
const twoAnswers = async (maxAgeMs: number): Promise<{ connection: string | undefined; reused: boolean }[]> => {
  server = createServer((_, response) => {
    stamp(response, { revision: 'r', closing: () => false })
    response.end('ok')
  })
  limitAge(server, 'connection', maxAgeMs)
  const port = await listen(server, 0)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const one = () =>
    new Promise<{ connection: string | undefined; reused: boolean }>((resolve, reject) => {
      const asking = get({ port, agent }, (answer) => {
        answer.resume()
        answer.on('end', () =>
          setImmediate(() => resolve({ connection: answer.headers.connection, reused: asking.reusedSocket })),
        )
      })
      asking.on('error', reject)
    })
  const answers = [await one(), await one()]
  agent.destroy()
  return answers
}

test('a young connection is kept for the next request', async () => {
  expect(await twoAnswers(60_000)).toEqual([
    { connection: 'keep-alive', reused: false },
    { connection: 'keep-alive', reused: true },
  ])
})

test('an old connection ends with its answer, and the next request comes on a new one', async () => {
  expect(await twoAnswers(0)).toEqual([
    { connection: 'close', reused: false },
    { connection: 'close', reused: false },
  ])
})
