/**
 * Decides which request runs when: at once if a worker is free, else in a bounded line with a deadline.
 * It must settle every request once, and must never hold more bodies than its byte limit allows.
 */
import type { EnginePool } from '../engine/pool.ts'
import type { Outcome } from '../engine/thread.ts'
import { fault, printBytes, type Fault } from '../errors.ts'
import type { Wire } from '../protocols/codecs.ts'
import { WaitingLine } from './queue.ts'

export interface SchedulerOptions {
  readonly maxRequests: number
  readonly maxWaitMs: number
  /** Bytes of request bodies held at once: arriving, waiting and computing. */
  readonly maxBytes: number
}

export interface Job {
  /** Settles when the request was answered, refused or timed out; never when it was cancelled while waiting. */
  readonly settled: Promise<Outcome & { readonly waitMs: number }>
  /** The client is gone: stop waiting. A run that has begun goes on, because it cannot be stopped. */
  cancel(): void
}

interface Waiting {
  readonly wire: Wire
  readonly body: Uint8Array<ArrayBuffer>
  readonly arrivedAt: number
  readonly settle: (outcome: Outcome & { readonly waitMs: number }) => void
}

export class Scheduler {
  readonly #pool: EnginePool
  readonly #options: SchedulerOptions
  readonly #line: WaitingLine<Waiting>
  #heldBytes = 0
  /** A running mean of recent runs, in milliseconds, for Retry-After. */
  #meanRunMs = 0

  constructor(pool: EnginePool, options: SchedulerOptions) {
    this.#pool = pool
    this.#options = options
    this.#line = new WaitingLine({
      maxEntries: options.maxRequests,
      maxWaitMs: options.maxWaitMs,
      onExpired: (waiting) => {
        const expired = fault('QueueTimeout', { limitMs: options.maxWaitMs })
        waiting.settle({ ok: false, fault: expired.report(), runMs: 0, waitMs: performance.now() - waiting.arrivedAt })
      },
    })
    pool.onChange(() => this.#dispatch())
  }

  get waiting(): number {
    return this.#line.size
  }

  get oldestWaitMs(): number {
    return this.#line.oldestWaitMs()
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Seconds after which a refused client may find room: the time the present line needs, from 1 to 30. */
  get retryAfterSeconds(): number {
    const seconds = (this.#line.size * this.#meanRunMs) / Math.max(1, this.#pool.size) / 1000
    return Math.min(30, Math.max(1, Math.ceil(seconds)))
  }

  /** The reason to refuse a request before its body is read; undefined when there is room. */
  refusal(): Fault | undefined {
    if (this.#pool.free) return undefined
    const problem = this.#pool.problem()
    if (problem !== undefined) return fault('EngineGone', { reason: problem })
    if (!this.#line.full) return undefined
    return fault('QueueFull', { waiting: this.#line.size, limit: this.#options.maxRequests })
  }

  /** Sets bytes aside for a body; a Fault when they are not to be had. Every reservation must be released. */
  reserve(bytes: number): Fault | undefined {
    if (this.#heldBytes > 0 && this.#heldBytes + bytes > this.#options.maxBytes) {
      return fault('QueueBytesFull', {
        held: printBytes(this.#heldBytes),
        limit: printBytes(this.#options.maxBytes),
      })
    }
    this.#heldBytes += bytes
    return undefined
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes
  }

  /** Runs a request now or later. The body is transferred: the caller must not touch it again. */
  submit(wire: Wire, body: Uint8Array<ArrayBuffer>): Job {
    const { promise, resolve } = Promise.withResolvers<Outcome & { readonly waitMs: number }>()
    const waiting: Waiting = { wire, body, arrivedAt: performance.now(), settle: resolve }
    const refused = this.refusal()
    if (refused !== undefined) resolve({ ok: false, fault: refused.report(), runMs: 0, waitMs: 0 })
    else if (this.#line.size === 0 && this.#pool.free) void this.#run(waiting)
    else this.#line.push(waiting)
    return { settled: promise, cancel: () => void this.#line.remove(waiting) }
  }

  #dispatch(): void {
    const problem = this.#pool.problem()
    if (problem !== undefined && !this.#pool.free) {
      const gone = fault('EngineGone', { reason: problem }).report()
      for (const { settle, arrivedAt } of this.#line.drain()) {
        settle({ ok: false, fault: gone, runMs: 0, waitMs: performance.now() - arrivedAt })
      }
      return
    }
    while (this.#pool.free) {
      const next = this.#line.shift()
      if (next === undefined) return
      void this.#run(next)
    }
  }

  async #run({ wire, body, arrivedAt, settle }: Waiting): Promise<void> {
    const waitMs = performance.now() - arrivedAt
    const outcome = await this.#pool.infer(wire, body)
    this.#meanRunMs = this.#meanRunMs * 0.9 + outcome.runMs * 0.1
    settle({ ...outcome, waitMs })
  }
}
