// Read your own writes: after a key's reconcile wrote an object, the key waits until the cache has come that far. Without
// it the next reconcile would decide on what was true before, and do it again.
import { resourceName, type ResourceType } from '../kube/resources.ts'
import { splitKey } from '../kube/key.ts'
import { reached } from '../kube/version.ts'

/** A write that the cache has not shown yet. */
export interface Pending {
  /** `deployments.apps`. */
  readonly resource: string
  readonly resourceVersion: string
  /** Milliseconds since it was written. */
  readonly ageMs: number
}

/** A store, as far as this concerns it. */
interface Cached {
  resourceVersion(namespace?: string): string | undefined
}

/**
 * A cache that has not come so far in this time never will (the server's versions went back after a restore, say);
 * deciding on what it shows is then better than never deciding again. A relist or a bookmark comes sooner than this.
 */
const giveUpMs = 300_000

export class Consistency {
  readonly #stores = new Map<string, Cached>()
  readonly #written = new Map<string, Map<string, { readonly resourceVersion: string; readonly at: number }>>()

  /** From now on, writes of this kind are waited for. Kinds without a store are not: they are read live. */
  track(type: ResourceType, store: Cached): void {
    this.#stores.set(resourceName(type), store)
  }

  /** @param key the key whose reconcile wrote; the object is in the same namespace */
  record(key: string, type: ResourceType, resourceVersion: string | undefined): void {
    const resource = resourceName(type)
    if (resourceVersion === undefined || !this.#stores.has(resource)) return
    const writes = this.#written.get(key) ?? new Map<string, { resourceVersion: string; at: number }>()
    const before = writes.get(resource)?.resourceVersion
    if (before !== undefined && reached(before, resourceVersion)) return
    writes.set(resource, { resourceVersion, at: performance.now() })
    this.#written.set(key, writes)
  }

  /** What the key still waits for; undefined when the cache has seen all its writes. */
  pending(key: string): Pending | undefined {
    const writes = this.#written.get(key)
    if (writes === undefined) return undefined
    const { namespace } = splitKey(key)
    for (const [resource, { resourceVersion, at }] of writes) {
      const ageMs = performance.now() - at
      const seen = this.#stores.get(resource)?.resourceVersion(namespace)
      if (ageMs < giveUpMs && (seen === undefined || !reached(seen, resourceVersion))) {
        return { resource, resourceVersion, ageMs }
      }
      writes.delete(resource)
    }
    this.#written.delete(key)
    return undefined
  }

  /** Whether the cache has seen all writes of the key. */
  ready(key: string): boolean {
    return this.pending(key) === undefined
  }

  /** The kind is gone, with all that was ever written of it: no key waits for it any more. */
  forgetKind(type: ResourceType): void {
    for (const writes of this.#written.values()) writes.delete(resourceName(type))
  }

  /** The key's object is gone: nothing is waited for any more. */
  forget(key: string): void {
    this.#written.delete(key)
  }
}
