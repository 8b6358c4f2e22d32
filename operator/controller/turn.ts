// Lets the event loop turn between two pieces of work. Work that waits for nothing but promises would otherwise go on
// until all of it is done: timers, sockets and the answers of a hundred others wait behind it.

/** How long work may go on until the loop has to turn, in milliseconds. */
const longestMs = 10

export class Turn {
  #beganAt = performance.now()
  #next: Promise<void> | undefined

  /** Whether it is time to let others have their turn. */
  get isOver(): boolean {
    return performance.now() - this.#beganAt >= longestMs
  }

  /** Resolves once the loop has turned; everyone who waits shares that one turn. */
  next(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#beganAt = performance.now()
        this.#next = undefined
        resolve()
      })
    })
    return this.#next
  }
}
