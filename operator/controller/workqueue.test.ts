import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Registry } from 'prom-client'
import { Backoff } from './backoff.ts'
import { lowPriority, WorkQueue, type Clock, type Handout } from './workqueue.ts'

/** A clock that stands still until it is moved. */
class TestClock implements Clock {
  #now = 1000
  readonly #alarms = new Set<{ readonly at: number; readonly callback: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { at: this.#now + ms, callback }
    this.#alarms.add(alarm)
    return () => this.#alarms.delete(alarm)
  }

  get alarms(): number {
    return this.#alarms.size
  }

  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const due = [...this.#alarms].filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#alarms.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.callback()
    }
    this.#now = until
  }
}

const queueWith = (clock: Clock, registry = new Registry()): WorkQueue =>
  new WorkQueue({ name: 'test', clock, registry, backoff: new Backoff({ firstMs: 10, maxMs: 1000 }, () => 1) })

/** Takes what can be taken now; undefined where a taker would wait. */
const takeNow = async (queue: WorkQueue): Promise<Handout | undefined> => {
  if (queue.depth === 0) return undefined
  return queue.take()
}

const order = async (queue: WorkQueue): Promise<string[]> => {
  const keys: string[] = []
  for (let next = await takeNow(queue); next !== undefined; next = await takeNow(queue)) keys.push(next.key)
  return keys
}

describe('the queue', () => {
  test('holds a key once and hands out in the order of arrival', async () => {
    const queue = queueWith(new TestClock())
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key)
    expect(await order(queue)).toEqual(['a', 'b', 'c'])
  })

  test('hands out what a user changed before what a resync brought, and a key keeps its highest priority', async () => {
    const queue = queueWith(new TestClock())
    for (const key of ['a', 'b', 'c']) queue.add(key, { priority: lowPriority })
    queue.add('c')
    queue.add('d')
    queue.add('d', { priority: lowPriority })
    expect(await order(queue)).toEqual(['c', 'd', 'a', 'b'])
  })

  test('a key in work comes again, once, when it is done', async () => {
    const queue = queueWith(new TestClock())
    queue.add('a')
    await queue.take()
    queue.add('a')
    queue.add('a')
    expect(queue.depth).toBe(0)
    queue.done('a')
    expect(await order(queue)).toEqual(['a'])
    queue.done('a')
    expect(queue.depth).toBe(0)
  })

  test('waits as long as asked, and the sooner of two times counts', async () => {
    const clock = new TestClock()
    const queue = queueWith(clock)
    queue.addAfter('a', 500)
    queue.addAfter('a', 100)
    queue.addAfter('b', 200)
    queue.addAfter('b', 900)
    clock.advance(99)
    expect(await order(queue)).toEqual([])
    clock.advance(1)
    expect(await order(queue)).toEqual(['a'])
    clock.advance(100)
    expect(await order(queue)).toEqual(['b'])
    clock.advance(10_000)
    expect(await order(queue)).toEqual([])
    expect(clock.alarms).toBe(0)
  })

  test('adding at once takes the place of waiting', async () => {
    const clock = new TestClock()
    const queue = queueWith(clock)
    queue.addAfter('a', 500)
    queue.add('a')
    expect(await order(queue)).toEqual(['a'])
    queue.done('a')
    clock.advance(1000)
    expect(await order(queue)).toEqual([])
  })

  test('a time that comes while the key is in work is kept for afterwards', async () => {
    const clock = new TestClock()
    const queue = queueWith(clock)
    queue.add('a')
    await queue.take()
    queue.addAfter('a', 100)
    clock.advance(200)
    expect(queue.depth).toBe(0)
    queue.done('a')
    expect(await order(queue)).toEqual(['a'])
  })

  test('each failure waits longer, until it goes well', async () => {
    const clock = new TestClock()
    const queue = queueWith(clock)
    for (const waitMs of [10, 20, 40]) {
      queue.addRateLimited('a')
      clock.advance(waitMs - 1)
      expect(queue.depth).toBe(0)
      clock.advance(1)
      expect(await order(queue)).toEqual(['a'])
      queue.done('a')
    }
    expect(queue.failures('a')).toBe(3)
    queue.forget('a')
    queue.addRateLimited('a')
    clock.advance(10)
    expect(queue.depth).toBe(1)
  })

  test('whoever waits gets the next key; closed, everyone gets nothing and nothing is taken in', async () => {
    const clock = new TestClock()
    const queue = queueWith(clock)
    const waiting = [queue.take(), queue.take()]
    queue.add('a')
    expect(await waiting[0]).toEqual({ key: 'a', priority: 0 })
    queue.addAfter('b', 10)
    queue.close()
    expect(await waiting[1]).toBeUndefined()
    queue.add('c')
    expect(await queue.take()).toBeUndefined()
    expect(clock.alarms).toBe(0)
    queue.done('a')
  })

  test('counts as controller-runtime does', async () => {
    const clock = new TestClock()
    const registry = new Registry()
    const queue = queueWith(clock, registry)
    queue.add('a')
    queue.add('a')
    queue.add('b', { priority: lowPriority })
    clock.advance(3000)
    await queue.take()
    clock.advance(2000)
    const text = await registry.metrics()
    expect(text).toContain('workqueue_adds_total{name="test",controller="test"} 2')
    expect(text).toContain('workqueue_depth{name="test",controller="test",priority="-100"} 1')
    expect(text).toContain('workqueue_depth{name="test",controller="test",priority="0"} 0')
    expect(text).toContain('workqueue_queue_duration_seconds_sum{name="test",controller="test"} 3')
    expect(text).toContain('workqueue_longest_running_processor_seconds{name="test",controller="test"} 2')
    expect(text).toContain('workqueue_retries_total{name="test",controller="test"} 0')
  })
})

