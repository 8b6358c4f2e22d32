import { describe, expect, jest, test } from '@jest/globals'
import { mlpModel, onnxModel } from '../test/fixtures/onnx.ts'
import { startServer } from '../test/fixtures/runtime.ts'
import { readCpuLimits } from './cgroup.ts'
import { planThreads } from './engine/threads.ts'

jest.setTimeout(120_000)

/** `y = x·w·w` with a square matrix: some milliseconds a row, and worth batches. */
const slowModel = (size = 2500): Buffer =>
  onnxModel({
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] },
      { op: 'MatMul', inputs: ['h', 'w'], outputs: ['y'] },
    ],
    inputs: [{ name: 'x', type: 'FLOAT', shape: ['batch', size] }],
    outputs: [{ name: 'y', type: 'FLOAT', shape: ['batch', size] }],
    initializers: [
      {
        name: 'w',
        type: 'FLOAT',
        shape: [size, size],
        data: new Uint8Array(Float32Array.from({ length: size * size }, (_, i) => Math.sin(i) / size).buffer),
      },
    ],
  })

interface State {
  readonly versions: readonly {
    readonly phase: string
    readonly tuneMs: number
    readonly batching: { readonly maxSize: number; readonly measured: readonly { readonly size: number }[] }
    readonly threads: {
      readonly workers: number
      readonly intraOpThreads: number
      readonly reason: string
      readonly measured: readonly {
        readonly workers: number
        readonly intraOpThreads: number
        readonly perSecond: number
      }[]
    }
  }[]
}
const loaded = async (model: Uint8Array, environment = {}) => {
  const server = await startServer(model, environment)
  await server.ready()
  const state = (await (await fetch(server.metricsUrl.replace('/metrics', '/state'))).json()) as State
  const [version] = state.versions
  if (version === undefined) throw new Error('no version')
  const workers = await server.metric('slipway_workers')
  await server.stop()
  return { version, workers, log: server.log }
}

describe('threads by themselves', () => {
  test('are found by measuring every plan that fits, and the server says what it measured', async () => {
    const { version, workers, log } = await loaded(slowModel(), { SLIPWAY_THREADS: 'Auto' })
    const { threads, batching } = version
    const plans = planThreads(readCpuLimits(), 'Auto').length
    // A busy machine leaves no time for some plans, or for any, and says so; the same with sizes of batches.
    const none = plans === 1 || threads.reason.includes('measuring batches and a plan would take more than 5 s')
    const late = threads.reason.split('would have taken too long to try').length - 1
    expect(threads.measured).toHaveLength(none ? 0 : plans - late)
    for (const { perSecond } of threads.measured) expect(perSecond).toBeGreaterThan(0)
    expect(workers).toBe(threads.workers)
    expect(batching.measured.length).toBeGreaterThan(0)
    expect(batching.measured.map(({ size }) => size)).toEqual(batching.measured.map((_, at) => 2 ** at))
    const best = Math.max(0, ...threads.measured.map(({ perSecond }) => perSecond))
    for (const plan of threads.measured) {
      if (plan.workers === threads.workers && plan.intraOpThreads === threads.intraOpThreads) {
        expect(plan.perSecond).toBeGreaterThanOrEqual(best * 0.9)
      }
    }
    const line = log.find((found) => found['event.action'] === 'loaded')
    expect(line).toMatchObject({
      'threads.measured': threads.measured,
      'batching.max_size': batching.maxSize,
      'tuning.ms': Math.round(version.tuneMs),
    })
    expect(version.tuneMs).toBeGreaterThan(0)
  })

  test('are not tried where runs are so short that they would not help', async () => {
    const { version, workers } = await loaded(mlpModel(), { SLIPWAY_THREADS: 'Auto' })
    expect(version.threads).toMatchObject({ workers: 1, intraOpThreads: 1, measured: [] })
    expect(version.threads.reason).toContain('a run takes less than')
    expect(workers).toBe(1)
  })

  test('are what was asked for when that is a number', async () => {
    const { version } = await loaded(slowModel(600), { SLIPWAY_THREADS: '2', SLIPWAY_BATCH_MAX_SIZE: '4' })
    expect(version.threads).toMatchObject({ workers: 1, intraOpThreads: 2, reason: 'only one plan fits' })
    expect(version.batching).toMatchObject({ maxSize: 4, measured: [] })
  })
})
