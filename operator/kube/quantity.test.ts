import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { sameQuantity } from './quantity.ts'

describe('quantities', () => {
  test.each([
    ['1', '1000m'],
    ['0.5', '500m'],
    ['1Gi', '1024Mi'],
    ['1.5Gi', '1536Mi'],
    ['1k', '1000'],
    ['1e3', '1k'],
    ['1E3', '1000'],
    ['100m', '.1'],
    ['-1', '-1000m'],
    ['0', '0Gi'],
    ['12E', '12000P'],
    ['1n', '0.001u'],
  ])('%s is %s', (a, b) => {
    expect(sameQuantity(a, b)).toBe(true)
  })

  test.each([
    ['1', '1001m'],
    ['1G', '1Gi'],
    ['1', '-1'],
    ['9007199254740993', '9007199254740992'],
    ['one', 'one'],
    ['1 Gi', '1Gi'],
    ['', ''],
    ['1x', '1x'],
  ])('%s is not the same amount as %s', (a, b) => {
    expect(sameQuantity(a, b)).toBe(false)
  })

  test('an amount written in thousandths or in a larger unit is the same amount', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1_000_000, max: 1_000_000 }), (n) => {
        expect(sameQuantity(`${n}`, `${n * 1000}m`)).toBe(true)
        expect(sameQuantity(`${n}Ki`, `${n * 1024}`)).toBe(true)
        expect(sameQuantity(`${n}`, `${n}.001`)).toBe(false)
      }),
    )
  })
})
