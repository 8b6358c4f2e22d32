import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { shareInterval } from './interval.ts'

describe('the interval of a measured share', () => {
  test.each([
    // Solved from the exact binomial sums with 60 digits, by another program.
    [0, 100, 0.01, 0, 0.051604029624],
    [1, 100, 0.01, 0.000050124162, 0.071957682402],
    [5, 100, 0.01, 0.010940333585, 0.135144682536],
    [50, 100, 0.05, 0.398321129503, 0.601678870497],
    [100, 100, 0.01, 0.948395970376, 1],
    [3, 2000, 0.01, 0.000169001935, 0.00547780296],
  ])('of %i in %i at alpha %d is what the binomial sums say', (hits, n, alpha, low, high) => {
    const interval = shareInterval(hits, n, alpha)
    expect(interval.low).toBeCloseTo(low, 10)
    expect(interval.high).toBeCloseTo(high, 10)
  })

  test('holds the share it was counted from, lies within 0 and 1, and is narrower the more was counted', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
        const hits = Math.round(n * share)
        const { low, high } = shareInterval(hits, n, 0.01)
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeLessThanOrEqual(1)
        expect(low).toBeLessThanOrEqual(hits / n)
        expect(high).toBeGreaterThanOrEqual(hits / n)
        const more = shareInterval(hits * 10, n * 10, 0.01)
        expect(more.high - more.low).toBeLessThan(high - low)
        const mirrored = shareInterval(n - hits, n, 0.01)
        expect(mirrored.low).toBeCloseTo(1 - high, 9)
        expect(mirrored.high).toBeCloseTo(1 - low, 9)
      }),
      { numRuns: 200 },
    )
  })

  test('misses the true share in at most 1 of 100 measurements, also of a share of 0.1 %', () => {
    // Exactly: the chance of every count whose interval misses, summed.
    for (const [share, n] of [
      [0.001, 2000],
      [0.01, 500],
      [0.05, 200],
      [0.5, 100],
    ] as const) {
      let missed = 0
      let chance = (1 - share) ** n
      for (let hits = 0; hits <= n; hits++) {
        const { low, high } = shareInterval(hits, n, 0.01)
        if (share < low || share > high) missed += chance
        chance *= ((n - hits) / (hits + 1)) * (share / (1 - share))
      }
      expect(missed).toBeLessThanOrEqual(0.01)
      expect(missed).toBeGreaterThan(0)
    }
  })

  test('of a thousand million requests is still found', () => {
    const { low, high } = shareInterval(1_000_000, 1_000_000_000, 0.01)
    expect(low).toBeCloseTo(0.001 - 2.5758 * Math.sqrt(0.001 / 1e9), 7)
    expect(high).toBeCloseTo(0.001 + 2.5758 * Math.sqrt(0.001 / 1e9), 7)
  })
})
