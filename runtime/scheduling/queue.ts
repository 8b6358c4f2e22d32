/**
 * A bounded waiting line: the most urgent first, and first come, first served among equals; who waits too long or goes
 * away leaves it. It must answer for every entry exactly once, and knows nothing of what the entries are.
 */
export interface QueueOptions<Entry> {
  readonly maxEntries: number
  readonly maxWaitMs: number
  /** Called with an entry that has waited as long as it may; it is no longer in the queue. */
  readonly onExpired: (entry: Entry, limitMs: number) => void
}

/** `0` is served first. */
export type Urgency = 0 | 1 | 2

interface Place {
  readonly arrivedAt: number
  readonly urgency: Urgency
  /** Set when the entry may wait for less than everybody else. */
  readonly timer: NodeJS.Timeout | undefined
}

export class WaitingLine<Entry extends object> {
  readonly #options: QueueOptions<Entry>
  /** Insertion order is arrival order, so the first entry is always the oldest. */
  readonly #places = new Map<Entry, Place>()
  readonly #lanes = [new Set<Entry>(), new Set<Entry>(), new Set<Entry>()] as const
  #timer: NodeJS.Timeout | undefined

  constructor(options: QueueOptions<Entry>) {
    this.#options = options
  }

  get size(): number {
    return this.#places.size
  }

  get full(): boolean {
    return this.#places.size >= this.#options.maxEntries
  }

  /** How long the oldest entry has waited, in milliseconds; 0 when nobody waits. */
  oldestWaitMs(): number {
    for (const { arrivedAt } of this.#places.values()) return performance.now() - arrivedAt
    return 0
  }

  /**
   * Appends an entry; false when the line is full.
   * @param waitMs how long this entry may wait, if less than everybody may
   */
  push(entry: Entry, urgency: Urgency = 1, waitMs?: number): boolean {
    if (this.full) return false
    const own = waitMs !== undefined && waitMs < this.#options.maxWaitMs ? waitMs : undefined
    const timer = own === undefined ? undefined : setTimeout(() => this.#expire(entry, own), Math.ceil(own))
    timer?.unref()
    this.#places.set(entry, { arrivedAt: performance.now(), urgency, timer })
    this.#lanes[urgency].add(entry)
    this.#arm()
    return true
  }

  /** Takes the oldest of the most urgent entries. */
  shift(): Entry | undefined {
    for (const lane of this.#lanes) {
      for (const entry of lane) {
        this.remove(entry)
        return entry
      }
    }
    return undefined
  }

  /** Takes the first entries that suit, at most `count`, in the order of `shift`; those that do not keep their places. */
  take(count: number, suits: (entry: Entry) => boolean = () => true): Entry[] {
    const taken: Entry[] = []
    for (const lane of this.#lanes) {
      for (const entry of lane) {
        if (taken.length >= count) return taken
        if (!suits(entry)) continue
        this.remove(entry)
        taken.push(entry)
      }
    }
    return taken
  }

  /** Takes an entry out wherever it stands; false when it is not there. */
  remove(entry: Entry): boolean {
    const place = this.#places.get(entry)
    if (place === undefined) return false
    clearTimeout(place.timer)
    this.#places.delete(entry)
    this.#lanes[place.urgency].delete(entry)
    return true
  }

  /** Takes everything out, in the order of `shift`. */
  drain(): Entry[] {
    const entries: Entry[] = []
    for (let next = this.shift(); next !== undefined; next = this.shift()) entries.push(next)
    clearTimeout(this.#timer)
    this.#timer = undefined
    return entries
  }

  /** Apart from those with a timer of their own all entries may wait equally long, so one timer for the oldest is enough. */
  #arm(): void {
    if (this.#timer !== undefined) return
    for (const { arrivedAt } of this.#places.values()) {
      const waitMs = Math.max(0, arrivedAt + this.#options.maxWaitMs - performance.now())
      this.#timer = setTimeout(() => this.#expireOldest(), Math.ceil(waitMs))
      this.#timer.unref()
      return
    }
  }

  #expireOldest(): void {
    this.#timer = undefined
    const { maxWaitMs } = this.#options
    const deadline = performance.now() - maxWaitMs
    for (const [entry, { arrivedAt }] of this.#places) {
      if (arrivedAt > deadline) break
      this.#expire(entry, maxWaitMs)
    }
    this.#arm()
  }

  #expire(entry: Entry, limitMs: number): void {
    if (this.remove(entry)) this.#options.onExpired(entry, limitMs)
  }
}
