/**
 * The main thread's handle on one inference worker: loads a model in it and sends it requests.
 * It must never terminate a worker that computes: ONNX Runtime would abort the whole process.
 */
import { Worker } from 'node:worker_threads'
import { Fault, fault, wordsOf, type FaultReport } from '../errors.ts'
import type { Wire } from '../protocols/codecs.ts'
import {
  workerRole,
  type LoadedReply,
  type LoadOrder,
  type Order,
  type Reply,
  type Result,
  type ResultsReply,
  type Times,
  type WorkerData,
} from './messages.ts'
import { Pending } from './pending.ts'
import { leastHangMs, UsualTime } from './usualtime.ts'

/** What became of one request in the worker, and where its time went. */
export type Outcome = Times &
  (
    | { readonly ok: true; readonly body: Uint8Array<ArrayBuffer>; readonly headers: Readonly<Record<string, string>> }
    | { readonly ok: false; readonly fault: FaultReport }
  )

/** A request on its way to a worker. The body is transferred: nobody may touch it afterwards. */
export interface Ask {
  readonly wire: Wire
  readonly body: Uint8Array<ArrayBuffer>
  /** How long it has waited so far, in milliseconds. */
  readonly waitedMs: number
  readonly settle: (outcome: Outcome) => void
}

/**
 * How much work a worker may hold beyond the requests it is at. Some spares both threads a wake-up between short
 * requests; little keeps what can be cancelled, timed out or refused in the queue, where that is possible.
 */
const aheadMs = 3
const maxAhead = 15

/** What a worker did since its last reply, for the metrics. */
export type Worked = Pick<ResultsReply, 'workMs' | 'retried'> & { readonly runMs: number; readonly batchSize: number }

export interface ThreadEvents {
  /** The worker has less work than before, or is gone. */
  readonly onChange: () => void
  readonly onWorked?: (worked: Worked) => void
  /** The worker died, after it had answered all that it will. Not called while it loads, nor when it was closed. */
  readonly onLost?: (reason: string) => void
  /** Gets the memory of bodies that the worker is done with. */
  readonly onSpent?: (memory: ArrayBuffer) => void
}

export class EngineThread {
  readonly #worker: Worker
  readonly #pending = new Pending<Ask['settle']>()
  readonly #now: () => number
  /** When the request that runs now began to run, as far as this thread can know. */
  #busySince = 0
  /** Time that one request of the last reply took. */
  #lastWorkMs = Infinity
  readonly #usual = new UsualTime()
  /** Whether requests share runs. */
  #batches = false
  #gone: string | undefined
  #loading: { resolve: (reply: LoadedReply) => void; reject: (error: Error) => void } | undefined
  readonly #events: ThreadEvents
  #measuring: ((perSecond: number) => void) | undefined

  /** @param entry the program's own entry file, which must call `runWorker` when it finds itself in a worker */
  constructor(entry: URL, events: ThreadEvents, now: () => number = () => performance.now()) {
    this.#now = now
    this.#events = events
    const workerData: WorkerData = { role: workerRole }
    this.#worker = new Worker(entry, { workerData })
    this.#worker.on('message', (reply: Reply) => this.#receive(reply))
    this.#worker.on('error', (error) => this.#lost(wordsOf(error)))
    this.#worker.on('messageerror', (error) => this.#lost(wordsOf(error)))
    this.#worker.on('exit', (code) => this.#lost(`it exited with code ${code}`))
  }

