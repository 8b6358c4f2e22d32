import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { hasSettled, settlesAt, settlingNow, type Settling } from './settling.ts'

test('a claim settles when it has held without a break', () => {
  const first = settlingNow(undefined, ['a'], 1000)
  expect(hasSettled(first, 'a', 5000, 5999)).toBe(false)
  expect(hasSettled(settlingNow(first, ['a', 'b'], 4000), 'a', 5000, 6000)).toBe(true)
  const broken = settlingNow(settlingNow(first, [], 2000), ['a'], 3000)
  expect(hasSettled(broken, 'a', 5000, 6000)).toBe(false)
  expect(settlesAt(broken, 5000, 3000)).toBe(8000)
  expect(settlesAt(broken, 5000, 8000)).toBeUndefined()
})

test('a clock that is set back makes no claim younger than it is, and never wakes anybody late for ever', () => {
  const before = settlingNow(undefined, ['a'], 100_000)
  const after = settlingNow(before, ['a'], 10_000)
  expect(settlesAt(after, 5000, 10_000)).toBe(15_000)
})

test('what is not claimed at every look between is never settled', () => {
  const look = fc.record({ claimed: fc.boolean(), ms: fc.integer({ min: 1, max: 4000 }) })
  fc.assert(
    fc.property(fc.array(look, { minLength: 1, maxLength: 30 }), (looks) => {
      let settling: Settling | undefined
      let now = 0
      let heldSince: number | undefined
      for (const { claimed, ms } of looks) {
        now += ms
        heldSince = claimed ? (heldSince ?? now) : undefined
        settling = settlingNow(settling, claimed ? ['a'] : [], now)
        expect(hasSettled(settling, 'a', 5000, now)).toBe(heldSince !== undefined && now - heldSince >= 5000)
      }
    }),
  )
})
