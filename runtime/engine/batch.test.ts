import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { datatypes, elementCount, tensor, zeros, type Tensor } from '../tensor.ts'
import { groupAsks, groupKey, rowsOf, stack, unstack, type Ask } from './batch.ts'

/** Requests of a model with two inputs; dimensions, rows and wanted outputs vary. */
const anyAsk: fc.Arbitrary<Ask> = fc
  .record({
    rows: fc.nat({ max: 4 }),
    width: fc.integer({ min: 1, max: 2 }),
    outputs: fc.constantFrom(['y'], ['z'], ['y', 'z']),
    seed: fc.nat({ max: 100_000 }),
  })
  .map(({ rows, width, outputs, seed }) => ({
    inputs: [
      tensor(
        'a',
        'FP32',
        [rows, width],
        Float32Array.from({ length: rows * width }, (_, i) => seed + i / 64),
      ),
      tensor(
        'b',
        'INT64',
        [rows],
        BigInt64Array.from({ length: rows }, (_, i) => BigInt(seed * 100 + i)),
      ),
    ],
    outputs,
  }))

describe('requests put into runs', () => {
  test('each is in exactly one run, only with its like, in order, and a run keeps to its size', () => {
    fc.assert(
      fc.property(fc.array(anyAsk, { maxLength: 20 }), fc.integer({ min: 1, max: 9 }), (asks, maxRows) => {
        const runs = groupAsks(asks, maxRows)
        expect(runs.flat().toSorted((a, b) => a - b)).toEqual(asks.map((_, place) => place))
        for (const places of runs) {
          const members = places.flatMap((place) => asks[place] ?? [])
          expect(places).toEqual(places.toSorted((a, b) => a - b))
          expect(new Set(members.map(groupKey)).size).toBe(1)
          if (places.length > 1) {
            expect(groupKey(members[0] as Ask)).toBeDefined()
            expect(members.reduce((sum, { inputs }) => sum + (rowsOf(inputs) ?? 0), 0)).toBeLessThanOrEqual(maxRows)
          }
        }
      }),
    )
  })

  test.each<[string, Ask, Ask]>([
    ['another width', ask([2, 3]), ask([2, 4])],
    ['other outputs', ask([2, 3], ['y']), ask([2, 3], ['z'])],
    ['the outputs in another order', ask([2, 3], ['y', 'z']), ask([2, 3], ['z', 'y'])],
    ['another rank', ask([2, 3]), ask([2, 3, 1])],
  ])('%s never shares a run', (_name, one, other) => {
    expect(groupKey(one)).not.toBe(groupKey(other))
  })

  test('no rows, or unequal rows, run alone', () => {
    expect(groupKey(ask([0, 3]))).toBeUndefined()
    expect(groupKey({ inputs: [zeros('a', 'FP32', [1]), zeros('b', 'FP32', [2])], outputs: ['y'] })).toBeUndefined()
    expect(groupAsks([ask([0, 3]), ask([0, 3]), ask([1, 3]), ask([1, 3])], 8)).toEqual([[0], [1], [2, 3]])
  })
})

describe('stacked and taken apart', () => {
  test('every request gets exactly its own elements back, of every datatype', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...datatypes),
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
        (datatype, rows, tail) => {
          let next = 0
          const asks = rows.map((count) => {
            const filled = zeros('x', datatype, [count, ...tail])
            for (let i = 0; i < filled.data.length; i++) setElement(filled, i, next++ % 250)
            return { inputs: [filled], outputs: ['x'] }
          })
          const [stacked] = stack(asks)
          expect(stacked?.shape).toEqual([rows.reduce((a, b) => a + b, 0), ...tail])
          expect(unstack(stacked === undefined ? [] : [stacked], rows)).toEqual(asks.map(({ inputs }) => inputs))
        },
      ),
    )
  })

  test('an output that has not one row for each row of input is nobody’s', () => {
    expect(() => unstack([zeros('y', 'FP32', [1, 4])], [1, 1])).toThrow('the output y has the shape [1,4] for 2 rows')
    expect(() => unstack([zeros('y', 'FP32', [])], [1])).toThrow('the output y has the shape []')
  })

  test('an output without elements has its rows all the same', () => {
    expect(unstack([zeros('y', 'FP32', [3, 0])], [1, 2]).map(([part]) => part?.shape)).toEqual([
      [1, 0],
      [2, 0],
    ])
  })
})

function ask(shape: number[], outputs = ['y']): Ask {
  return { inputs: [tensor('x', 'FP32', shape, new Float32Array(elementCount(shape)))], outputs }
}

function setElement({ datatype, data }: Tensor, at: number, value: number): void {
  const elements = data as unknown as Record<number, unknown>
  if (datatype === 'BYTES') elements[at] = Buffer.from(String(value))
  else elements[at] = datatype === 'INT64' || datatype === 'UINT64' ? BigInt(value) : value % 128
}
