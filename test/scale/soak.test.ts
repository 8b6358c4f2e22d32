import { expect, test } from '@jest/globals'
import { slopePercentPerHour, type Sample } from './soak.ts'

const samples = (rss: (second: number) => number): Sample[] =>
  Array.from({ length: 100 }, (_, n) => ({ at: n * 36, rssMib: rss(n * 36), disturbed: false, resources: {} }))

test('a slope is what grows in an hour, as a share of the level, without the first fifth', () => {
  expect(slopePercentPerHour(samples(() => 100))).toBeCloseTo(0, 6)
  // 100 MiB at the start of what counts, 110 an hour later.
  const growing = slopePercentPerHour(samples((second) => 100 + second / 360))
  expect(growing).toBeGreaterThan(9)
  expect(growing).toBeLessThan(10)
  expect(slopePercentPerHour(samples((second) => (second < 700 ? second / 7 : 100)))).toBeCloseTo(0, 6)
})

test('one step is no growth, and a small growth without end is seen through one', () => {
  const step = (second: number): number => (second < 1600 ? 140 : 145)
  expect(slopePercentPerHour(samples(step))).toBeLessThan(1)
  expect(slopePercentPerHour(samples((second) => step(second) + second / 360))).toBeGreaterThan(6)
})
