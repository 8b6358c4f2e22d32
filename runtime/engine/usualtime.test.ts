import { expect, test } from '@jest/globals'
import { UsualTime } from './usualtime.ts'

const after = (times: readonly number[]): number => {
  const usual = new UsualTime()
  for (const ms of times) usual.add(ms)
  return usual.hangsAfterMs()
}
const many = (count: number, ms: number): number[] => Array.from({ length: count }, () => ms)

test('nothing is usual before a hundred runs are known', () => {
  expect(after(many(99, 1))).toBe(Infinity)
})

test('a run has hung after a hundred times the 99th percentile, and never before half a minute', () => {
  expect(after(many(100, 1))).toBe(30_000)
  expect(after(many(100, 700))).toBe(70_000)
  expect(after([...many(190, 1), ...many(10, 2000)])).toBe(200_000)
})

test('what was usual long ago is forgotten', () => {
  expect(after([...many(300, 5000), ...many(200, 400)])).toBe(40_000)
})
