import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Scheduler } from '../scheduling/scheduler.ts'
import { ServerState } from '../state.ts'
import { EnginePool } from './pool.ts'

jest.setTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-thread-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A worker that loads at once and then does as each body's first letter tells: answer, be slow, exit, throw. */
const entry = pathToFileURL(join(folder, 'worker.mjs'))
writeFileSync(
  entry,
  `import { parentPort } from 'node:worker_threads'
  const times = { decodeMs: 0, runMs: 100, encodeMs: 0, batchSize: 1 }
  const answer = (id, body) => parentPort.postMessage({
    type: 'results', workMs: 100, spent: [], retried: false,
    results: [{ id, ok: true, body: new Uint8Array(body), headers: {}, times }],
  })
  parentPort.on('message', ({ type, asks }) => {
    if (type === 'load') return parentPort.postMessage({
      type: 'loaded', signature: { inputs: [], outputs: [] }, loadMs: 1, selfTest: '', warmupRuns: 0, warmupMs: 0, runMs: 1, gpuShare: 0,
      batchTuneMs: 0, batching: { maxSize: 1, reason: '', measured: [] },
    })
    for (const { id, body } of asks) {
      const told = String.fromCharCode(body[0])
      if (told === 'a') answer(id, body)
      else if (told === 's') setTimeout(answer, 200, id, body)
      else if (told === 'e') process.exit(3)
      else throw new Error('the model is possessed')
    }
  })`,
)

const wire = { codec: 'oip-rest', options: { headerLength: undefined } } as const
let now = 0
const pools: EnginePool[] = []
afterEach(async () => {
  for (const pool of pools.splice(0)) {
    // oxlint-disable-next-line no-await-in-loop -- a worker that computes must not be ended
    while (pool.inFlight > 0) await sleep(10)
    // oxlint-disable-next-line no-await-in-loop
    await pool.close()
  }
})
const start = async (workers = 1) => {
  now = 1000
  const pool = new EnginePool({ entry, stuckAfterMs: 60_000, now: () => now })
  pools.push(pool)
  const scheduler = new Scheduler(pool, { maxRequests: 4, maxWaitMs: 60_000, maxBytes: 100, maxDelayMs: 0 })
  const state = new ServerState(pool)
  await pool.load(
    {
      device: 'CPU',
      file: '',
      sizeBytes: 0,
      modelName: '',
      modelVersion: '',
      warmupRequests: 0,
      maxBatch: 1,
    },
    [{ workers, intraOpThreads: 1 }],
  )
  state.enter({ name: 'Serving' })
  const send = (told: string) => scheduler.submit(wire, new Uint8Array(Buffer.from(told)))
  return { pool, scheduler, state, send }
}

describe('a worker', () => {
  test('that dies fails what it held and what waits, and the server is neither live nor ready', async () => {
    const { state, send } = await start()
    expect(state.health()).toEqual({ live: true, ready: true, reason: undefined })
    const jobs = [send('e'), send('a'), send('a')]
    for (const { settled } of jobs) {
      // oxlint-disable-next-line no-await-in-loop -- each is looked at in turn
      expect(await settled).toMatchObject({
        ok: false,
        fault: { code: 'EngineGone', status: 503, message: expect.stringContaining('it exited with code 3') },
      })
    }
    expect(state.health()).toEqual({ live: false, ready: false, reason: 'it exited with code 3' })
    expect(await send('a').settled).toMatchObject({ ok: false, fault: { code: 'EngineGone' } })
  })

  test('that throws is gone, with its words', async () => {
    const { state, send } = await start()
    expect(await send('x').settled).toMatchObject({ ok: false, fault: { code: 'EngineGone' } })
    expect(state.health()).toEqual({ live: false, ready: false, reason: 'the model is possessed' })
  })

  test('that hangs makes the server not live, but only after a very long run, and a new run starts the clock again', async () => {
    const { state, send } = await start(2)
    void send('s')
    now += 59_999
    expect(state.health().live).toBe(true)
    now += 1
    expect(state.health()).toEqual({
      live: false,
      ready: false,
      reason: 'a single inference has run for 60 s, so the worker hangs',
    })
  })

  test('that hangs is known much sooner where runs are usually short', async () => {
    const { state, send } = await start()
    // oxlint-disable-next-line no-await-in-loop -- the line holds four
    for (let i = 0; i < 100; i++) await send('a').settled
    void send('s')
    now += 29_999
    expect(state.health().live).toBe(true)
    now += 1
    expect(state.health()).toMatchObject({ live: false, reason: expect.stringContaining('has run for 30 s') })
  })

  test('of several takes the next request while another is busy; beyond that they wait in order', async () => {
    const { pool, scheduler, send } = await start(2)
    void send('s')
    void send('s')
    expect({ free: pool.free, inFlight: pool.inFlight, waiting: scheduler.waiting }).toEqual({
      free: false,
      inFlight: 2,
      waiting: 0,
    })
    const waiting = send('a')
    expect(scheduler.waiting).toBe(1)
    waiting.cancel()
    expect(scheduler.waiting).toBe(0)
  })

  test('is never ended while it computes', async () => {
    const { pool, send } = await start()
    void send('s')
    await expect(pool.close()).rejects.toThrow('a busy inference worker cannot be ended')
  })
})

describe('the scheduler', () => {
  test('refuses what its line cannot hold, and bodies beyond its budget', async () => {
    const { scheduler, send } = await start()
    void send('s')
    for (let i = 0; i < 4; i++) void send('a')
    expect(scheduler.refusal()).toMatchObject({
      code: 'QueueFull',
      message: expect.stringContaining('4 requests wait and 4 may'),
    })
    expect(await send('a').settled).toMatchObject({ ok: false, fault: { code: 'QueueFull', status: 503 } })
    expect(scheduler.reserve(150)).toBeUndefined()
    expect(scheduler.reserve(1)).toMatchObject({
      code: 'QueueFull',
      message: expect.stringContaining('hold 150 bytes and may hold 100 bytes'),
    })
    scheduler.release(150)
    expect(scheduler.heldBytes).toBe(0)
    expect(scheduler.retryAfterSeconds).toBe(1)
  })

  test('answers everything that waited once the worker is free', async () => {
    const { send } = await start()
    const told = ['a1', 'a2', 'a3', 'a4', 'a5']
    const outcomes = await Promise.all(told.map((words) => send(words).settled))
    expect(outcomes.map((outcome) => (outcome.ok ? String(Buffer.from(outcome.body)) : outcome.fault))).toEqual(told)
  })
})
