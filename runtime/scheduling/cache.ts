/**
 * Answers that are given again without running the model, to requests that are the same byte for byte and came in the same
 * form. Off unless it is given room, because only the user knows whether the model answers the same every time.
 * It must never give an answer to another request than the one it was made for, nor hold more bytes than it may.
 */
import { createHash } from 'node:crypto'
import { untouched } from '../engine/thread.ts'
import type { Encoded } from '../protocols/codec.ts'
import type { Wire } from '../protocols/codecs.ts'
import type { Job, Scheduler, SubmitOptions } from './scheduler.ts'

/** What the cache did, and how long it took: to find and hand over an answer, or to find none and keep the one made. */
export interface CacheFigures {
  readonly hits: number
  readonly hitMs: number
  readonly misses: number
  readonly missMs: number
  readonly entries: number
  readonly bytes: number
}

/** What an answer costs beside its body: 100,000 answers of 100 bytes took 1,390 bytes of memory each (RSS, Node 24). */
const entryBytes = 1300

export class ResponseCache {
  readonly #maxBytes: number
  /** The least recently used first. */
  readonly #answers = new Map<string, Encoded>()
  #bytes = 0
  #hits = 0
  #hitMs = 0
  #misses = 0
  #missMs = 0

  /** @param maxBytes of the answers that are kept */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get figures(): CacheFigures {
    const [hits, hitMs, misses, missMs] = [this.#hits, this.#hitMs, this.#misses, this.#missMs]
    return { hits, hitMs, misses, missMs, entries: this.#answers.size, bytes: this.#bytes }
  }

  /** Answers a request from what is kept, or has it run and keeps the answer. The body is the scheduler's afterwards. */
  submit(
    scheduler: Pick<Scheduler, 'submit'>,
    wire: Wire,
    body: Uint8Array<ArrayBuffer>,
    options?: SubmitOptions,
  ): Job {
    // Every event has an id of its own, its answer too.
    if (wire.event !== undefined) return scheduler.submit(wire, body, options)
    const started = performance.now()
    const key = keyOf(wire, body)
    const known = this.#take(key)
    const lookMs = performance.now() - started
    if (known !== undefined) {
      this.#hits += 1
      this.#hitMs += lookMs
      const settled = Promise.resolve({ ok: true as const, ...known, ...untouched, waitMs: 0, recalled: true as const })
      return { settled, cancel: () => {} }
    }
    this.#misses += 1
    this.#missMs += lookMs
    const job = scheduler.submit(wire, body, options)
    const settled = job.settled.then((outcome) => {
      if (!outcome.ok) return outcome
      const keeping = performance.now()
      this.#keep(key, outcome)
      this.#missMs += performance.now() - keeping
      return outcome
    })
    return { settled, cancel: () => job.cancel() }
  }

  #take(key: string): Encoded | undefined {
    const known = this.#answers.get(key)
    if (known === undefined) return undefined
    this.#answers.delete(key)
    this.#answers.set(key, known)
    return known
  }

  #keep(key: string, { body, headers }: Encoded): void {
    const size = body.byteLength + entryBytes
    // Two that ran side by side have the same answer.
    if (size > this.#maxBytes || this.#answers.has(key)) return
    // A copy: the answer's memory may be larger than the answer, and belongs to whoever sends it.
    this.#answers.set(key, { body: body.slice(), headers })
    this.#bytes += size
    for (const [oldest, answer] of this.#answers) {
      if (this.#bytes <= this.#maxBytes) break
      this.#answers.delete(oldest)
      this.#bytes -= answer.body.byteLength + entryBytes
    }
  }
}

/** Two requests have the same key only if they are the same: nobody can find two inputs of one SHA-256. */
function keyOf(wire: Wire, body: Uint8Array): string {
  return createHash('sha256').update(JSON.stringify(wire)).update('\0').update(body).digest('base64')
}
