/**
 * A bounded waiting line: first come, first served; who waits too long or goes away leaves it.
 * It must answer for every entry exactly once, and knows nothing of what the entries are.
 */
export interface QueueOptions<Entry> {
  readonly maxEntries: number
  readonly maxWaitMs: number
  /** Called with an entry that has waited longer than `maxWaitMs`; it is no longer in the queue. */
  readonly onExpired: (entry: Entry) => void
}

export class WaitingLine<Entry extends object> {
  readonly #options: QueueOptions<Entry>
  /** Insertion order is arrival order, so the first entry is always the oldest. */
  readonly #arrivals = new Map<Entry, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: QueueOptions<Entry>) {
    this.#options = options
  }

  get size(): number {
    return this.#arrivals.size
  }

  get full(): boolean {
    return this.#arrivals.size >= this.#options.maxEntries
  }

  /** How long the oldest entry has waited, in milliseconds; 0 when nobody waits. */
  oldestWaitMs(): number {
    for (const arrival of this.#arrivals.values()) return performance.now() - arrival
    return 0
  }

  /** Appends an entry; false when the line is full. */
  push(entry: Entry): boolean {
    if (this.full) return false
    this.#arrivals.set(entry, performance.now())
    this.#arm()
    return true
  }

  /** Takes the oldest entry. */
  shift(): Entry | undefined {
    for (const entry of this.#arrivals.keys()) {
      this.#arrivals.delete(entry)
      return entry
    }
    return undefined
  }

  /** Takes an entry out wherever it stands; false when it is not there. */
  remove(entry: Entry): boolean {
    return this.#arrivals.delete(entry)
  }

  /** Takes everything out, oldest first. */
  drain(): Entry[] {
    const entries = [...this.#arrivals.keys()]
    this.#arrivals.clear()
    clearTimeout(this.#timer)
    this.#timer = undefined
    return entries
  }

  /** All entries may wait equally long, so one timer for the oldest is enough. */
  #arm(): void {
    if (this.#timer !== undefined) return
    for (const arrival of this.#arrivals.values()) {
      const waitMs = Math.max(0, arrival + this.#options.maxWaitMs - performance.now())
      this.#timer = setTimeout(() => this.#expire(), Math.ceil(waitMs))
      this.#timer.unref()
      return
    }
  }

  #expire(): void {
    this.#timer = undefined
    const deadline = performance.now() - this.#options.maxWaitMs
    for (const [entry, arrival] of this.#arrivals) {
      if (arrival > deadline) break
      this.#arrivals.delete(entry)
      this.#options.onExpired(entry)
    }
    this.#arm()
  }
}
