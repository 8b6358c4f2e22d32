import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault, fault } from '../errors.ts'
import { tensor, type Tensor } from '../tensor.ts'
import type { Ask } from './batch.ts'
import type { Engine } from './engine.ts'
import { runTogether } from './together.ts'

/** Doubles each row; a row that starts with a negative number makes the whole run fail, as a bad index would. */
const doubling = (runs: number[] = []): Engine => ({
  signature: { inputs: [], outputs: [] },
  run(inputs: readonly Tensor[], outputs: readonly string[]) {
    const [input] = inputs
    const values = input?.data as Float32Array
    runs.push(input?.shape[0] ?? 0)
    const bad = values.find((value) => value < 0)
    if (bad !== undefined) throw fault('RunFailed', { words: `it dislikes ${bad}` })
    return outputs.map((name) =>
      tensor(
        name,
        'FP32',
        input?.shape ?? [],
        values.map((value) => value * 2),
      ),
    )
  },
  dispose() {},
})

const ask = (...values: number[]): Ask => ({
  inputs: [tensor('x', 'FP32', [values.length], Float32Array.from(values))],
  outputs: ['y'],
})

describe('requests that run together', () => {
  test('take one run, and each has its own answer', () => {
    const runs: number[] = []
    const { shares, retried } = runTogether(doubling(runs), [ask(1), ask(2, 3), ask(4)])
    expect({ runs, retried }).toEqual({ runs: [4], retried: false })
    expect(shares.map((share) => (share.ok ? [...(share.outputs[0]?.data ?? [])] : share.error))).toEqual([
      [2],
      [4, 6],
      [8],
    ])
    expect(shares.map(({ batchSize }) => batchSize)).toEqual([3, 3, 3])
  })

  test('one that the model refuses gets the words, and its neighbours their answers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: -3, max: 50 }), { minLength: 1, maxLength: 3 }), { maxLength: 8 }),
        (values) => {
          const { shares, retried } = runTogether(
            doubling(),
            values.map((numbers) => ask(...numbers)),
          )
          expect(shares).toHaveLength(values.length)
          values.forEach((numbers, index) => {
            const share = shares[index]
            if (numbers.some((value) => value < 0)) {
              expect(share).toMatchObject({ ok: false, error: expect.any(Fault) })
            } else {
              expect(share?.ok === true && [...(share.outputs[0]?.data ?? [])]).toEqual(numbers.map((n) => n * 2))
            }
          })
          expect(retried).toBe(values.length > 1 && values.flat().some((value) => value < 0))
        },
      ),
    )
  })

  test('a model that loses rows in a batch is run for each request alone', () => {
    const summing: Engine = {
      ...doubling(),
      run([input]) {
        const values = Array.from(input?.data as Float32Array)
        return [tensor('y', 'FP32', [1], Float32Array.of(values.reduce((a, b) => a + b)))]
      },
    }
    const { shares, retried } = runTogether(summing, [ask(1), ask(2)])
    expect(retried).toBe(true)
    expect(shares.map((share) => share.ok && [...(share.outputs[0]?.data ?? [])])).toEqual([[1], [2]])
  })
})
