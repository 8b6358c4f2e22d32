import { describe, expect, test } from '@jest/globals'
import { countInterval, oddness } from './binomial.ts'

describe('counts that chance makes', () => {
  test('ten fair coins: one or less heads is 1.07 % of the draws, so 98 % of them lie from 1 to 9', () => {
    expect(countInterval(10, 0.5, 0.02)).toEqual([1, 9])
    expect(countInterval(10, 0.5, 0.04)).toEqual([2, 8])
  })

  test('ten fair coins: nine heads or more, or one or less, are 22 of 1024 draws', () => {
    expect(oddness(9, 10, 0.5)).toBeCloseTo(22 / 1024, 12)
    expect(oddness(5, 10, 0.5)).toBeCloseTo(1, 12)
  })

  test('50,000 requests at 1 %: 99 % of the time between 443 and 558', () => {
    const [low, high] = countInterval(50_000, 0.01, 0.01)
    expect(low).toBeGreaterThanOrEqual(440)
    expect(low).toBeLessThanOrEqual(446)
    expect(high).toBeGreaterThanOrEqual(555)
    expect(high).toBeLessThanOrEqual(561)
  })

  test('a count that chance does not make is told from one that it does', () => {
    expect(oddness(0, 10_000, 0.1)).toBeLessThan(1e-100)
    expect(oddness(1030, 10_000, 0.1)).toBeGreaterThan(0.2)
  })
})
