// Lets the event loop turn between two pieces of work. Work that waits for nothing but promises, or for bytes that are
// there already, would otherwise go on until all of it is done: timers, sockets and health answers wait behind it.

/** How long work may go on until the loop has to turn, in milliseconds. */
const longestMs = 10

export class Turn {
  /** When somebody first looked at the clock in this turn of the loop; undefined when nobody has yet. */
  #beganAt: number | undefined
  readonly #waiting: (() => void)[] = []

  /** Whether it is time to let others have their turn: all work together has had its share of this one. */
  get isOver(): boolean {
    return performance.now() - (this.#beganAt ?? this.#begin()) >= longestMs
  }

  /** Resolves in a later turn. One of those who wait goes on in each, so that ten of them do not make one long turn. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (this.#beganAt === undefined) this.#begin()
    })
  }

  #begin(): number {
    setImmediate(this.#ended)
    return (this.#beganAt = performance.now())
  }

  readonly #ended = (): void => {
    this.#beganAt = undefined
    const goesOn = this.#waiting.shift()
    if (goesOn === undefined) return
    this.#begin()
    goesOn()
  }
}

/** There is one loop, so there is one of these for all that is heavy: lists, watches and reconciles. */
export const turn = new Turn()
