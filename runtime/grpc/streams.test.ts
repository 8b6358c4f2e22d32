import { afterAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { once } from 'node:events'
import { connect, createServer, type ClientHttp2Session, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { growthBy } from '../../test/kit/collector.ts'
import { ByNumber, replaceStreams } from './streams.ts'

describe('a map by number', () => {
  test('does what a Map does, whatever comes and goes', () => {
    // Few lists, so that many stand in the middle of one.
    const number = fc.nat(3).chain((list) => fc.nat(30).map((round) => 2 * list + 128 * round))
    const step = fc.oneof(
      { weight: 60, arbitrary: fc.record({ do: fc.constant('set' as const), number }) },
      { weight: 40, arbitrary: fc.record({ do: fc.constant('delete' as const), number }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), number }) },
    )
    const inOrder = <Value>(map: Map<number, Value>) => [...map].toSorted(([a], [b]) => a - b)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
        const [ours, model] = [new ByNumber<string>(), new Map<number, string>()]
        for (const [at, one] of steps.entries()) {
          if (one.do === 'clear') for (const map of [ours, model]) map.clear()
          else if (one.do === 'set') for (const map of [ours, model]) map.set(one.number, `value ${at}`)
          else expect(ours.delete(one.number)).toBe(model.delete(one.number))
          expect(ours.size).toBe(model.size)
          expect(ours.get(one.number)).toBe(model.get(one.number))
          expect(ours.has(one.number)).toBe(model.has(one.number))
        }
        expect(inOrder(ours)).toEqual(inOrder(model))
        expect(new Set(ours.keys())).toEqual(new Set(model.keys()))
        expect([...ours.values()].toSorted()).toEqual([...model.values()].toSorted())
      }),
    )
  })

  test('lets those whom it visits leave', () => {
    const map = new ByNumber<string>()
    for (const number of [1, 129, 257, 3]) map.set(number, `stream ${number}`)
    const seen: string[] = []
    map.forEach((value, number) => {
      seen.push(value)
      map.delete(number)
    })
    expect(seen.toSorted()).toEqual(['stream 1', 'stream 129', 'stream 257', 'stream 3'])
    expect(map.size).toBe(0)
  })

  test('keeps nobody who has left', () => {
    const map = new ByNumber<readonly number[]>()
    let passed = 0
    const growth = growthBy(() => {
      for (const until = passed + 100; passed < until; passed += 1) {
        map.set(
          2 * passed + 1,
          Array.from({ length: 128 }, (_, at) => at + passed),
        )
        map.delete(2 * (passed - 4) + 1)
      }
    })
    // 4,000 of a kilobyte each have left; a few are there.
    expect(map.size).toBe(4)
    expect(growth).toBeLessThan(1_000_000)
  })
})

describe('a connection of node:http2', () => {
  const ends: (() => void)[] = []
  afterAll(() => {
    for (const end of ends) end()
  })

  /** A server that answers `/answered` and nothing else. */
  async function connected(): Promise<{ client: ClientHttp2Session; session: ServerHttp2Session; replaced: boolean }> {
    const server = createServer()
    const opened = new Promise<{ session: ServerHttp2Session; replaced: boolean }>((resolve) => {
      server.once('session', (session) => resolve({ session, replaced: replaceStreams(session) }))
    })
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      if (headers[':path'] !== '/answered') return stream.respond({ ':status': 200 })
      stream.respond({ ':status': 200 })
      return stream.end('answer')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    client.on('error', () => {})
    ends.push(() => {
      client.destroy()
      server.close()
    })
    return { client, ...(await opened) }
  }

  async function answerOf(client: ClientHttp2Session): Promise<string> {
    const stream = client.request({ ':path': '/answered' })
    let text = ''
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
    await once(stream, 'close')
    return text
  }

  test('of the Node that this runs on is given the other map, and answers', async () => {
    const { client, replaced } = await connected()
    expect(replaced).toBe(true)
    const all = await Promise.all(Array.from({ length: 200 }, () => answerOf(client)))
    expect(new Set(all)).toEqual(new Set(['answer']))
  })

  test('closes when its last stream has ended, and not before', async () => {
    const { client, session } = await connected()
    const open = client.request({ ':path': '/open' })
    await once(open, 'response')
    let gone = false
    session.once('close', () => (gone = true))
    session.close()
    await once(client, 'goaway')
    expect(gone).toBe(false)
    const closed = once(session, 'close')
    open.close()
    await closed
  })

  test('that is destroyed ends its streams', async () => {
    const { client, session } = await connected()
    const open = client.request({ ':path': '/open' })
    open.on('error', () => {})
    await once(open, 'response')
    const closed = once(open, 'close')
    session.destroy()
    await closed
    expect(session.destroyed).toBe(true)
  })

  test('that has streams already keeps them where they are', async () => {
    const { client, session } = await connected()
    const open = client.request({ ':path': '/open' })
    await once(open, 'response')
    expect(replaceStreams(session)).toBe(false)
  })
})
