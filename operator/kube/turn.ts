// Lets the event loop turn between two pieces of work. Work that waits for nothing but promises, or for bytes that are
// there already, would otherwise go on until all of it is done: timers, sockets and health answers wait behind it.

/** How long work may go on until the loop has to turn, in milliseconds: that of everybody together. */
const longestMs = 10

/** What was taken of this turn of the event loop, and who goes on in a later one. */
export class Loop {
  /** When somebody first looked at the clock in this turn; undefined when nobody has yet. */
  #beganAt: number | undefined
  readonly #line: (() => void)[] = []

  get isOver(): boolean {
    return performance.now() - (this.#beganAt ?? this.#begin()) >= longestMs
  }

  /** The first in line goes on in the next turn, the second in the one after it. */
  wait(goOn: () => void): void {
    this.#line.push(goOn)
    if (this.#beganAt === undefined) this.#begin()
  }

  #begin(): number {
    setImmediate(this.#ended)
    return (this.#beganAt = performance.now())
  }

  readonly #ended = (): void => {
    this.#beganAt = undefined
    const goOn = this.#line.shift()
    if (goOn === undefined) return
    this.#begin()
    goOn()
  }
}

/** There is one event loop. */
const theLoop = new Loop()

/**
 * The turns of one who does heavy work: a cache, a controller. Those who wait are served in line, one in each turn of the
 * loop; the ten workers of a controller are one of them, so that a cache does not wait for each.
 */
export class Turn {
  readonly #loop: Loop
  #next: Promise<void> | undefined

  constructor(loop = theLoop) {
    this.#loop = loop
  }

  /** Whether it is time to let others have theirs: everybody together has had this turn's share. */
  get isOver(): boolean {
    return this.#loop.isOver
  }

  /** Resolves in a later turn of the loop. */
  next(): Promise<void> {
    return (this.#next ??= new Promise((resolve) => {
      this.#loop.wait(() => {
        this.#next = undefined
        resolve()
      })
    }))
  }
}
