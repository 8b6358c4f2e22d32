import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { steadyClock } from './clock.ts'

const hour = 3_600_000
const start = Date.parse('2026-11-26T12:00:00Z')

describe('the clock of deadlines', () => {
  test('is the wall clock while nobody touches that', () => {
    let monotonic = 5
    const now = steadyClock(
      () => start + monotonic - 5,
      () => monotonic,
    )
    for (const elapsed of [0, 1, 1000, hour]) {
      monotonic += elapsed
      expect(now()).toBe(start + monotonic - 5)
    }
  })

  test('takes no jump along, neither way, and has come back to the wall clock a day later', () => {
    for (const jump of [hour, -hour]) {
      let [monotonic, offset] = [0, 0]
      const now = steadyClock(
        () => start + monotonic + offset,
        () => monotonic,
      )
      offset = jump
      monotonic = 1000
      expect(Math.abs(now() - (start + 1000))).toBeLessThanOrEqual(50)
      monotonic = 24 * hour
      expect(now()).toBe(start + 24 * hour + jump)
    }
  })

  test('whatever the wall clock does, never goes back, and measures any time to a twentieth', () => {
    const event = fc.record({ elapsed: fc.nat({ max: hour }), jump: fc.integer({ min: -100 * hour, max: 100 * hour }) })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 50 }), (events) => {
        let [monotonic, offset] = [0, 0]
        const now = steadyClock(
          () => start + monotonic + offset,
          () => monotonic,
        )
        for (const { elapsed, jump } of events) {
          const before = now()
          offset += jump
          monotonic += elapsed
          const measured = now() - before
          expect(measured).toBeGreaterThanOrEqual(0)
          expect(Math.abs(measured - elapsed)).toBeLessThanOrEqual(elapsed * 0.05 + 1)
        }
      }),
    )
  })
})
