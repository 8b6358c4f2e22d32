/**
 * What this server is doing with its life: loading, serving, draining or broken. Health answers are read from here.
 * It must never say ready unless requests are answered, nor live when only a restart helps.
 */

export type Phase = { readonly name: 'Loading' } | { readonly name: 'Serving' } | { readonly name: 'Draining' }

export interface Health {
  readonly live: boolean
  readonly ready: boolean
  /** Why it is not ready; undefined when it is. */
  readonly reason: string | undefined
}

/** What the server serves. */
export interface Served {
  /** Why only a restart helps, if it does. */
  problem(): string | undefined
  /** The version that requests go to by default. */
  readonly current?: { health(): { readonly reason: string | undefined } } | undefined
}

export class ServerState {
  #phase: Phase = { name: 'Loading' }
  readonly #served: Served

  constructor(served: Served) {
    this.#served = served
  }

  get phase(): Phase {
    return this.#phase
  }

  get draining(): boolean {
    return this.#phase.name === 'Draining'
  }

  /** Moves on. Draining is final: a server that is going never becomes ready again. */
  enter(phase: Phase): void {
    if (!this.draining) this.#phase = phase
  }

  health(): Health {
    const problem = this.#served.problem()
    if (problem !== undefined) return { live: false, ready: false, reason: problem }
    const phase = this.#phase
    if (phase.name === 'Serving') return { live: true, ready: true, reason: undefined }
    const reason =
      phase.name === 'Draining' ? 'it is shutting down' : (this.#served.current?.health().reason ?? 'it is starting')
    return { live: true, ready: false, reason }
  }
}
