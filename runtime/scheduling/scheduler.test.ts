import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Engine } from '../engine/engine.ts'
import { EnginePool } from '../engine/pool.ts'
import type { Signature, Tensor } from '../tensor.ts'
import { Scheduler, type Job, type Settled, type SchedulerOptions } from './scheduler.ts'

jest.setTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-scheduler-'))
afterAll(() => rmSync(folder, { recursive: true }))

/**
 * A worker that answers each body with itself and the number of its order, in batches of up to 8, each after as many
 * milliseconds as its first byte says, and in the order that its second byte mixes up. `!` refuses.
 */
const entry = pathToFileURL(join(folder, 'worker.mjs'))
writeFileSync(
  entry,
  `import { parentPort } from 'node:worker_threads'
  let orders = 0
  parentPort.on('message', ({ type, asks }) => {
    if (type === 'load') return parentPort.postMessage({
      type: 'loaded', signature: { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }], outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 1] }] },
      loadMs: 1, selfTest: '', warmupRuns: 0, warmupMs: 0, runMs: 0.1, gpuShare: 0, example: [{ name: 'x', datatype: 'FP32', shape: [1, 1] }],
      batchTuneMs: 0, batching: { maxSize: 8, reason: '', measured: [] },
    })
    const order = ++orders
    const until = performance.now() + asks[0].body[0]
    while (performance.now() < until);
    const times = { decodeMs: 0, runMs: 1, gpuShare: 0, encodeMs: 0, batchSize: asks.length }
    const results = asks.map(({ id, body }) => body[2] === 33
      ? { id, ok: false, fault: { code: 'Refused', status: 400, message: Buffer.from(body).toString('hex'), retryable: false }, times }
      : { id, ok: true, body: new Uint8Array([...body, order]), headers: {}, times })
    const half = asks[0].body[1] % (results.length + 1)
    for (const part of [results.slice(half), results.slice(0, half).reverse()]) {
      if (part.length > 0) parentPort.postMessage({ type: 'results', workMs: 1, spent: [], retried: false, results: part })
    }
  })`,
)

const wire = { codec: 'oip-rest', options: { headerLength: undefined } } as const
const pools: EnginePool[] = []
afterEach(async () => {
  for (const pool of pools.splice(0)) {
    // oxlint-disable-next-line no-await-in-loop -- a worker that computes must not be ended
    while (pool.inFlight > 0) await sleep(5)
    // oxlint-disable-next-line no-await-in-loop
    await pool.close()
  }
})
const start = async (workers: number, options: Partial<SchedulerOptions> = {}) => {
  const pool = new EnginePool({ entry, stuckAfterMs: 60_000 })
  pools.push(pool)
  const scheduler = new Scheduler(pool, {
    maxRequests: 1000,
    maxWaitMs: 60_000,
    maxBytes: 1e9,
    maxDelayMs: 0,
    ...options,
  })
  await pool.load(
    {
      device: 'CPU',
      file: '',
      sizeBytes: 0,
      modelName: '',
      modelVersion: '',
      warmupRequests: 0,
      maxBatch: 'Auto',
    },
    [{ workers, intraOpThreads: 1 }],
  )
  const send = (bytes: readonly number[], how = {}) => scheduler.submit(wire, Uint8Array.from(bytes), how)
  /** Gives the worker something that takes a while, and resolves when it is at it. */
  const busy = async () => {
    const job = send([150, 0, 0])
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    while (pool.inFlight === 0) await sleep(1)
    return job
  }
  return { pool, scheduler, send, busy }
}
/** The order that answered, which the worker appends to the body. */
const orderOf = (outcome: Settled): number | undefined => (outcome.ok ? outcome.body.at(-1) : undefined)

