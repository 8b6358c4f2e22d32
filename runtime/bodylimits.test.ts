import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { bodyLimits } from './bodylimits.ts'

const mib = 2 ** 20

test.each([
  ['none', undefined, 64, 1024],
  ['1 GiB', 1024, 64, 216],
  ['512 MiB', 512, 64, 88],
  ['256 MiB', 256, 24, 24],
  ['192 MiB', 192, 12, 12],
  ['128 MiB', 128, 8, 8],
])('under a memory limit of %s', (_name, limit, largest, together) => {
  const found = bodyLimits(64 * mib, limit === undefined ? undefined : limit * mib)
  expect(Math.floor(found.largest / mib)).toBe(largest)
  expect(Math.floor(found.together / mib)).toBe(together)
})

test('without a limit one body of the largest size has room, however large', () => {
  expect(bodyLimits(2 ** 31 - 1, undefined)).toMatchObject({ largest: 2 ** 31 - 1, together: 2 ** 31 - 1 })
})

test('a body of the largest size has room, and all together at most a quarter of the limit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      fc.integer({ min: 32 * mib, max: 2 ** 36 }),
      (asked, limit) => {
        const { largest, together, spare } = bodyLimits(asked, limit)
        expect(largest).toBeGreaterThan(0)
        expect(largest).toBeLessThanOrEqual(Math.min(asked, together))
        expect(together).toBeLessThanOrEqual(limit / 4)
        expect(spare).toBeLessThan(together)
      },
    ),
  )
})
