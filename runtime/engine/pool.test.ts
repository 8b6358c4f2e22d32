import { afterAll, expect, jest, test } from '@jest/globals'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Headroom } from './headroom.ts'
import { EnginePool } from './pool.ts'

jest.setTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-pool-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Where each worker writes that it begins to load and that it has. */
const steps = join(folder, 'steps')
/** A worker whose runs and loading take what the model's name says, in milliseconds; each thread makes it a bit faster. */
const entry = pathToFileURL(join(folder, 'worker.mjs'))
writeFileSync(
  entry,
  `import { appendFileSync } from 'node:fs'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { parentPort } from 'node:worker_threads'
  let threads
  parentPort.on('message', async (order) => {
    if (order.type === 'measure') return parentPort.postMessage({ type: 'measured', perSecond: 100 + 20 * threads })
    threads = order.intraOpThreads
    const [runMs, loadMs, batchTuneMs] = JSON.parse(order.modelName)
    if (loadMs === 'fails') return parentPort.postMessage({ type: 'loadFailed', fault: { code: 'ModelInvalid', status: 500, message: 'no', retryable: false } })
    appendFileSync(${JSON.stringify(steps)}, 'begins ')
    await sleep(20)
    appendFileSync(${JSON.stringify(steps)}, 'ends ')
    parentPort.postMessage({
      type: 'loaded', signature: { inputs: [], outputs: [] }, loadMs, selfTest: '', gpuShare: 0, warmupRuns: 0, warmupMs: 0,
      runMs: runMs ?? undefined, batchTuneMs, batching: { maxSize: 1, reason: '', measured: [] },
    })
  })`,
)
const plans = [
  [1, 1],
  [1, 4],
  [2, 2],
  [4, 1],
].map(([workers = 1, intraOpThreads = 1]) => ({ workers, intraOpThreads }))
/** Under a limit in MiB, 100 are used at the start and each worker takes 60. */
const load = async (
  runMs: number | undefined,
  loadMs: number | string,
  count = 4,
  batchTuneMs = 0,
  limitMib?: number,
) => {
  const started = (): number => readFileSync(steps, 'utf8').split('ends').length - 1
  const limit = limitMib === undefined ? undefined : limitMib * 2 ** 20
  const memory = new Headroom(limit, () => (100 + 60 * started()) * 2 ** 20)
  const pool = new EnginePool({ entry, stuckAfterMs: 60_000, memory })
  const order = {
    device: 'CPU',
    file: '',
    sizeBytes: 0,
    modelVersion: '',
    warmupRequests: 0,
    maxBatch: 'Auto',
  } as const
  writeFileSync(steps, '')
  const modelName = JSON.stringify([runMs ?? null, loadMs, batchTuneMs])
  try {
    const { plan, tried, why, tuneMs } = await pool.load({ ...order, modelName }, plans.slice(0, count))
    return { plan: `${plan.workers}x${plan.intraOpThreads}`, tried: tried.length, why, size: pool.size, tuneMs }
  } finally {
    await pool.close()
  }
}

test.each<[string, number | undefined, number, number, object]>([
  ['the fastest plan', 10, 100, 4, { plan: '4x1', tried: 4, size: 4 }],
  ['one thread for short runs', 0.1, 100, 4, { plan: '1x1', tried: 0, size: 1 }],
  ['all cores in one worker where nothing can be run', undefined, 100, 4, { plan: '1x4', tried: 0, size: 1 }],
  ['all cores in one worker where trying would take too long', 10, 5000, 4, { plan: '1x4', tried: 0, size: 1 }],
  ['the best of those that can be tried in time', 10, 1200, 4, { plan: '2x2', tried: 3, size: 2 }],
  ['the only plan', 10, 100, 1, { plan: '1x1', tried: 0, size: 1 }],
])('a pool takes %s', async (_name, runMs, loadMs, count, expected) => {
  expect(await load(runMs, loadMs, count)).toMatchObject(expected)
})

test('batches and plans are measured within five seconds together, and what is left out is said', async () => {
  // Of the 4.2 s that the two plans before the last one take with 1.2 s of loading each, 3.5 are left.
  const { tuneMs, ...found } = await load(10, 1200, 4, 1500)
  expect(found).toEqual({
    plan: '1x4',
    tried: 2,
    size: 1,
    why: 'it was the fastest, or nearly; 2x2 would have taken too long to try; 4x1 would have taken too long to try',
  })
  expect(tuneMs).toBeGreaterThan(1500)
  expect(await load(10, 100, 4, 4900)).toMatchObject({
    plan: '1x4',
    tried: 0,
    why: 'measuring batches and a plan would take more than 5 s',
  })
})

test('no two workers load at once', async () => {
  await load(10, 100)
  const workers = plans.reduce((sum, plan) => sum + plan.workers, 0)
  expect(readFileSync(steps, 'utf8')).toBe('begins ends '.repeat(workers))
})

test('a pool whose model cannot be loaded leaves no worker behind', async () => {
  await expect(load(1, 'fails')).rejects.toThrow('no')
})

test.each<[string, number, object]>([
  [
    'one worker with all cores where no second one fits',
    292,
    {
      plan: '1x4',
      tried: 0,
      size: 1,
      why: 'no other plan fits beside it into the memory limit, so none could be measured',
    },
  ],
  [
    'the best of the plans that fit',
    294,
    {
      plan: '1x4',
      tried: 2,
      size: 1,
      why: 'it was the fastest, or nearly; 2x2 might not fit into the memory limit; 4x1 might not fit into the memory limit',
    },
  ],
])('under a memory limit a pool takes %s', async (_name, limitMib, expected) => {
  expect(await load(10, 100, 4, 0, limitMib)).toMatchObject(expected)
})
