/**
 * Decides which requests run when: at once if a worker is free, else in a bounded line with deadlines. Whatever waits
 * when a worker becomes free goes to it together.
 * It must settle every request once, and must never hold more bodies than its byte limit allows.
 */
import type { EnginePool } from '../engine/pool.ts'
import { untouched, type Ask, type Outcome } from '../engine/thread.ts'
import { fault, printBytes, type Fault } from '../errors.ts'
import type { Wire } from '../protocols/codecs.ts'
import { WaitingLine, type Urgency } from './queue.ts'

export interface SchedulerOptions {
  readonly maxRequests: number
  readonly maxWaitMs: number
  /** Bytes of request bodies held at once: arriving, waiting and computing. */
  readonly maxBytes: number
  /** How long a request may wait for others to share its run although a worker is free, in milliseconds. */
  readonly maxDelayMs: number
}

export interface SubmitOptions {
  /** How long this request may wait, in milliseconds; never longer than every request may. */
  readonly timeoutMs?: number
  /** Triton's: 1 is served first, 0 or none is 2, and 3 or more come last. */
  readonly priority?: number
}

export type Settled = Outcome & {
  readonly waitMs: number
  /** The answer was kept from an earlier request; nothing ran. */
  readonly recalled?: true
}

export interface Job {
  /** Settles when the request was answered, refused or timed out; never when it was cancelled while waiting. */
  readonly settled: Promise<Settled>
  /** The client is gone: stop waiting. A run that has begun goes on, because it cannot be stopped. */
  cancel(): void
}

interface Waiting {
  readonly wire: Wire
  readonly body: Uint8Array<ArrayBuffer>
  readonly arrivedAt: number
  readonly settle: (outcome: Settled) => void
}

export class Scheduler {
  readonly #pool: EnginePool
  readonly #options: SchedulerOptions
  readonly #line: WaitingLine<Waiting>
  #heldBytes = 0
  /** A running mean of the time that a worker has for one request, in milliseconds, for Retry-After. */
  #meanRunMs = 0
  /** A dispatch will come by itself: at the end of this turn, or when a delay is over. */
  #dispatching = false
  #delaying = false
  /** Whether requests had company when some were last sent to a worker. */
  #crowded = false

  constructor(pool: EnginePool, options: SchedulerOptions) {
    this.#pool = pool
    this.#options = options
    this.#line = new WaitingLine({
      maxEntries: options.maxRequests,
      maxWaitMs: options.maxWaitMs,
      onExpired: (waiting, limitMs) => {
        const late =
          limitMs < options.maxWaitMs ? fault('TimeoutPassed', { limitMs }) : fault('QueueTimeout', { limitMs })
        refuse(waiting, late)
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
    return this.#line.full ? this.#queueFull() : undefined
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
  submit(wire: Wire, body: Uint8Array<ArrayBuffer>, { timeoutMs, priority = 0 }: SubmitOptions = {}): Job {
    const { promise, resolve } = Promise.withResolvers<Settled>()
    const waiting: Waiting = { wire, body, arrivedAt: performance.now(), settle: resolve }
    // A full line in front of a free worker is one that arrived in this very moment.
    if (this.#line.full && this.#pool.free) this.#dispatch()
    const refused = this.refusal() ?? (this.#line.full ? this.#queueFull() : undefined)
    if (refused !== undefined) {
      refuse(waiting, refused)
      return { settled: promise, cancel: () => {} }
    }
    const place = this.#line.push(waiting, urgencyOf(priority), timeoutMs)
    this.#dispatchSoon()
    return {
      settled: promise,
      cancel: () => {
        if (place !== undefined) this.#line.remove(place)
      },
    }
  }

  #queueFull(): Fault {
    return fault('QueueFull', { waiting: this.#line.size, limit: this.#options.maxRequests })
  }

  /**
   * Where requests can share runs, dispatches when those that have arrived by now are in line: several connections that
   * were ready at once are read one after another, and their requests would otherwise be run one by one.
   * A lone request, which the last one was too, need not wait even for that on its way to a worker.
   */
  #dispatchSoon(): void {
    const { free, hasLane, batching } = this.#pool
    if (this.#dispatching || (!free && !hasLane)) return
    if (!hasLane && (batching.maxSize === 1 || !this.#crowded)) return this.#dispatch()
    this.#dispatching = true
    setImmediate(() => {
      this.#dispatching = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    const problem = this.#pool.problem()
    if (problem !== undefined && !this.#pool.free) {
      const gone = fault('EngineGone', { reason: problem })
      for (const waiting of this.#line.drain()) refuse(waiting, gone)
      return
    }
    if (this.#delayMs() === 0) this.#runHere()
    for (let free = this.#pool.freeCount; free > 0 && this.#line.size > 0; free = this.#pool.freeCount) {
      const delayMs = this.#delayMs()
      if (delayMs > 0) {
        this.#dispatchIn(delayMs)
        return
      }
      const count = Math.min(this.#pool.batching.maxSize, Math.ceil(this.#line.size / free))
      this.#crowded = this.#line.size > 1
      this.#pool.infer(this.#asksOf(this.#line.take(count)))
    }
  }

  /** How long those in line should still wait for company. */
  #delayMs(): number {
    if (this.#line.size >= this.#pool.batching.maxSize) return 0
    return Math.max(0, this.#options.maxDelayMs - this.#line.oldestWaitMs())
  }

  /** Answers in this thread what the short lane takes. What is too large for it goes to the workers meanwhile. */
  #runHere(): void {
    const room = this.#pool.roomHere(this.#line.size)
    if (room === 0) return
    const small = this.#line.take(room, (waiting) => this.#pool.suitsHere(waiting))
    if (small.length === 0) return
    const left = this.#pool.answerHere(this.#asksOf(small))
    if (left.length > 0) this.#pool.infer(left)
  }

  #dispatchIn(delayMs: number): void {
    if (this.#delaying) return
    this.#delaying = true
    const timer = setTimeout(() => {
      this.#delaying = false
      this.#dispatch()
    }, delayMs)
    timer.unref()
  }

  #asksOf(taken: readonly Waiting[]): Ask[] {
    const now = performance.now()
    return taken.map(({ wire, body, arrivedAt, settle }) => {
      const waitMs = now - arrivedAt
      return {
        wire,
        body,
        waitedMs: waitMs,
        settle: (outcome) => {
          this.#meanRunMs = this.#meanRunMs * 0.9 + (outcome.runMs / Math.max(1, outcome.batchSize)) * 0.1
          settle({ ...outcome, waitMs })
        },
      }
    })
  }
}

function refuse({ settle, arrivedAt }: Waiting, refused: Fault): void {
  settle({ ok: false, fault: refused.report(), ...untouched, waitMs: performance.now() - arrivedAt })
}

/** @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_schedule_policy.md */
function urgencyOf(priority: number): Urgency {
  if (priority === 1) return 0
  return priority >= 3 ? 2 : 1
}
