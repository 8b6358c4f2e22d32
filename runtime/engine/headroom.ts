/**
 * Whether the process may take more memory. Being killed for it takes everybody's requests along and leaves no message, so what
 * can be left out (a larger batch, another worker) is left out when it might not fit.
 */

/** The share of the limit that models and their runs may take; the rest is for bodies and answers. */
const share = 3 / 4

export class Headroom {
  readonly #limitBytes: number | undefined
  readonly #used: () => number

  /**
   * @param limitBytes the container's limit; undefined for none
   * @param used what the process has resident, in bytes; the program's own pages are counted, which the kernel could drop
   */
  constructor(limitBytes: number | undefined, used: () => number = () => process.memoryUsage.rss()) {
    this.#limitBytes = limitBytes
    this.#used = used
  }

  get usedBytes(): number {
    return this.#used()
  }

  /** Whether so many bytes more are within what models may take. */
  fits(bytes: number): boolean {
    return this.#limitBytes === undefined || this.#used() + bytes <= this.#limitBytes * share
  }
}