describe('whatever the mix of arrivals, priorities, timeouts and departures', () => {
  test('every request that stays is settled once, with its own answer, and none with a neighbour’s', async () => {
    const { scheduler, send } = await start(2, { maxRequests: 30 })
    const step = fc.record({
      pauseMs: fc.constantFrom(0, 0, 0, 1, 5),
      work: fc.nat({ max: 15 }),
      mix: fc.nat({ max: 255 }),
      kind: fc.constantFrom(0, 0, 0, 33),
      priority: fc.nat({ max: 4 }),
      timeoutMs: fc.constantFrom(undefined, undefined, 1, 20),
      leaves: fc.constantFrom(false, false, false, true),
    })
    let serial = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const stayed: Promise<void>[] = []
        for (const { pauseMs, work, mix, kind, priority, timeoutMs, leaves } of steps) {
          // oxlint-disable-next-line no-await-in-loop -- the pauses are what is tried
          if (pauseMs > 0) await sleep(pauseMs)
          serial += 1
          const own = [work, mix, kind, serial >> 16, (serial >> 8) & 255, serial & 255]
          const job = send(own, { priority, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
          let settled = 0
          const check = async (): Promise<void> => {
            const outcome = await job.settled
            settled += 1
            expect(settled).toBe(1)
            if (outcome.ok) expect([...outcome.body].slice(0, -1)).toEqual(own)
            else if (outcome.fault.code === 'Refused') {
              expect(outcome.fault.message).toBe(Buffer.from(own).toString('hex'))
              expect(kind).toBe(33)
            } else expect(['TimeoutPassed', 'QueueFull']).toContain(outcome.fault.code)
            if (!outcome.ok && outcome.fault.code === 'TimeoutPassed') expect(timeoutMs).toBeDefined()
          }
          const checked = check()
          if (leaves) job.cancel()
          else stayed.push(checked)
        }
        await Promise.all(stayed)
        expect(scheduler.waiting).toBe(0)
      }),
      { numRuns: 30 },
    )
  })
})

describe('with a short lane', () => {
  const value = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 1] }) as const
  const signature: Signature = { inputs: [value('x')], outputs: [value('y')] }
  /** A worker, and a lane in this thread. */
  const laned = async () => {
    const engine: Engine = { signature, run: ([input]) => [{ ...input, name: 'y' } as Tensor], dispose() {} }
    const pool = new EnginePool({
      entry,
      stuckAfterMs: 60_000,
      loadHere: () => Promise.resolve(engine),
      // Nothing takes long, whatever else the machine does.
      now: () => 0,
    })
    pools.push(pool)
    const options = { maxRequests: 1000, maxWaitMs: 60_000, maxBytes: 1e9, maxDelayMs: 0 }
    const scheduler = new Scheduler(pool, options)
    const order = {
      device: 'CPU',
      // A model without an operator.
      file: '/dev/null',
      sizeBytes: 0,
      modelVersion: '',
      warmupRequests: 0,
      maxBatch: 'Auto',
    } as const
    const { lane } = await pool.load({ ...order, modelName: 'laned' }, [{ workers: 1, intraOpThreads: 1 }])
    expect(lane).toMatch(/^open/)
    /** Where a request was run: the lane answers with outputs, the worker with what it was sent. */
    const where = ({ settled }: Job, own: string) =>
      settled.then((outcome) => {
        if (!outcome.ok) throw new Error(outcome.fault.message)
        const text = Buffer.from(outcome.body).toString()
        if (!text.includes(own)) throw new Error(`it got another one's answer: ${text}`)
        return text.includes('"outputs"') ? 'here' : 'worker'
      })
    const send = (id = 'a') => {
      const body = JSON.stringify({ id, inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1], data: [7] }] })
      return where(scheduler.submit(wire, Uint8Array.from(Buffer.from(`   ${body}`)), {}), `"${id}"`)
    }
    /** More than the lane takes; a worker is at it for a while. */
    const sendLarge = () => {
      const body = new Uint8Array(20_000)
      body[0] = 20
      return where(scheduler.submit(wire, body, {}), '\0')
    }
    return { pool, scheduler, send, sendLarge }
  }

  test('small requests are run here, alone or in company', async () => {
    const { pool, scheduler, send } = await laned()
    expect(await send()).toBe('here')
    expect(await Promise.all(['b', 'c', 'd'].map(send))).toEqual(['here', 'here', 'here'])
    expect([pool.inFlight, scheduler.waiting]).toEqual([0, 0])
  })

  test('large ones go to a worker at the same time, and hold up no small one', async () => {
    const { send, sendLarge } = await laned()
    const order: string[] = []
    const note = async (job: Promise<string>): Promise<void> => void order.push(await job)
    await Promise.all([note(sendLarge()), note(send()), note(send())])
    expect(order).toEqual(['here', 'here', 'worker'])
    const large = sendLarge()
    expect(await send()).toBe('here')
    expect(await large).toBe('worker')
  })

  test('those that are too many for one turn go to a worker', async () => {
    const { send } = await laned()
    const ran = await Promise.all(Array.from({ length: 12 }, (_, at) => send(`id ${at}`)))
    // A run takes 0.1 ms, and a turn shall take no more than one. On a slow machine fewer than ten are run in it, and who is
    // left when the worker is busy has another turn.
    expect(ran[0]).toBe('here')
    expect(ran).toContain('worker')
  })

  test('under any mix everyone gets the own answer, and large ones from a worker', async () => {
    const { pool, scheduler, send, sendLarge } = await laned()
    const arrivals = fc.array(fc.record({ large: fc.boolean(), pause: fc.constantFrom(false, false, true) }), {
      maxLength: 50,
    })
    await fc.assert(
      fc.asyncProperty(arrivals, async (each) => {
        const jobs: Promise<string>[] = []
        for (const [at, { large, pause }] of each.entries()) {
          // oxlint-disable-next-line no-await-in-loop -- the pauses are what is tried
          if (pause) await sleep(1)
          jobs.push(large ? sendLarge() : send(`id ${at}`))
        }
        const ran = await Promise.all(jobs)
        expect(ran.filter((who, at) => each[at]?.large && who === 'here')).toEqual([])
        expect([pool.inFlight, scheduler.waiting]).toEqual([0, 0])
      }),
      { numRuns: 20 },
    )
  })
})

