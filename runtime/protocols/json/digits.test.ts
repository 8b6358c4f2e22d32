import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { tensor } from '../../tensor.ts'
import { longestNumber, writeSingle, writeWhole } from './digits.ts'
import { JsonWriter } from './writer.ts'

const written = (values: Float32Array<ArrayBuffer>): string =>
  Buffer.from(new JsonWriter().data(tensor('y', 'FP32', [values.length], values)).finish()).toString()
/** Every float32 that is a number, with each exponent as likely as another. */
const anySingle = fc
  .integer({ min: 0, max: 2 ** 32 - 1 })
  .map((bits) => new Float32Array(Uint32Array.of(bits).buffer)[0] ?? NaN)
  .filter(Number.isFinite)
/** Numbers that people know by few digits, and the float32 next to powers of ten and two. */
const round = fc
  .tuple(fc.integer({ min: -9999, max: 9999 }), fc.integer({ min: -42, max: 10 }))
  .map(([digits, power]) => Math.fround(Number(`${digits}e${power}`)))
  .filter(Number.isFinite)

/** Digits without the zeros around them. */
const significant = (text: string): number =>
  text
    .replace(/e.*$/, '')
    .replace(/[-.]/g, '')
    .replace(/^0+|0+$/g, '').length

describe('a float32 as digits', () => {
  const numbers = fc
    .array(fc.oneof(anySingle, round), { minLength: 1, maxLength: 100 })
    .map((all) => Float32Array.from(all))

  test('is JSON, and reads back to the same one, bit for bit', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const read = Float32Array.from(JSON.parse(written(values)) as number[])
        expect(new Uint32Array(read.buffer)).toEqual(new Uint32Array(values.buffer))
      }),
      { numRuns: 3000 },
    )
  })

  test('has no more digits than it needs, where six are few', () => {
    fc.assert(
      fc.property(fc.oneof(anySingle, round), (value) => {
        // Whole ones are written to the last digit.
        fc.pre(!Number.isInteger(value))
        const fewest = [6, 7, 8, 9].find((count) => Math.fround(Number(value.toPrecision(count))) === value) ?? 9
        expect(significant(written(Float32Array.of(value)).slice(1, -1))).toBeLessThanOrEqual(fewest)
      }),
      { numRuns: 5000 },
    )
  })

  test('reads back where the float32 below is nearer than the one above', () => {
    const values = Float32Array.from({ length: 276 }, (_, at) => 2 ** (at - 149))
    expect(Float32Array.from(JSON.parse(written(values)) as number[])).toEqual(values)
  })

  test('stays within the room that was made for it', () => {
    fc.assert(
      fc.property(anySingle, (value) => {
        const bytes = new Uint8Array(longestNumber + 8).fill(1)
        expect(writeSingle(bytes, 4, value)).toBeLessThanOrEqual(4 + longestNumber)
        expect([...bytes.subarray(0, 4), ...bytes.subarray(4 + longestNumber)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    [0.1, '0.1'],
    [-2.5, '-2.5'],
    [1e-7, '1e-7'],
    [-1.5e-7, '-1.5e-7'],
    [0.0001, '0.0001'],
    [0.00001234, '1.234e-5'],
    [999_999_999, '1000000000'],
    [16_777_216, '16777216'],
    [123_456.78, '123456.78'],
    [0, '0'],
    [-0, '-0.0'],
    [1.401298464324817e-45, '1.4013e-45'],
    [3.4028234663852886e38, '3.4028235e+38'],
    [Infinity, 'Infinity'],
    [NaN, 'NaN'],
  ])('is written as people write it: %d', (value, text) => {
    expect(written(Float32Array.of(value))).toBe(`[${text}]`)
  })
})

test('whole numbers up to 2^32 are written to the last digit', () => {
  const bytes = new Uint8Array(longestNumber)
  fc.assert(
    fc.property(fc.oneof(fc.integer({ min: 0, max: 2 ** 32 }), fc.nat(1000)), (value) => {
      const end = writeWhole(bytes, 0, value)
      expect(Buffer.from(bytes.subarray(0, end)).toString()).toBe(String(value))
    }),
  )
})
