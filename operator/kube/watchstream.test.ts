import { Readable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ConnectionError, isGone, MalformedEventError } from './errors.ts'
import type { KubeObject } from './types.ts'
import { readEvents, type WatchEvent } from './watchstream.ts'

const asked = { verb: 'watch', resource: 'things' }

const read = async (chunks: Iterable<Buffer>): Promise<WatchEvent<KubeObject>[]> => {
  const events: WatchEvent<KubeObject>[] = []
  for await (const event of readEvents(Readable.from(chunks, { objectMode: false }), asked)) events.push(event)
  return events
}

const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`
const thing = (name: string) => ({ kind: 'Thing', metadata: { name, resourceVersion: '7' } })

describe('a watch stream', () => {
  test('is the same events however its bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme' })),
        fc.array(fc.nat({ max: 400 })),
        async (names, cuts) => {
          const bytes = Buffer.from(names.map((name) => line('ADDED', thing(name))).join(''))
          const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted((a, b) => a - b)
          const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
          const events = await read(chunks.filter(({ length }) => length > 0))
          expect(events).toEqual(names.map((name) => ({ type: 'ADDED', object: thing(name) })))
        },
      ),
    )
  })

  test('a bookmark is its version, and says when the beginning is over', async () => {
    const bytes = Buffer.from(line('BOOKMARK', { metadata: { resourceVersion: '12' } }))
    expect(await read([bytes])).toEqual([{ type: 'BOOKMARK', resourceVersion: '12', initialEventsEnd: false }])
    const annotations = { 'k8s.io/initial-events-end': 'true' }
    const end = Buffer.from(line('BOOKMARK', { metadata: { resourceVersion: '12', annotations } }))
    expect(await read([end])).toEqual([{ type: 'BOOKMARK', resourceVersion: '12', initialEventsEnd: true }])
  })

  test('an error event is the error that it carries', async () => {
    const bytes = Buffer.from(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }))
    const error: unknown = await read([bytes]).catch((reason: unknown) => reason)
    expect(isGone(error)).toBe(true)
    expect((error as Error).message).toBe('watch things: 410 Expired: too old')
  })

  test.each([
    ['no JSON', '{"type":"ADD\n'],
    ['no object', 'null\n'],
    ['an unknown type', line('RENAMED', thing('a'))],
    ['an object without a version', line('ADDED', { metadata: { name: 'a' } })],
    ['an end inside an event', line('ADDED', thing('a')).slice(0, -5)],
  ])('%s is refused, after what came before it', async (_, text) => {
    const events: string[] = []
    const reading = async (): Promise<void> => {
      const chunks = [Buffer.from(line('ADDED', thing('before')) + text)]
      for await (const { type } of readEvents(Readable.from(chunks, { objectMode: false }), asked)) events.push(type)
    }
    await expect(reading()).rejects.toThrow(MalformedEventError)
    expect(events).toEqual(['ADDED'])
  })

  test('a stream that breaks is a broken connection', async () => {
    const broken = Readable.from(
      (function* (): Generator<Buffer> {
        yield Buffer.from(line('ADDED', thing('a')))
        throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
      })(),
      { objectMode: false },
    )
    const reading = async (): Promise<void> => {
      for await (const _ of readEvents(broken, asked));
    }
    await expect(reading()).rejects.toThrow(ConnectionError)
    expect(broken.destroyed).toBe(true)
  })
})
