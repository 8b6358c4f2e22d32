import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { listenerPorts } from '../api/routerstate.ts'
import { freePort, PortBook, type Holder } from './ports.ts'

const inRange = (port: number | undefined): boolean =>
  port !== undefined && port >= listenerPorts.first && port <= listenerPorts.last

describe('a port of the routers', () => {
  test('is the same for the same name, and another one when that is held', () => {
    const port = freePort('fraud', new Map())
    expect(inRange(port)).toBe(true)
    expect(freePort('fraud', new Map())).toBe(port)
    expect(freePort('fraud', new Map([[port ?? 0, 'other']]))).not.toBe(port)
  })

  test('is found as long as one is left, and none is made up when all are held', () => {
    const { first, last } = listenerPorts
    const all = new Map(Array.from({ length: last - first + 1 }, (_, i) => [first + i, 'other']))
    expect(freePort('fraud', all)).toBeUndefined()
    all.delete(last)
    expect(freePort('fraud', all)).toBe(last)
  })

  test('that two objects are said to have stays with the one that was listed first', () => {
    const [a, b] = [
      { uid: 'a', name: 'a', port: 20_005 },
      { uid: 'b', name: 'b', port: 20_005 },
    ]
    const book = new PortBook([a, b])
    expect(book.portOf(a)).toBe(20_005)
    expect(book.portOf(b)).not.toBe(20_005)
  })
})

/** The world that a leader lives in: objects whose status it wrote, and a cache that shows some of it later. */
class World {
  readonly objects = new Map<string, Holder>()
  cache = new Map<string, Holder>()
  book = new PortBook([])
  #next = 0

  create(name: string): void {
    const uid = `uid-${this.#next++}`
    this.objects.set(uid, { uid, name })
  }

  /** One reconcile: what the cache shows is given a port, and the status is written only if the object still exists. */
  reconcile(pick: number): void {
    const seen = [...this.cache.values()][pick % Math.max(this.cache.size, 1)]
    if (seen === undefined) return
    const port = this.book.portOf(seen)
    const live = this.objects.get(seen.uid)
    if (port === undefined || live === undefined) return
    // A status is only written over the version that was read.
    if (live.port !== seen.port) return
    this.objects.set(seen.uid, { ...live, port })
  }

  /** A worker that asked for a port and died before it wrote the status. */
  crashBeforeWrite(pick: number): void {
    const seen = [...this.cache.values()][pick % Math.max(this.cache.size, 1)]
    if (seen !== undefined) this.book.portOf(seen)
  }

  remove(pick: number): void {
    const [uid] = [...this.objects.keys()].slice(pick % Math.max(this.objects.size, 1))
    if (uid !== undefined) this.objects.delete(uid)
  }

  /** The cache catches up; what is gone from it gives its port back. */
  sync(): void {
    for (const uid of this.cache.keys()) if (!this.objects.has(uid)) this.book.release(uid)
    this.cache = new Map(this.objects)
  }

  /** Another process becomes the leader: it reads everything live, and its cache is as old as it may be. */
  lead(): void {
    this.book = new PortBook([...this.objects.values()])
  }
}

test('no two objects ever have the same port, and none changes its port, in any order of creations, crashes, leaders and late caches', () => {
  const steps = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom('fraud', 'spam', 'churn', 'ocr').map((name) => (w: World) => w.create(name)),
    },
    { weight: 6, arbitrary: fc.nat(20).map((pick) => (w: World) => w.reconcile(pick)) },
    { weight: 1, arbitrary: fc.nat(20).map((pick) => (w: World) => w.crashBeforeWrite(pick)) },
    { weight: 1, arbitrary: fc.nat(20).map((pick) => (w: World) => w.remove(pick)) },
    { weight: 4, arbitrary: fc.constant((w: World) => w.sync()) },
    { weight: 1, arbitrary: fc.constant((w: World) => w.lead()) },
  )
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 80 }), (sequence) => {
      const world = new World()
      for (const step of sequence) {
        const before = new Map(world.objects)
        step(world)
        const ports = [...world.objects.values()].flatMap(({ port }) => port ?? [])
        expect(new Set(ports).size).toBe(ports.length)
        expect(ports.every(inRange)).toBe(true)
        for (const [uid, { port }] of before)
          if (port !== undefined && world.objects.has(uid)) expect(world.objects.get(uid)?.port).toBe(port)
      }
      // Whoever asks long enough has one.
      world.sync()
      for (let i = 0; i < world.objects.size; i++) world.reconcile(i)
      expect([...world.objects.values()].every(({ port }) => inRange(port))).toBe(true)
    }),
  )
})
