import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { fromHalf, toHalf } from './half.ts'

/** Node 24 rounds to halves by itself; TypeScript's library of this project does not know it yet. */
const view = new DataView(new ArrayBuffer(2)) as DataView & {
  setFloat16(at: number, value: number): void
  getFloat16(at: number): number
}

describe('half-precision floats', () => {
  test('all 65536 patterns have the value that Node gives them, and come back', () => {
    const wrong: number[] = []
    for (let bits = 0; bits < 65_536; bits++) {
      view.setUint16(0, bits)
      const value = fromHalf(bits)
      const same = Object.is(value, view.getFloat16(0)) && (Number.isNaN(value) || toHalf(value) === bits)
      if (!same) wrong.push(bits)
    }
    expect(wrong).toEqual([])
  })

  test('every double becomes the half that Node rounds it to', () => {
    const doubles = fc.oneof(
      fc.double(),
      fc.double({ min: -70_000, max: 70_000, noNaN: true }),
      fc.double({ min: -1e-4, max: 1e-4, noNaN: true }),
      // Exactly between two halves.
      fc.integer({ min: 0, max: 0x7bff }).map((bits) => (fromHalf(bits) + fromHalf(bits + 1)) / 2),
    )
    fc.assert(
      fc.property(doubles, (value) => {
        view.setFloat16(0, value)
        expect(toHalf(value)).toBe(view.getUint16(0))
      }),
      { numRuns: 5000 },
    )
  })
})
