/**
 * Who waits for an answer of a worker, found by a number. A number is never given twice, so an answer that nobody waits
 * for is nobody's, and never somebody else's.
 *
 * It is no `Map`, for the reason in scheduling/linked.ts: what has been answered must be kept by nobody.
 */
export class Pending<Waiting> {
  /** Places are used again. */
  readonly #places: ({ readonly id: number; readonly waiting: Waiting } | undefined)[] = []
  readonly #free: number[] = []
  #round = 0

  get size(): number {
    return this.#places.length - this.#free.length
  }

  /** Gives the number under which it is found. */
  add(waiting: Waiting): number {
    const place = this.#free.pop() ?? this.#places.length
    // What is left of the number after its place counts up; it begins again after some months at 10,000 a second.
    this.#round = (this.#round + 1) % mostRounds
    const id = this.#round * mostPlaces + place
    this.#places[place] = { id, waiting }
    return id
  }

  /** Takes out who waits under a number; undefined when nobody does. */
  take(id: number): Waiting | undefined {
    const place = id % mostPlaces
    const found = this.#places[place]
    if (found?.id !== id) return undefined
    this.#places[place] = undefined
    this.#free.push(place)
    return found.waiting
  }

  /** Takes everybody out, in no order. */
  drain(): Waiting[] {
    const waiting = this.#places.flatMap((one) => (one === undefined ? [] : [one.waiting]))
    this.#places.length = 0
    this.#free.length = 0
    return waiting
  }
}

/** Far more than a worker is ever sent at once: a batch and a few more. */
const mostPlaces = 2 ** 16
const mostRounds = 2 ** 53 / mostPlaces
