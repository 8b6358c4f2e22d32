import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Backoff } from './backoff.ts'
import { Heap } from './heap.ts'

test('a key that fails waits twice as long each time, up to five minutes; others are not affected', () => {
  const backoff = new Backoff(undefined, () => 1)
  expect(Array.from({ length: 4 }, () => backoff.next('a'))).toEqual([5, 10, 20, 40])
  for (let n = 0; n < 100; n += 1) backoff.next('a')
  expect(backoff.next('a')).toBe(300_000)
  expect(backoff.next('b')).toBe(5)
  backoff.forget('a')
  expect([backoff.failures('a'), backoff.next('a')]).toEqual([0, 5])
})

test("a failure that is not the key's own has a lower cap, and counts all the same", () => {
  const backoff = new Backoff(undefined, () => 1)
  for (let n = 0; n < 100; n += 1) backoff.next('a')
  expect(backoff.next('a', 30_000)).toBe(30_000)
  expect(backoff.next('b', 30_000)).toBe(5)
  expect(backoff.failures('a')).toBe(101)
})

test('waits are spread over everything from nothing to the full time, so that keys that failed together part', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.nat({ max: 200 }),
      (random, failures) => {
        const backoff = new Backoff(undefined, () => random)
        for (let n = 0; n < failures; n += 1) backoff.next('a')
        expect(backoff.next('a')).toBeCloseTo(random * Math.min(300_000, 5 * 2 ** Math.min(failures, 31)), 3)
      },
    ),
  )
})

test('a heap gives back everything in the order of its times', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (times) => {
      const heap = new Heap<{ readonly at: number }>()
      for (const at of times) heap.push({ at })
      const popped: number[] = []
      for (let next = heap.pop(); next !== undefined; next = heap.pop()) popped.push(next.at)
      expect(popped).toEqual(times.toSorted((a, b) => a - b))
      expect(heap.size).toBe(0)
    }),
  )
})
