// How long a key waits after it failed: 5 ms doubling to 5 minutes, with full jitter, forgotten on success. A failure
// that is not the key's own waits half a minute at most.
import { exponentialMs, type Growth } from '../kube/delay.ts'

/** controller-runtime's cap of 1000 s leaves people waiting a quarter of an hour for nothing. */
const defaultGrowth: Growth = { firstMs: 5, maxMs: 300_000 }

export class Backoff {
  readonly #failures = new Map<string, number>()
  readonly #growth: Growth
  readonly #random: () => number

  /** @param random a number of [0, 1); Math.random unless given */
  constructor(growth: Growth = defaultGrowth, random: () => number = Math.random) {
    this.#growth = growth
    this.#random = random
  }

  /**
   * Counts one more failure of the key.
   * @param mostMs a lower cap for this once
   * @returns the wait in milliseconds
   */
  next(key: string, mostMs = Infinity): number {
    const attempt = this.#failures.get(key) ?? 0
    this.#failures.set(key, attempt + 1)
    return this.#random() * Math.min(mostMs, exponentialMs(attempt, this.#growth))
  }

  /** How often the key failed since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  forget(key: string): void {
    this.#failures.delete(key)
  }
}