describe('requests that wait', () => {
  test('go to the worker together when it becomes free, as many as a run takes', async () => {
    const { send, busy } = await start(1)
    const first = await busy()
    const outcomes = await Promise.all(
      [first, ...Array.from({ length: 10 }, () => send([0, 0, 0]))].map((j) => j.settled),
    )
    expect(outcomes.map(orderOf)).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3])
    expect(outcomes.map(({ batchSize }) => batchSize)).toEqual([1, 8, 8, 8, 8, 8, 8, 8, 8, 2, 2])
  })

  test('that arrive in one moment share a run, although the worker is free, once requests have come in company', async () => {
    const { send } = await start(1)
    const burst = () => Promise.all(Array.from({ length: 5 }, () => send([0, 0, 0]).settled))
    expect((await burst()).map(orderOf)).toEqual([1, 2, 2, 2, 2])
    expect((await burst()).map(orderOf)).toEqual([3, 3, 3, 3, 3])
  })

  test('for nobody go to the worker in the same turn', async () => {
    const { pool, send } = await start(1)
    for (let sent = 0; sent < 3; sent++) {
      const job = send([0, 0, 0])
      expect(pool.inFlight).toBe(1)
      // oxlint-disable-next-line no-await-in-loop -- one after another is what is tried
      await job.settled
    }
  })

  test('are shared out when several workers are free', async () => {
    const { send } = await start(2)
    const burst = (count: number) => Promise.all(Array.from({ length: count }, () => send([0, 0, 0]).settled))
    await burst(5)
    expect((await burst(6)).map(({ batchSize }) => batchSize)).toEqual([3, 3, 3, 3, 3, 3])
  })

  test('leave in order of urgency: 1 first, then 2 and those that say nothing, then the rest', async () => {
    const { send, busy } = await start(1)
    const first = await busy()
    const urgencies = [5, 0, 2, 1, 3, undefined, 1, 2, 2, 2, 2, 2, 2]
    const jobs = urgencies.map((priority) => send([0, 0, 0], { priority }))
    const outcomes = await Promise.all([first, ...jobs].map((job) => job.settled))
    expect(outcomes.map(orderOf)).toEqual([1, 3, 2, 2, 2, 3, 2, 2, 2, 2, 2, 3, 3, 3])
  })

  test('wait for company as long as they may, and no longer than until a run is full', async () => {
    const { scheduler, send } = await start(1, { maxDelayMs: 100_000 })
    const few = Array.from({ length: 7 }, () => send([0, 0, 0]).settled)
    await sleep(20)
    expect(scheduler.waiting).toBe(7)
    const outcomes = await Promise.all([...few, send([0, 0, 0]).settled])
    expect(outcomes.map(orderOf)).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
  })

  test('go without company when the delay is over', async () => {
    const { send } = await start(1, { maxDelayMs: 30 })
    const outcome = await send([0, 0, 0]).settled
    expect(outcome).toMatchObject({ ok: true, batchSize: 1 })
    expect(outcome.waitMs).toBeGreaterThanOrEqual(29)
  })

  test('longer than their own timeout are told so, with its figure', async () => {
    const { send, busy } = await start(1)
    const first = await busy()
    const late = await send([0, 0, 0], { timeoutMs: 3 }).settled
    expect(late).toMatchObject({
      ok: false,
      fault: { code: 'TimeoutPassed', status: 504, message: expect.stringContaining('longer than the 3 ms') },
    })
    expect((await first.settled).ok).toBe(true)
  })
})
