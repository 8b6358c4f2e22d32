/**
 * How long the work of one worker usually takes, and from when on it is taken for hung: a hundred times what all but the
 * slowest hundredth took. It must not take one large request for a hang, so nothing below half a minute counts.
 */

/** Times that are remembered; before this many are known, none is usual. */
const remembered = 200
const enough = 100
const factor = 100
/** In milliseconds. */
export const leastHangMs = 30_000

export class UsualTime {
  readonly #times = new Float64Array(remembered)
  #count = 0

  /** @param ms the time between two answers of a busy worker */
  add(ms: number): void {
    this.#times[this.#count % remembered] = ms
    this.#count += 1
  }

  /** Milliseconds after which a run that has not ended has hung; Infinity while too little is known. */
  hangsAfterMs(): number {
    if (this.#count < enough) return Infinity
    const known = this.#times.slice(0, Math.min(this.#count, remembered)).toSorted()
    const p99 = known[Math.floor(known.length * 0.99)] ?? 0
    return Math.max(leastHangMs, factor * p99)
  }
}
