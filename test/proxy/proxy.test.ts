// The proxy by itself: each fault as a plain HTTP client sees it, in front of a server that is no API server and only
// says what it was asked and sends the lines it is told to.
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Agent, request, type Dispatcher } from 'undici'
import type { Fault } from './fault.ts'
import { startProxy, type Proxy } from './proxy.ts'
import { kinds, randomEpisodes } from './schedule.ts'

let server: Server
let proxy: Proxy
let client: Agent
/** What has reached the server. */
let reached: string[]
/** The watches that are open at the server. */
let watches: ServerResponse[]

beforeEach(async () => {
  reached = []
  watches = []
  server = createServer((asked, answer) => {
    reached.push(`${asked.method} ${asked.url}`)
    if (asked.url?.includes('watch=1') === true) {
      watches.push(answer)
      answer.writeHead(200).flushHeaders()
      return
    }
    asked.on('data', () => {})
    asked.on('end', () => answer.end(`did ${asked.method} ${asked.url}`))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy = await startProxy({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tls: {}, seed: 7 })
  client = new Agent()
})

afterEach(async () => {
  await client.destroy()
  await proxy.close()
  server.closeAllConnections()
  server.close()
})

const pods = '/api/v1/namespaces/a/pods'
const ask = (method = 'GET', path = `${pods}/p`, signal?: AbortSignal): Promise<Dispatcher.ResponseData> =>
  request(`${proxy.server}${path}`, {
    dispatcher: client,
    method: method as 'GET',
    body: method === 'GET' ? null : 'x'.repeat(100_000),
    ...(signal && { signal }),
  })
const text = async (answer: Promise<Dispatcher.ResponseData>): Promise<string> => (await answer).body.text()

describe('without a fault', () => {
  test('everything is handed on as it is, and counted', async () => {
    expect(await text(ask())).toBe(`did GET ${pods}/p`)
    expect(await text(ask('PATCH'))).toBe(`did PATCH ${pods}/p`)
    await text(ask('PATCH', `${pods}/p?dryRun=All`))
    await text(ask('PUT', '/apis/coordination.k8s.io/v1/namespaces/a/leases/l'))
    expect(proxy.requests.map(({ asked, code }) => `${asked.verb} ${asked.resource} ${code}`)).toEqual([
      'get pods 200',
      'patch pods 200',
      'patch pods 200',
      'update leases.coordination.k8s.io 200',
    ])
    expect(proxy.writes().map(({ verb, name }) => `${verb} ${name}`)).toEqual(['patch p'])
  })

  test('the lines of a watch come one by one while it is open, and its end is its end', async () => {
    const body = (await ask('GET', `${pods}?watch=1`)).body
    const heard: string[] = []
    body.on('data', (chunk: Buffer) => heard.push(chunk.toString()))
    const ended = once(body, 'end')
    for (const line of ['one', 'two']) {
      watches[0]?.write(`${line}\n`)
      await until(() => heard.join('').includes(line))
    }
    watches[0]?.end()
    await ended
    expect(heard.join('')).toBe('one\ntwo\n')
  })
})

describe('faults of a request', () => {
  test.each([
    ['status', { fault: 'status', code: 429, retryAfterSeconds: 3 }, '429', '3', false],
    ['answer', { fault: 'answer', code: 502, body: '<html>' }, '502 <html>', undefined, false],
  ] as const)('%s is answered by the proxy itself', async (_, fault, start, retryAfter, seen) => {
    proxy.play({ fault })
    const answer = await ask('PATCH')
    expect(`${answer.statusCode} ${await answer.body.text()}`.startsWith(start)).toBe(true)
    expect(answer.headers['retry-after']).toBe(retryAfter)
    expect(reached.length > 0).toBe(seen)
  })

  test('a reset comes before the server has seen anything, or after it has done it', async () => {
    for (const [fault, seen] of [
      ['reset', 0],
      ['resetAfter', 1],
    ] as const) {
      proxy.play({ fault: { fault }, times: 1 })
      await expect(ask('PATCH')).rejects.toMatchObject({
        code: expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET|EPIPE/),
      })
      expect(reached).toHaveLength(seen)
    }
    expect(await text(ask())).toContain('did')
  })

  test('half-open connections and lost answers never end, also when the fault is over; other requests are answered', async () => {
    for (const [fault, seen] of [
      ['halfOpen', 0],
      ['loseAnswer', 1],
    ] as const) {
      const played = Promise.withResolvers<void>()
      const end = proxy.play({ fault: { fault }, onPlayed: () => played.resolve() })
      const waiting = new AbortController()
      const answered = ask('PATCH', undefined, waiting.signal).then(
        () => 'answered',
        () => 'gave up',
      )
      await played.promise
      expect(reached).toHaveLength(seen)
      end()
      expect(await text(ask())).toContain('did GET')
      waiting.abort()
      expect(await answered).toBe('gave up')
      reached = []
    }
  })

  test('headers may come without a body', async () => {
    proxy.play({ fault: { fault: 'headersOnly' } })
    const { statusCode, body } = await ask('GET', undefined, AbortSignal.timeout(2000))
    expect(statusCode).toBe(200)
    body.on('error', () => {})
    expect(await Promise.race([body.text().catch(() => 'broken'), sleep(100, 'nothing')])).toBe('nothing')
  })

  test('a body is cut after so many bytes, or comes slowly and whole', async () => {
    proxy.play({ fault: { fault: 'truncate', bytes: 3 }, times: 1 })
    await expect(text(ask())).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' })
    proxy.play({ fault: { fault: 'slowBody', bytesPerSecond: 200 }, times: 1 })
    const { body } = await ask()
    const chunks = await body.toArray()
    expect(chunks.length).toBeGreaterThan(1)
    expect(Buffer.concat(chunks).toString()).toBe(`did GET ${pods}/p`)
  })

  test('what is held is handed on when it is let go, and others are not held up', async () => {
    const letGo = Promise.withResolvers<void>()
    proxy.play({ fault: { fault: 'hold', until: letGo.promise }, times: 1 })
    const held = text(ask('PATCH'))
    await until(() => proxy.requests.length === 1)
    expect(await text(ask())).toContain('did GET')
    expect(reached).toHaveLength(1)
    letGo.resolve()
    expect(await held).toContain('did PATCH')
    expect(reached).toHaveLength(2)
  })

  test('a delay hands it on later', async () => {
    const startedAt = performance.now()
    proxy.play({ fault: { fault: 'delay', ms: 100 } })
    expect(await text(ask())).toContain('did')
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(99)
  })

  test('a cut breaks what is open', async () => {
    const { body } = await ask('GET', `${pods}?watch=1`)
    proxy.cut()
    await expect(body.text()).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' })
  })
})

describe('faults of a watch', () => {
  const line = (n: number) => JSON.stringify({ type: 'MODIFIED', object: { metadata: { resourceVersion: `${n}` } } })

  /** What of three lines comes when the fault hits the second, in a watch that was open before. */
  const watchWith = async (fault: Fault): Promise<string> => {
    const { body } = await ask('GET', `${pods}?watch=1`)
    const heard: string[] = []
    body.on('data', (chunk: Buffer) => heard.push(chunk.toString())).on('error', () => {})
    const ended = once(body, 'close')
    watches[0]?.write(`${line(1)}\n`)
    await until(() => heard.join('').includes(line(1)))
    const played = Promise.withResolvers<void>()
    proxy.play({ fault, times: 1, onPlayed: () => played.resolve() })
    watches[0]?.write(`${line(2)}\n`)
    await played.promise
    watches[0]?.write(`${line(3)}\n`)
    watches[0]?.end()
    await Promise.race([ended, sleep(150)])
    return heard.join('')
  }

  test('a dropped event is missing and nothing else is', async () => {
    expect(await watchWith({ fault: 'dropEvent' })).toBe(`${line(1)}\n${line(3)}\n`)
  })

  test('a duplicated event comes twice', async () => {
    expect(await watchWith({ fault: 'duplicateEvent' })).toBe(`${line(1)}\n${line(2)}\n${line(2)}\n${line(3)}\n`)
  })

  test('a late event holds up what follows', async () => {
    expect(await watchWith({ fault: 'delayEvent', ms: 50 })).toBe(`${line(1)}\n${line(2)}\n${line(3)}\n`)
  })

  test('a malformed line is half of one, and a truncated one is the last', async () => {
    const half = line(2).slice(0, line(2).length / 2)
    expect(await watchWith({ fault: 'malformEvent' })).toBe(`${line(1)}\n${half}\n${line(3)}\n`)
    watches = []
    expect(await watchWith({ fault: 'truncateEvent' })).toBe(`${line(1)}\n${half}`)
  })

  test('a version that is too old is told in the stream, which ends', async () => {
    const [, told = '', ...more] = (await watchWith({ fault: 'goneEvent' })).trim().split('\n')
    expect(JSON.parse(told)).toMatchObject({ type: 'ERROR', object: { code: 410 } })
    expect(more).toEqual([])
  })

  test('silence is kept even when the server ends the watch', async () => {
    expect(await watchWith({ fault: 'silence' })).toBe(`${line(1)}\n`)
  })
})

describe('a rule', () => {
  test('skips, hits so many, and only what it is for', async () => {
    const hits: (string | undefined)[] = []
    proxy.play({
      fault: { fault: 'status', code: 500 },
      when: ({ verb }) => verb === 'get',
      skip: 1,
      times: 2,
      onPlayed: ({ name }) => hits.push(name),
    })
    const codes: number[] = []
    for (const name of ['a', 'b', 'c', 'd']) {
      for (const method of ['GET', 'PATCH']) {
        const { statusCode, body } = await ask(method, `${pods}/${name}`)
        codes.push(statusCode)
        await body.dump()
      }
    }
    expect(codes).toEqual([200, 200, 500, 200, 500, 200, 200, 200])
    expect(hits).toEqual(['b', 'c'])
  })

  test('with a share hits the same requests again with the same seed', async () => {
    const run = async (): Promise<number[]> => {
      const codes: number[] = []
      proxy.play({ fault: { fault: 'status', code: 500 }, share: 0.5 })
      for (let n = 0; n < 20; n += 1) {
        const { statusCode, body } = await ask()
        codes.push(statusCode)
        await body.dump()
      }
      return codes
    }
    const first = await run()
    expect(new Set(first)).toEqual(new Set([200, 500]))
    await proxy.close()
    proxy = await startProxy({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tls: {}, seed: 7 })
    expect(await run()).toEqual(first)
  })

  test('the one that was added last decides, and healing ends all', async () => {
    proxy.play({ fault: { fault: 'status', code: 500 } })
    const end = proxy.play({ fault: { fault: 'status', code: 503 } })
    expect((await ask()).statusCode).toBe(503)
    end()
    expect((await ask()).statusCode).toBe(500)
    proxy.heal()
    expect((await ask()).statusCode).toBe(200)
  })
})

describe('random episodes', () => {
  test('are the same for the same seed, over in time, and spare the lease', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1000, max: 600_000 }), (seed, durationMs) => {
        const plain = (episodes: ReturnType<typeof randomEpisodes>): string => JSON.stringify(episodes)
        const episodes = randomEpisodes(seed, durationMs)
        expect(plain(randomEpisodes(seed, durationMs))).toBe(plain(episodes))
        expect(episodes.length).toBeGreaterThanOrEqual(5)
        const lease = { verb: 'update', resource: 'leases.coordination.k8s.io' } as never
        for (const { atMs, forMs, rules } of episodes) {
          expect(atMs + forMs).toBeLessThanOrEqual(durationMs)
          for (const { when } of rules) expect(when?.(lease)).toBe(false)
        }
      }),
    )
  })

  test('meet every kind of fault sooner or later', () => {
    const met = new Set(
      Array.from({ length: 100 }, (_, seed) => randomEpisodes(seed, 60_000).map(({ name }) => name)).flat(),
    )
    expect(met).toEqual(new Set(Object.keys(kinds)))
  })
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}
