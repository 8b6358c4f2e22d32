import { afterAll, expect, jest, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EnginePool } from './pool.ts'

jest.setTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-pool-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A worker whose runs and loading take what the model's name says, in milliseconds; each thread makes it a bit faster. */
const entry = pathToFileURL(join(folder, 'worker.mjs'))
writeFileSync(
  entry,
  `import { parentPort } from 'node:worker_threads'
  let threads
  parentPort.on('message', (order) => {
    if (order.type === 'measure') return parentPort.postMessage({ type: 'measured', perSecond: 100 + 20 * threads })
    threads = order.intraOpThreads
    const [runMs, loadMs] = JSON.parse(order.modelName)
    if (loadMs === 'fails') return parentPort.postMessage({ type: 'loadFailed', fault: { code: 'ModelInvalid', status: 500, message: 'no', retryable: false } })
    parentPort.postMessage({
      type: 'loaded', signature: { inputs: [], outputs: [] }, loadMs, selfTest: '', gpuShare: 0, warmupRuns: 0, warmupMs: 0,
      runMs: runMs ?? undefined, batching: { maxSize: 1, reason: '', measured: [] },
    })
  })`,
)
const plans = [
  [1, 1],
  [1, 4],
  [2, 2],
  [4, 1],
].map(([workers = 1, intraOpThreads = 1]) => ({ workers, intraOpThreads }))
const load = async (runMs: number | undefined, loadMs: number | string, count = 4) => {
  const pool = new EnginePool({ entry, stuckAfterMs: 60_000 })
  const order = {
    device: 'CPU',
    file: '',
    sizeBytes: 0,
    modelVersion: '',
    warmupRequests: 0,
    maxBatch: 'Auto',
  } as const
  const modelName = JSON.stringify([runMs ?? null, loadMs])
  try {
    const { plan, tried, why } = await pool.load({ ...order, modelName }, plans.slice(0, count))
    return { plan: `${plan.workers}x${plan.intraOpThreads}`, tried: tried.length, why, size: pool.size }
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

test('a pool whose model cannot be loaded leaves no worker behind', async () => {
  await expect(load(1, 'fails')).rejects.toThrow('no')
})
