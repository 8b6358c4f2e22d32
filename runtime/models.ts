/**
 * The versions of the model that this server knows, and which of them a request means.
 * A request that names no version goes to the default one; changing that is a single assignment, so no request falls
 * between two versions.
 */
import { fault, type Fault } from './errors.ts'
import type { LiveVersion } from './version.ts'

export class Models {
  /** The model's name in paths. */
  readonly name: string
  #versions: readonly LiveVersion[] = []
  #current: LiveVersion | undefined

  constructor(name: string) {
    this.name = name
  }

  /** All versions, those that load or failed among them. */
  list(): readonly LiveVersion[] {
    return this.#versions
  }

  /** The version of requests that name none; undefined before the first one is known. */
  get current(): LiveVersion | undefined {
    return this.#current
  }

  /** The version that a request means, or the Fault to answer. It may still be loading: ask its `notReady`. */
  find(name: string, version?: string): LiveVersion | Fault {
    if (name !== this.name) return fault('UnknownModel', { found: name, model: this.name })
    const found =
      version === undefined ? this.#current : this.#versions.find((candidate) => candidate.version === version)
    return found ?? this.#unknown(version ?? 'default')
  }

  /**
   * The version that carries a label, or the Fault to answer. While a label moves two carry it: the one that serves is
   * meant, and of two that serve the newer one.
   */
  findLabel(name: string, label: string): LiveVersion | Fault {
    if (name !== this.name) return fault('UnknownModel', { found: name, model: this.name })
    const carriers = this.#versions.filter(({ labels }) => labels.includes(label))
    const found = carriers.findLast(({ phase }) => phase.name === 'Serving') ?? carriers[0]
    return found ?? this.#unknown(label)
  }

  /** Makes a version known beside the others. */
  add(version: LiveVersion): void {
    this.#versions = [...this.#versions, version]
  }

  /** Sends requests that name no version to this one from now on. */
  makeCurrent(version: LiveVersion): void {
    this.#current = version
  }

  /** Forgets a version: nobody finds it any more. */
  remove(version: LiveVersion): void {
    this.#versions = this.#versions.filter((known) => known !== version)
  }

  /** Why the server cannot be trusted any more; undefined while every worker of every version lives and moves. */
  problem(): string | undefined {
    for (const { phase, pool } of this.#versions) {
      // What could not be loaded has no workers, and nobody depends on it.
      const problem = phase.name === 'Failed' ? undefined : pool.problem()
      if (problem !== undefined) return problem
    }
    return undefined
  }

  #unknown(found: string): Fault {
    const live = this.#versions.filter(({ phase }) => phase.name !== 'Failed').map(({ version }) => version)
    return fault('UnknownVersion', { model: this.name, found, live: live.join(', ') || 'none' })
  }
}