// The idea of controller-runtime's TestFuzzPriorityQueue: whatever is done to it, the invariants hold.
describe('for any course of events', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const act = fc.oneof(
    fc.record({
      do: fc.constant('add' as const),
      key,
      priority: fc.constantFrom(-100, 0, 5),
      afterMs: fc.constantFrom(0, 0, 5, 50, 500),
    }),
    fc.record({ do: fc.constant('take' as const) }),
    fc.record({ do: fc.constant('done' as const), key }),
    fc.record({ do: fc.constant('fail' as const), key }),
    fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 10, 100) }),
  )

  test('a key is handed out only when it is due, not in work, and first by priority; and none is ever lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 120 }), async (acts) => {
        const clock = new TestClock()
        const queue = queueWith(clock)
        const inWork = new Set<string>()
        /** What the queue owes us: the highest priority asked for and the soonest time. */
        const owed = new Map<string, { priority: number; at: number }>()
        const add = (wanted: string, priority: number, at: number): void => {
          const before = owed.get(wanted)
          owed.set(wanted, {
            priority: Math.max(priority, before?.priority ?? -Infinity),
            at: Math.min(at, before?.at ?? Infinity),
          })
        }
        const due = (): [string, { priority: number; at: number }][] =>
          [...owed].filter(([one, { at }]) => at <= clock.now() && !inWork.has(one))
        const take = async (): Promise<void> => {
          const handout = await takeNow(queue)
          if (handout === undefined) {
            expect(due()).toEqual([])
            return
          }
          expect(inWork.has(handout.key)).toBe(false)
          expect(due().map(([one]) => one)).toContain(handout.key)
          expect(handout.priority).toBe(owed.get(handout.key)?.priority)
          expect(handout.priority).toBe(Math.max(...due().map(([, { priority }]) => priority)))
          owed.delete(handout.key)
          inWork.add(handout.key)
        }
        for (const one of acts) {
          if (one.do === 'add') {
            queue.add(one.key, { priority: one.priority, afterMs: one.afterMs })
            add(one.key, one.priority, clock.now() + one.afterMs)
          } else if (one.do === 'fail' && inWork.has(one.key)) {
            const waitMs = Math.min(1000, 10 * 2 ** queue.failures(one.key))
            queue.addRateLimited(one.key)
            add(one.key, 0, clock.now() + waitMs)
          } else if (one.do === 'done') {
            queue.done(one.key)
            inWork.delete(one.key)
          } else if (one.do === 'advance') clock.advance(one.ms)
          else if (one.do === 'take') await take()
          expect(queue.depth).toBe(due().length)
          expect([...owed.keys()].every((wanted) => queue.has(wanted))).toBe(true)
        }
        for (const one of inWork) queue.done(one)
        inWork.clear()
        clock.advance(10_000)
        while (owed.size > 0) await take()
        expect(queue.depth).toBe(0)
      }),
      { numRuns: 500 },
    )
  })

  const workersAct = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), key, priority: fc.constantFrom(-100, 0) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('later' as const), key, afterMs: fc.constantFrom(1, 20, 300) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('finish' as const),
        which: fc.nat(7),
        how: fc.constantFrom('well' as const, 'failed' as const, 'again later' as const),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 10, 200) }) },
  )

  test('with workers that wait, no key is in work twice, each is worked on after its last add, and closing frees all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(workersAct, { maxLength: 100 }),
        fc.integer({ min: 1, max: 4 }),
        async (acts, workers) => {
          const clock = new TestClock()
          const queue = queueWith(clock)
          const inWork = new Map<string, () => void>()
          const doubled: string[] = []
          /** By key: the step of its last add, and of the last time that it was handed out. */
          const [added, taken] = [new Map<string, number>(), new Map<string, number>()]
          let step = 0
          const work = async (): Promise<void> => {
            for (let next = await queue.take(); next !== undefined; next = await queue.take()) {
              const current = next.key
              if (inWork.has(current)) doubled.push(current)
              taken.set(current, (step += 1))
              await new Promise<void>((resolve) => inWork.set(current, resolve))
              inWork.delete(current)
              queue.done(current)
            }
          }
          const working = Array.from({ length: workers }, work)
          const add = (wanted: string, options: { priority?: number; afterMs?: number }): void => {
            added.set(wanted, (step += 1))
            queue.add(wanted, options)
          }
          const settle = async (): Promise<void> => {
            for (let turn = 0; turn < 8; turn += 1) await Promise.resolve()
          }
          for (const one of acts) {
            if (one.do === 'add') add(one.key, { priority: one.priority })
            else if (one.do === 'later') add(one.key, { afterMs: one.afterMs })
            else if (one.do === 'advance') clock.advance(one.ms)
            else {
              const busy = [...inWork.keys()]
              const current = busy[one.which % busy.length]
              if (current !== undefined) {
                if (one.how === 'failed') {
                  added.set(current, (step += 1))
                  queue.addRateLimited(current)
                } else if (one.how === 'again later') add(current, { afterMs: 50 })
                else queue.forget(current)
                inWork.get(current)?.()
              }
            }
            await settle()
            // Whoever waits is not left waiting while there is something that could be worked on.
            if (inWork.size < workers) expect(queue.depth).toBe(0)
          }
          clock.advance(10_000)
          await settle()
          for (let turn = 0; turn < 100 && (inWork.size > 0 || queue.depth > 0); turn += 1) {
            for (const finish of inWork.values()) finish()
            await settle()
          }
          expect(doubled).toEqual([])
          for (const [one, at] of added) expect(taken.get(one) ?? 0).toBeGreaterThan(at)
          queue.close()
          await Promise.all(working)
        },
      ),
      { numRuns: 300 },
    )
  })
})
