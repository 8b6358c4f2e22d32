import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { tensor } from '../tensor.ts'
import { classify } from './classification.ts'

const texts = (data: Float32Array<ArrayBuffer>, shape: readonly number[], classes: number): string[] =>
  (classify(tensor('y', 'FP32', shape, data), classes).data as Uint8Array[]).map((text) => Buffer.from(text).toString())

/** As an array is sorted. */
const sorted = (data: Float32Array): number[] => {
  const rank = (value: number): number => (Number.isNaN(value) ? -Infinity : value)
  return [...data.keys()].toSorted((left, right) => {
    const [a, b] = [rank(data[left] ?? 0), rank(data[right] ?? 0)]
    return a === b ? left - right : a < b ? 1 : -1
  })
}

test('the highest values come first, of equal ones the lower index, and NaN last', () => {
  const value = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.float())
  fc.assert(
    fc.property(fc.array(value, { maxLength: 60 }), fc.nat({ max: 70 }), (values, classes) => {
      const data = Float32Array.from(values)
      const indexes = texts(data, [data.length], classes).map((text) => Number(text.split(':')[1]))
      expect(indexes).toEqual(sorted(data).slice(0, classes))
    }),
  )
})

test('each item of a batch has its own', () => {
  expect(texts(Float32Array.of(1, 3, 2, 9, 7, 8), [2, 3], 2)).toEqual([
    '3.000000:1',
    '2.000000:2',
    '9.000000:0',
    '8.000000:2',
  ])
})

test('an output of millions of values takes no memory but for the answer', () => {
  const data = Float32Array.from({ length: 2_000_000 }, (_, at) => (at * 7919) % 2_000_003)
  const before = process.memoryUsage().heapUsed
  const [first] = texts(data, [data.length], 1)
  const taken = process.memoryUsage().heapUsed - before
  expect(first).toBe(`2000002.000000:${data.indexOf(2_000_002)}`)
  // An array of its indexes alone has 16 MB.
  expect(taken).toBeLessThan(8_000_000)
})
