import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { WaitingLine } from './queue.ts'

interface Entry {
  readonly id: number
}

describe('the waiting line', () => {
  test('under any mix of arrivals, departures and turns everyone leaves once, in order of arrival', () => {
    const step = fc.oneof(
      fc.constant({ do: 'push' } as const),
      fc.constant({ do: 'shift' } as const),
      fc.record({ do: fc.constant('remove' as const), which: fc.nat() }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), fc.integer({ min: 1, max: 8 }), (steps, maxEntries) => {
        const line = new WaitingLine<Entry>({ maxEntries, maxWaitMs: 60_000, onExpired: () => {} })
        const model: Entry[] = []
        let id = 0
        for (const taken of steps) {
          if (taken.do === 'push') {
            const entry = { id: id++ }
            expect(line.push(entry)).toBe(model.length < maxEntries)
            if (model.length < maxEntries) model.push(entry)
          } else if (taken.do === 'shift') {
            expect(line.shift()).toBe(model.shift())
          } else {
            const entry = model[taken.which % Math.max(1, model.length)] ?? { id: -1 }
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
})
