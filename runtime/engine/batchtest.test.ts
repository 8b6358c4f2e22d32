import { describe, expect, test } from '@jest/globals'
import { fault } from '../errors.ts'
import { tensor, zeros, type Datatype, type Signature, type Tensor } from '../tensor.ts'
import { sameTensor, testBatching } from './batchtest.ts'
import type { Engine } from './engine.ts'

const signature: Signature = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 4] }],
}

/** An engine that computes `y` from all rows of `x` at once. */
const engine = (compute: (rows: number[][]) => number[][], given: Signature = signature): Engine => ({
  signature: given,
  run([input]) {
    const width = input?.shape[1] ?? 1
    const data = Array.from(input?.data as Float32Array)
    const rows = Array.from({ length: input?.shape[0] ?? 0 }, (_, row) => data.slice(row * width, (row + 1) * width))
    const result = compute(rows)
    return [tensor('y', 'FP32', [result.length, width], Float32Array.from(result.flat()))]
  },
  dispose() {},
})

const sample = [zeros('x', 'FP32', [1, 4])]
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

describe('batches are allowed', () => {
  test('for a model that treats each row by itself', () => {
    const test = testBatching(
      engine((rows) => rows.map((row) => row.map((value) => value * 3))),
      sample,
    )
    expect(test).toMatchObject({ ok: true, row: [{ name: 'x', shape: [1, 4] }] })
  })

  test('when sums differ in their last bits only', () => {
    const rounding = engine((rows) => rows.map((row) => row.map((value) => value * (1 + rows.length * 1e-6))))
    expect(testBatching(rounding, sample).ok).toBe(true)
  })

  test('for a model that refuses large indices but not small ones', () => {
    const table = engine(
      (rows) => {
        if (rows.flat().some((value) => value > 1)) throw fault('RunFailed', { words: 'index out of range' })
        return rows
      },
      {
        inputs: [{ name: 'x', datatype: 'INT32', shape: [-1, 4] }],
        outputs: signature.outputs,
      },
    )
    expect(testBatching(table, [zeros('x', 'INT32', [1, 4])]).ok).toBe(true)
  })
})

describe('batches are refused', () => {
  test('to a model that keeps its rows apart only while a sequence has one element', () => {
    // A reshape to [sequence, batch] where a transpose was meant: right for a batch of one, and for a sequence of one.
    const mixing: Engine = {
      signature: {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, -1] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
      },
      run([input]) {
        const [batch = 1, length = 1] = input?.shape ?? []
        const data = input?.data as Float32Array
        const sums = new Float32Array(batch)
        for (let i = 0; i < batch * length; i += 1) sums[i % batch] = (sums[i % batch] ?? 0) + (data[i] ?? 0)
        return [tensor('y', 'FP32', [batch], sums)]
      },
      dispose() {},
    }
    expect(testBatching(mixing, [zeros('x', 'FP32', [1, 1])])).toMatchObject({ ok: false })
  })

  test.each<[string, (rows: number[][]) => number[][], string]>([
    [
      'subtracts the mean of the batch',
      (rows) => rows.map((row) => row.map((v) => v - mean(rows.flat()))),
      'another y',
    ],
    [
      'carries state from row to row',
      (rows) =>
        rows.map((_, i) =>
          rows
            .slice(0, i + 1)
            .flat()
            .slice(0, 4),
        ),
      'another y',
    ],
    ['turns the rows around', (rows) => rows.toReversed(), 'another y'],
    ['answers at random', (rows) => rows.map((row) => row.map(() => Math.random())), 'another y'],
    ['gives one row for all', (rows) => rows.slice(0, 1), 'for 2 rows of input'],
    ['always says the same', (rows) => rows.map(() => [1, 2, 3, 4]), 'same answer to every invented input'],
  ])('for a model that %s', (_name, compute, words) => {
    expect(testBatching(engine(compute), sample)).toEqual({ ok: false, reason: expect.stringContaining(words) })
  })

  test.each<[string, Signature, string]>([
    [
      'fixed first dimension',
      { ...signature, inputs: [spec('x', 1, 4)] },
      'the input x has the fixed first dimension 1',
    ],
    ['fixed output', { ...signature, outputs: [spec('y', 1, 4)] }, 'the output y has the fixed first dimension 1'],
    ['scalar', { ...signature, inputs: [spec('x', -1, 4), spec('rate')] }, 'the input rate is a scalar'],
    ['no inputs', { ...signature, inputs: [] }, 'the model has no inputs'],
  ])('by a signature with a %s', (_name, given, reason) => {
    expect(
      testBatching(
        engine((rows) => rows, given),
        sample,
      ),
    ).toEqual({ ok: false, reason })
  })

  test('where no input of one row is known', () => {
    expect(
      testBatching(
        engine((rows) => rows),
        undefined,
      ),
    ).toMatchObject({ ok: false, reason: /could not be tried/ })
    expect(
      testBatching(
        engine((rows) => rows),
        [zeros('x', 'FP32', [2, 4])],
      ),
    ).toMatchObject({
      ok: false,
      reason: 'the model refused a batch of one, so its first dimension is no batch',
    })
  })

  test('where the model refuses every value', () => {
    const refusing = engine(() => {
      throw fault('RunFailed', { words: 'never' })
    })
    expect(testBatching(refusing, sample)).toMatchObject({ ok: false, reason: expect.stringContaining('never') })
  })
})

test.each<[Datatype, Tensor['data'], Tensor['data'], boolean]>([
  ['FP32', Float32Array.of(1, Number.NaN), Float32Array.of(1.00001, Number.NaN), true],
  ['FP32', Float32Array.of(1, 0), Float32Array.of(1.001, 0), false],
  ['FP32', Float32Array.of(1, Number.NaN), Float32Array.of(1, 0), false],
  ['FP32', Float32Array.of(Infinity), Float32Array.of(-Infinity), false],
  ['FP16', Uint16Array.of(0x3c_00), Uint16Array.of(0x3c_01), true],
  ['FP16', Uint16Array.of(0x3c_00), Uint16Array.of(0x40_00), false],
  ['INT64', BigInt64Array.of(7n), BigInt64Array.of(8n), false],
  ['BYTES', [Buffer.from('a')], [Buffer.from('b')], false],
  ['BYTES', [Buffer.from('a')], [Buffer.from('a')], true],
])('%s %j and %j are the same: %s', (datatype, one, other, same) => {
  const of = (data: Tensor['data']): Tensor => tensor('y', datatype, [data.length], data)
  expect(sameTensor(of(one), of(other))).toBe(same)
})

function spec(name: string, ...shape: number[]): Signature['inputs'][number] {
  return { name, datatype: 'FP32', shape }
}
