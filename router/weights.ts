// Which shares a version of a model's routes gave. Envoy says only the version, and it may be one or two behind what is
// wanted now while pods come and go.
import type { Applied } from './publish/memory.ts'

type Weights = Applied['weights']

/** More than Envoy can be behind: it answers within milliseconds. */
const versionsKept = 8

export class RecentWeights {
  /** By uid, then by version, the newest last. */
  readonly #models = new Map<string, Map<string, Weights>>()

  note(uid: string, version: string, weights: Weights): void {
    const versions = this.#models.get(uid) ?? new Map<string, Weights>()
    this.#models.set(uid, versions)
    versions.delete(version)
    versions.set(version, weights)
    const [oldest] = versions.keys()
    if (versions.size > versionsKept && oldest !== undefined) versions.delete(oldest)
  }

  /** Forgets the models that have gone. */
  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of this.#models.keys()) if (!uids.has(uid)) this.#models.delete(uid)
  }

  /** A version names its object and its epoch, so it is nobody else's. */
  of(version: string): Weights | undefined {
    for (const versions of this.#models.values()) {
      const weights = versions.get(version)
      if (weights !== undefined) return weights
    }
    return undefined
  }
}
