import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { WaitingLine, type Urgency } from './queue.ts'

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
        let id = 0
        for (const taken of steps) {
          if (taken.do === 'push') {
            const { urgency } = taken
            const entry = { id: id++, urgency }
            expect(line.push(entry, urgency)).toBe(model.length < maxEntries)
            if (model.length < maxEntries) model.push(entry)
            model.sort((a, b) => a.urgency - b.urgency || a.id - b.id)
          } else if (taken.do === 'shift') {
            expect(line.shift()).toBe(model.shift())
          } else if (taken.do === 'take') {
            const suits = (entry: Entry): boolean => entry.id % 2 === taken.parity
            const expected = model.filter(suits).slice(0, taken.count)
            expect(line.take(taken.count, suits)).toEqual(expected)
            for (const entry of expected) model.splice(model.indexOf(entry), 1)
          } else {
            const entry = model[taken.which % Math.max(1, model.length)] ?? { id: -1, urgency: 1 as const }
            expect(line.remove(entry)).toBe(model.includes(entry))
            if (model.includes(entry)) model.splice(model.indexOf(entry), 1)
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
      const gone = { id: 4 }
      line.push(gone, 1, 30)
      line.remove(gone)
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
})
