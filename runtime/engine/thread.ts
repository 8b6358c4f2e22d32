/**
 * The main thread's handle on one inference worker: loads a model in it and sends it requests.
 * It must never terminate a worker that computes: ONNX Runtime would abort the whole process.
 */
import { Worker } from 'node:worker_threads'
import { Fault, fault, wordsOf, type FaultReport } from '../errors.ts'
import type { Wire } from '../protocols/codecs.ts'
import { workerRole, type LoadedReply, type LoadOrder, type Order, type Reply, type WorkerData } from './messages.ts'

/** What became of one request in the worker. `runMs` is the time the model itself took. */
export type Outcome =
  | {
      readonly ok: true
      readonly body: Uint8Array<ArrayBuffer>
      readonly headers: Readonly<Record<string, string>>
      readonly runMs: number
    }
  | { readonly ok: false; readonly fault: FaultReport; readonly runMs: number }

interface Pending {
  readonly settle: (outcome: Outcome) => void
}

/**
 * How much work a worker may hold beyond the request it is at. Some spares both threads a wake-up between short
 * requests; little keeps what can be cancelled, timed out or refused in the queue, where that is possible.
 */
const aheadMs = 3
const maxAhead = 15

export class EngineThread {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  readonly #now: () => number
  /** When the request that runs now began to run, as far as this thread can know. */
  #busySince = 0
  #lastWorkMs = Infinity
  #nextId = 1
  #gone: string | undefined
  #loading: { resolve: (reply: LoadedReply) => void; reject: (error: Error) => void } | undefined
  readonly #onChange: () => void

  /**
   * @param entry the program's own entry file, which must call `runWorker` when it finds itself in a worker
   * @param onChange called whenever the worker takes less work than before, or is gone
   */
  constructor(entry: URL, onChange: () => void, now: () => number = () => performance.now()) {
    this.#now = now
    this.#onChange = onChange
    const workerData: WorkerData = { role: workerRole }
    this.#worker = new Worker(entry, { workerData })
    this.#worker.on('message', (reply: Reply) => this.#receive(reply))
    this.#worker.on('error', (error) => this.#lost(wordsOf(error)))
    this.#worker.on('messageerror', (error) => this.#lost(wordsOf(error)))
    this.#worker.on('exit', (code) => this.#lost(`it exited with code ${code}`))
  }

  /** Whether a request sent now would start at once or right after a few short ones. */
  get free(): boolean {
    const ahead = Math.min(maxAhead, Math.floor(aheadMs / this.#lastWorkMs))
    return this.#gone === undefined && this.#pending.size <= ahead
  }

  get inFlight(): number {
    return this.#pending.size
  }

  /** Why the worker cannot be used any more; undefined while it can. `stuckAfterMs` bounds a single run. */
  problem(stuckAfterMs: number): string | undefined {
    if (this.#gone !== undefined) return this.#gone
    const busyMs = this.#now() - this.#busySince
    if (this.#pending.size === 0 || busyMs < stuckAfterMs) return undefined
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

  /** Runs one request. The body is transferred: the caller must not touch it again. Never rejects. */
  infer(wire: Wire, body: Uint8Array<ArrayBuffer>): Promise<Outcome> {
    return new Promise((settle) => {
      if (this.#gone !== undefined) return settle(goneOutcome(this.#gone))
      const id = this.#nextId++
      if (this.#pending.size === 0) this.#busySince = this.#now()
      this.#pending.set(id, { settle })
      this.#send({ type: 'infer', id, wire, body }, [body.buffer])
    })
  }

  /** Ends an idle worker. @throws Error when it still computes */
  async close(): Promise<void> {
    if (this.#pending.size > 0 || this.#loading !== undefined)
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
      if (reply.type === 'loaded') loading?.resolve(reply)
      else loading?.reject(new Fault(reply.fault))
      return
    }
    const pending = this.#pending.get(reply.id)
    if (pending === undefined) throw new Error(`the inference worker answered request ${reply.id}, which nobody made`)
    this.#pending.delete(reply.id)
    this.#busySince = this.#now()
    // A refused request says nothing about how long the next one will take.
    if (reply.type === 'answer') this.#lastWorkMs = reply.workMs
    const { runMs } = reply
    pending.settle(
      reply.type === 'answer'
        ? { ok: true, body: reply.body, headers: reply.headers, runMs }
        : { ok: false, fault: reply.fault, runMs },
    )
    this.#onChange()
  }

  #lost(reason: string): void {
    if (this.#gone !== undefined) return
    this.#gone = reason
    const gone = fault('EngineGone', { reason })
    this.#loading?.reject(gone)
    this.#loading = undefined
    for (const { settle } of this.#pending.values()) settle(goneOutcome(reason))
    this.#pending.clear()
    this.#onChange()
  }
}

function goneOutcome(reason: string): Outcome {
  return { ok: false, fault: fault('EngineGone', { reason }).report(), runMs: 0 }
}
