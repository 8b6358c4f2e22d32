// Ends a watch or a list that says nothing, or does not end: aborts when the parent does or when one of two times is over,
// and knows whether it was the time.

export interface Patience {
  /** The whole watch. */
  readonly totalMs: number
  /** Between two things heard. */
  readonly silenceMs: number
}

export class Watchdog {
  readonly #abort = new AbortController()
  readonly #parent: AbortSignal
  readonly #total: NodeJS.Timeout
  #silence: NodeJS.Timeout
  #bit = false

  constructor(parent: AbortSignal, { totalMs, silenceMs }: Patience) {
    this.#parent = parent
    this.#total = setTimeout(this.#bite, totalMs)
    this.#silence = setTimeout(this.#bite, silenceMs)
    if (parent.aborted) this.#cancel()
    parent.addEventListener('abort', this.#cancel, { once: true })
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Whether it was this that ended the watch. */
  get bit(): boolean {
    return this.#bit
  }

  /** Something came: silence begins anew. */
  heard(): void {
    this.#silence.refresh()
  }

  /** From now on silence may last so long. */
  expect(silenceMs: number): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(this.#bite, silenceMs)
  }

  stop(): void {
    clearTimeout(this.#total)
    clearTimeout(this.#silence)
    this.#parent.removeEventListener('abort', this.#cancel)
  }

  readonly #bite = (): void => {
    this.#bit = true
    this.#abort.abort(new Error('the server says nothing any more'))
  }

  readonly #cancel = (): void => this.#abort.abort(this.#parent.reason)
}
