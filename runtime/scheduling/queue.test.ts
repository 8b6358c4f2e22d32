import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { growthBy } from '../../test/kit/collector.ts'
import { WaitingLine, type Place, type Urgency } from './queue.ts'

interface Entry {
  readonly id: number
  readonly urgency?: Urgency
}

describe('the waiting line', () => {
  test('under any mix of arrivals, departures and turns everyone leaves once, the urgent first, else in order of arrival', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('push' as const), urgency: fc.constantFrom<Urgency>(0, 1, 2) }),
      fc.constant({ do: 'shift' } as const),
      fc.record({ do: fc.constant('remove' as const), which: fc.nat() }),
      fc.record({ do: fc.constant('take' as const), count: fc.nat({ max: 4 }), parity: fc.constantFrom(0, 1) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.integer({ min: 1, max: 8 }), (steps, maxEntries) => {
        const line = new WaitingLine<Entry>({ maxEntries, maxWaitMs: 60_000, onExpired: () => {} })
        const model: { readonly id: number; readonly urgency: Urgency }[] = []
        const places: Place<Entry>[] = []
        let id = 0
        for (const taken of steps) {
          if (taken.do === 'push') {
            const { urgency } = taken
            const entry = { id: id++, urgency }
            const place = line.push(entry, urgency)
            expect(place === undefined).toBe(model.length === maxEntries)
            if (place !== undefined) {
              model.push(entry)
              places.push(place)
            }
            model.sort((a, b) => a.urgency - b.urgency || a.id - b.id)
          } else if (taken.do === 'shift') {
            expect(line.shift()).toBe(model.shift())
          } else if (taken.do === 'take') {
            const suits = (entry: Entry): boolean => entry.id % 2 === taken.parity
            const expected = model.filter(suits).slice(0, taken.count)
            expect(line.take(taken.count, suits)).toEqual(expected)
            for (const entry of expected) model.splice(model.indexOf(entry), 1)
          } else {
            // Whoever came at all, also those that have left.
            const place = places[taken.which % Math.max(1, places.length)]
            if (place === undefined) continue
            const at = model.findIndex(({ id: one }) => one === place.entry.id)
            expect(line.remove(place)).toBe(at !== -1)
            if (at !== -1) model.splice(at, 1)
          }
          expect(line.size).toBe(model.length)
          expect(line.full).toBe(model.length === maxEntries)
        }
        expect(line.drain()).toEqual(model)
      }),
    )
  })

  test('who waits too long is told so, and only then', () => {
    jest.useFakeTimers()
    try {
      const expired: number[] = []
      const line = new WaitingLine<Entry>({ maxEntries: 9, maxWaitMs: 100, onExpired: ({ id }) => expired.push(id) })
      line.push({ id: 1 })
      jest.advanceTimersByTime(60)
      line.push({ id: 2 })
      jest.advanceTimersByTime(30)
      expect(line.oldestWaitMs()).toBe(90)
      expect(expired).toEqual([])
      jest.advanceTimersByTime(11)
      expect(expired).toEqual([1])
      jest.advanceTimersByTime(60)
      expect(expired).toEqual([1, 2])
      line.push({ id: 3 })
      line.shift()
      jest.advanceTimersByTime(200)
      expect(expired).toEqual([1, 2])
      expect(line.oldestWaitMs()).toBe(0)
    } finally {
      jest.useRealTimers()
    }
  })

  test('who may wait for less than everybody is told earlier, and what it was allowed', () => {
    jest.useFakeTimers()
    try {
      const expired: [number, number][] = []
      const line = new WaitingLine<Entry>({
        maxEntries: 9,
        maxWaitMs: 100,
        onExpired: ({ id }, limitMs) => expired.push([id, limitMs]),
      })
      line.push({ id: 1 })
      line.push({ id: 2 }, 1, 30)
      line.push({ id: 3 }, 0, 500)
      line.remove(line.push({ id: 4 }, 1, 30)!)
      jest.advanceTimersByTime(30)
      expect(expired).toEqual([[2, 30]])
      jest.advanceTimersByTime(80)
      expect(expired).toEqual([
        [2, 30],
        [1, 100],
        [3, 100],
      ])
      expect(line.size).toBe(0)
    } finally {
      jest.useRealTimers()
    }
  })

  test('those of different urgency who have waited too long are told in the order in which they came', () => {
    jest.useFakeTimers()
    try {
      const expired: number[] = []
      const line = new WaitingLine<Entry>({ maxEntries: 9, maxWaitMs: 100, onExpired: ({ id }) => expired.push(id) })
      line.push({ id: 1 }, 2)
      jest.advanceTimersByTime(1)
      line.push({ id: 2 }, 0)
      jest.advanceTimersByTime(1)
      line.push({ id: 3 }, 1)
      expect(line.oldestWaitMs()).toBe(2)
      line.push({ id: 4 }, 2)
      jest.advanceTimersByTime(110)
      expect(expired).toEqual([1, 2, 3, 4])
    } finally {
      jest.useRealTimers()
    }
  })

  test('who has left is kept by nobody: a line that has grown old does not make all that passes it grow old', () => {
    const line = new WaitingLine<{ readonly body: Uint8Array; readonly notes: readonly number[] }>({
      maxEntries: 100,
      maxWaitMs: 60_000,
      onExpired: () => {},
    })
    let passed = 0
    const growth = growthBy(() => {
      for (const until = passed + 100; passed < until; passed += 1) {
        line.push({ body: new Uint8Array(8), notes: Array.from({ length: 128 }, (_, at) => at + passed) })
        if (line.size > 4) line.shift()
      }
    })
    // 4,000 entries of a kilobyte each have passed; a few are there.
    expect(line.size).toBe(4)
    expect(growth).toBeLessThan(1_000_000)
    line.drain()
  })
})
