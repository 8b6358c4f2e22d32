/**
 * A bounded waiting line: the most urgent first, and first come, first served among equals; who waits too long or goes
 * away leaves it. It must answer for every entry exactly once, and knows nothing of what the entries are.
 */
import { LinkedList, unlinked, type Links } from './linked.ts'

export interface QueueOptions<Entry> {
  readonly maxEntries: number
  readonly maxWaitMs: number
  /** Called with an entry that has waited as long as it may; it is no longer in the queue. */
  readonly onExpired: (entry: Entry, limitMs: number) => void
}

/** `0` is served first. */
export type Urgency = 0 | 1 | 2

/** Where an entry stands, to take it out by. */
export interface Place<Entry> extends Links<Place<Entry>> {
  readonly entry: Entry
  /** Counts arrivals: several may come at one time. */
  readonly turn: number
  readonly arrivedAt: number
  readonly urgency: Urgency
  /** Set when the entry may wait for less than everybody else. */
  timer: NodeJS.Timeout | undefined
}

export class WaitingLine<Entry> {
  readonly #options: QueueOptions<Entry>
  /** One for each urgency, each in order of arrival. */
  readonly #lanes: readonly [Lane<Entry>, Lane<Entry>, Lane<Entry>] = [
    new LinkedList(),
    new LinkedList(),
    new LinkedList(),
  ]
  #size = 0
  #nextTurn = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: QueueOptions<Entry>) {
    this.#options = options
  }

  get size(): number {
    return this.#size
  }

  get full(): boolean {
    return this.#size >= this.#options.maxEntries
  }

  /** How long the oldest entry has waited, in milliseconds; 0 when nobody waits. */
  oldestWaitMs(): number {
    const oldest = this.#oldest()
    return oldest === undefined ? 0 : performance.now() - oldest.arrivedAt
  }

  /**
   * Appends an entry; undefined when the line is full.
   * @param waitMs how long this entry may wait, if less than everybody may
   */
  push(entry: Entry, urgency: Urgency = 1, waitMs?: number): Place<Entry> | undefined {
    if (this.full) return undefined
    const place: Place<Entry> = {
      entry,
      turn: this.#nextTurn++,
      arrivedAt: performance.now(),
      urgency,
      timer: undefined,
      ...unlinked,
    }
    if (waitMs !== undefined && waitMs < this.#options.maxWaitMs)
      place.timer = setTimeout(() => this.#expire(place, waitMs), Math.ceil(waitMs)).unref()
    this.#lanes[urgency].append(place)
    this.#size += 1
    this.#arm()
    return place
  }

  /** Takes the oldest of the most urgent entries. */
  shift(): Entry | undefined {
    return this.take(1)[0]
  }

  /** Takes the first entries that suit, at most `count`, in the order of `shift`; those that do not keep their places. */
  take(count: number, suits: (entry: Entry) => boolean = () => true): Entry[] {
    const taken: Entry[] = []
    for (const lane of this.#lanes) {
      for (let place = lane.first, next = place?.next; place !== undefined; place = next) {
        if (taken.length >= count) return taken
        next = place.next
        if (!suits(place.entry)) continue
        this.remove(place)
        taken.push(place.entry)
      }
    }
    return taken
  }

  /** Takes an entry out wherever it stands; false when it has left already. */
  remove(place: Place<Entry>): boolean {
    if (!this.#lanes[place.urgency].remove(place)) return false
    clearTimeout(place.timer)
    this.#size -= 1
    return true
  }

  /** Takes everything out, in the order of `shift`. */
  drain(): Entry[] {
    clearTimeout(this.#timer)
    this.#timer = undefined
    return this.take(Infinity)
  }

  #oldest(): Place<Entry> | undefined {
    let oldest: Place<Entry> | undefined
    for (const { first } of this.#lanes)
      if (first !== undefined && (oldest === undefined || first.turn < oldest.turn)) oldest = first
    return oldest
  }

  /** Apart from those with a timer of their own all entries may wait equally long, so one timer for the oldest is enough. */
  #arm(): void {
    if (this.#timer !== undefined) return
    const oldest = this.#oldest()
    if (oldest === undefined) return
    const waitMs = Math.max(0, oldest.arrivedAt + this.#options.maxWaitMs - performance.now())
    this.#timer = setTimeout(() => this.#expireOldest(), Math.ceil(waitMs)).unref()
  }

  #expireOldest(): void {
    this.#timer = undefined
    const { maxWaitMs } = this.#options
    const deadline = performance.now() - maxWaitMs
    for (let oldest = this.#oldest(); oldest !== undefined && oldest.arrivedAt <= deadline; oldest = this.#oldest())
      this.#expire(oldest, maxWaitMs)
    this.#arm()
  }

  #expire(place: Place<Entry>, limitMs: number): void {
    if (this.remove(place)) this.#options.onExpired(place.entry, limitMs)
  }
}

type Lane<Entry> = LinkedList<Place<Entry>>