  /** Whether requests sent now would start at once or right after a few short ones. */
  get free(): boolean {
    if (this.#gone !== undefined) return false
    // What is sent ahead cannot join a batch any more, so where batches form nothing is.
    const ahead = this.#batches ? 0 : Math.min(maxAhead, Math.floor(aheadMs / this.#lastWorkMs))
    return this.#pending.size <= ahead
  }

  get inFlight(): number {
    return this.#pending.size
  }

  /** Why the worker cannot be used any more; undefined while it can. `stuckAfterMs` bounds a single run at most. */
  problem(stuckAfterMs: number): string | undefined {
    if (this.#gone !== undefined) return this.#gone
    const busyMs = this.#now() - this.#busySince
    if (this.#pending.size === 0 || busyMs < Math.min(stuckAfterMs, leastHangMs)) return undefined
    if (busyMs < Math.min(stuckAfterMs, this.#usual.hangsAfterMs())) return undefined
    return `a single inference has run for ${Math.round(busyMs / 1000)} s, so the worker hangs`
  }

  /** @throws Fault when the model cannot be loaded or the worker dies of it */
  load(order: Omit<LoadOrder, 'type'>): Promise<LoadedReply> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) return reject(fault('EngineGone', { reason: this.#gone }))
      this.#loading = { resolve, reject }
      this.#send({ type: 'load', ...order })
    })
  }

  /** Rows a second that the loaded model does beside whatever else computes now; 0 when it cannot be tried, or is gone. */
  measure(forMs: number): Promise<number> {
    if (this.#gone !== undefined) return Promise.resolve(0)
    return new Promise((resolve) => {
      this.#measuring = resolve
      this.#send({ type: 'measure', forMs })
    })
  }

  /** Sends requests that may share runs. Every one is settled once. */
  infer(asks: readonly Ask[]): void {
    if (this.#gone !== undefined) {
      for (const { settle } of asks) settle(goneOutcome(this.#gone))
      return
    }
    if (this.#pending.size === 0) this.#busySince = this.#now()
    const orders = asks.map(({ wire, body, waitedMs, settle }) => ({
      id: this.#pending.add(settle),
      wire,
      body,
      waitedMs,
    }))
    this.#send(
      { type: 'infer', asks: orders },
      orders.map(({ body }) => body.buffer),
    )
  }

  /** Ends an idle worker. @throws Error when it still computes */
  async close(): Promise<void> {
    if (this.#pending.size > 0 || this.#loading !== undefined || this.#measuring !== undefined)
      throw new Error('a busy inference worker cannot be ended')
    this.#gone ??= 'it was closed'
    await this.#worker.terminate()
  }

  #send(order: Order, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(order, transfer)
  }

  #receive(reply: Reply): void {
    if (reply.type === 'loaded' || reply.type === 'loadFailed') {
      const loading = this.#loading
      this.#loading = undefined
      if (reply.type === 'loaded') this.#batches = reply.batching.maxSize > 1
      if (reply.type === 'loaded') loading?.resolve(reply)
      else loading?.reject(new Fault(reply.fault))
      return
    }
    if (reply.type === 'measured') {
      this.#measuring?.(reply.perSecond)
      this.#measuring = undefined
      return
    }
    this.#busySince = this.#now()
    const [first] = reply.results
    // A refused request says nothing about how long the next one will take.
    if (first?.ok === true) this.#lastWorkMs = reply.workMs / reply.results.length
    const { workMs, retried } = reply
    const { runMs = 0, batchSize = 0 } = first?.times ?? {}
    if (batchSize > 0) this.#usual.add(workMs)
    this.#events.onWorked?.({ workMs, retried, runMs, batchSize })
    for (const memory of reply.spent) this.#events.onSpent?.(memory)
    for (const result of reply.results) {
      const settle = this.#pending.take(result.id)
      if (settle === undefined) throw new Error(`the inference worker answered request ${result.id}, which nobody made`)
      settle(outcomeOf(result))
    }
    this.#events.onChange()
  }

  #lost(reason: string): void {
    if (this.#gone !== undefined) return
    this.#gone = reason
    const loads = this.#loading !== undefined
    const gone = fault('EngineGone', { reason })
    this.#loading?.reject(gone)
    this.#loading = undefined
    this.#measuring?.(0)
    this.#measuring = undefined
    for (const settle of this.#pending.drain()) settle(goneOutcome(reason))
    this.#events.onChange()
    if (!loads) this.#events.onLost?.(reason)
  }
}

export function outcomeOf(result: Result): Outcome {
  return result.ok
    ? { ok: true, body: result.body, headers: result.headers, ...result.times }
    : { ok: false, fault: result.fault, ...result.times }
}

function goneOutcome(reason: string): Outcome {
  return { ok: false, fault: fault('EngineGone', { reason }).report(), ...untouched }
}

/** The times of a request that no worker has touched. */
export const untouched: Times = { decodeMs: 0, runMs: 0, encodeMs: 0, batchSize: 0 }
