import { expect, test } from '@jest/globals'
import { tensor, zeros } from '../tensor.ts'
import { choose, tuneBatch } from './batchtune.ts'
import type { Engine } from './engine.ts'
import { Headroom } from './headroom.ts'

/** An engine on a clock of its own: a run takes `fixed` plus `each` for every row, in milliseconds. */
const timed = (fixed: number, each: number) => {
  let clock = 0
  const sizes: number[] = []
  const engine: Engine = {
    signature: { inputs: [], outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }] },
    run([input]) {
      const rows = input?.shape[0] ?? 0
      if (sizes.at(-1) !== rows) sizes.push(rows)
      clock += fixed + each * rows
      return [tensor('y', 'FP32', [rows], new Float32Array(rows))]
    },
    dispose() {},
  }
  return { engine, sizes, now: () => clock }
}
const row = [zeros('x', 'FP32', [1, 4])]

test('a model that costs the same for any batch takes the largest', () => {
  const { engine, now } = timed(1, 0.001)
  const { maxSize, reason, measured } = tuneBatch(engine, row, now).batching
  expect(maxSize).toBe(64)
  expect(reason).toMatch(/^a batch of 64 made \d\d\.\d times as many inferences a second as single runs$/)
  expect(measured.map(({ size }) => size)).toEqual([1, 2, 4, 8, 16, 32, 64])
})

test('a model that gains nothing runs every request alone', () => {
  const { engine, now } = timed(0.1, 10)
  expect(tuneBatch(engine, row, now).batching).toMatchObject({
    maxSize: 1,
    reason: expect.stringContaining('no batch was'),
  })
})

test('larger batches are not tried when two sizes gained nothing: ONNX Runtime would keep their memory', () => {
  const { engine, now, sizes } = timed(0.1, 10)
  const { largest } = tuneBatch(engine, row, now)
  expect(largest).toBe(4)
  expect(sizes).toEqual([1, 2, 4])
})

test('it tells the largest run, also one that took too long to count', () => {
  const { engine, now } = timed(60, 10)
  expect(tuneBatch(engine, row, now)).toMatchObject({ largest: 8, batching: { maxSize: 4 } })
})

test('of sizes nearly as fast as the fastest the smallest is taken', () => {
  const { engine, now } = timed(1, 1)
  expect(tuneBatch(engine, row, now).batching.maxSize).toBe(8)
})

test('runs longer than a tenth of a second are not chosen', () => {
  const { engine, now, sizes } = timed(60, 10)
  expect(tuneBatch(engine, row, now).batching.maxSize).toBe(4)
  expect(Math.max(...sizes)).toBe(8)
})

test('it ends within its budget, also for a model that takes seconds', () => {
  const { engine, now } = timed(4000, 1)
  expect(tuneBatch(engine, row, now).batching.maxSize).toBe(1)
  expect(now()).toBeLessThan(10_000)
})

test('large inputs are not piled up', () => {
  const { engine, now } = timed(1, 0)
  const large = [zeros('x', 'FP32', [1, 1024 * 1024])]
  expect(tuneBatch(engine, large, now).batching.measured.map(({ size }) => size)).toEqual([1, 2, 4, 8])
})

test('a batch that might not fit into the memory limit is not tried, and that is said', () => {
  const { engine, sizes, now } = timed(1, 0.001)
  // 10 MiB a row, kept for the largest run that there was; models may take 300 of the 400 MiB.
  const memory = new Headroom(400 * 2 ** 20, () => (100 + 10 * Math.max(0, ...sizes)) * 2 ** 20)
  const { batching, largest } = tuneBatch(engine, row, now, { memory })
  expect(largest).toBe(8)
  expect(batching.maxSize).toBe(8)
  expect(batching.reason).toMatch(
    /^a batch of 8 made .* as single runs; a batch of 16 might not fit into the memory limit$/,
  )
})

test('a model that does less than it takes to put its inputs together runs every request alone', () => {
  // It takes no time at all, and would gain by any batch; the copies of 1 MB are real.
  const { engine } = timed(0, 0)
  expect(tuneBatch(engine, [zeros('x', 'FP32', [1, 256 * 1024])]).batching.maxSize).toBe(1)
})

test('nothing measured but single runs means single runs', () => {
  expect(choose([{ size: 1, runMs: 5, perSecond: 200 }])).toMatchObject({ maxSize: 1 })
})
