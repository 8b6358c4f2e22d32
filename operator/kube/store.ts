// The cache of one kind: what the API server last told us, with indexes. Only reflectors write to it; everyone else
// reads, and must treat what is read as read-only, because every reader gets the same objects.
import { keyFor, keyOf } from './key.ts'
import type { KubeObject } from './types.ts'

export interface StoreEvent<T> {
  readonly type: 'added' | 'modified' | 'deleted'
  /** For `deleted`: the last state that was seen. */
  readonly object: T
  /** The state before; undefined for `added`. */
  readonly old: T | undefined
  /** It comes from a first list, so nobody is waiting for it in particular. */
  readonly initial: boolean
}

export type Indexes<T> = Readonly<Record<string, (object: T) => readonly string[]>>

/** What a reflector may do to the part of a store that it fills: one namespace, or everything. */
export interface StoreScope<T> {
  /** Everything that exists now; what is missing from `items` has been deleted. */
  replace(items: readonly T[], resourceVersion: string): void
  apply(object: T): void
  delete(object: T): void
  bookmark(resourceVersion: string): void
  /** Nothing is known any more: what was there goes, and it is not synced until it is replaced again. */
  forget(): void
  readonly size: number
  /** It has been replaced once, and not been forgotten since. */
  readonly synced: boolean
}

interface Scope {
  synced: boolean
  resourceVersion: string
  size: number
}

export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>()
  readonly #indexOf: Indexes<T>
  /** By index, then by value. Most values have one object, which then stands there without a map of its own. */
  readonly #indexes = new Map<string, Map<string, T | Map<string, T>>>()
  readonly #scopes = new Map<string, Scope>()
  readonly #subscribers = new Set<(event: StoreEvent<T>) => void>()
  readonly #waiting = new Set<() => void>()

  /** @param indexes by name: the values under which an object is found with `byIndex` */
  constructor(indexes: Indexes<T> = {}) {
    this.#indexOf = indexes
    for (const name of Object.keys(indexes)) this.#indexes.set(name, new Map())
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(keyFor(namespace, name))
  }

  getByKey(key: string): T | undefined {
    return this.#objects.get(key)
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys()
  }

  list(): IterableIterator<T> {
    return this.#objects.values()
  }

  /** @throws TypeError for an index that the store was not made with */
  byIndex(index: string, value: string): readonly T[] {
    const values = this.#indexes.get(index)
    if (values === undefined) throw new TypeError(`this store has no index ${index}`)
    const found = values.get(value)
    return found === undefined ? [] : found instanceof Map ? [...found.values()] : [found]
  }

  get size(): number {
    return this.#objects.size
  }

  /** Every scope has been listed at least once; false again only when one is forgotten. */
  get synced(): boolean {
    return this.#scopes.size > 0 && [...this.#scopes.values()].every((scope) => scope.synced)
  }

  /** Resolves once synced; rejects with the signal's reason. */
  async whenSynced(signal?: AbortSignal): Promise<void> {
    while (!this.synced) {
      signal?.throwIfAborted()
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        signal?.addEventListener('abort', wake, { once: true })
      })
    }
  }

  /** How far the cache has come in the scope that holds this namespace; undefined before the first list. */
  resourceVersion(namespace?: string): string | undefined {
    const scope = this.#scopeOf(namespace)
    return scope?.synced === true ? scope.resourceVersion : undefined
  }

  /**
   * Calls `subscriber` on each change, and at once, as `initial`, for each object that is there already. A subscriber
   * only takes notes (adds keys to a queue); what it throws is a bug and ends the process as an uncaught exception.
   * @returns a function that ends the subscription
   */
  subscribe(subscriber: (event: StoreEvent<T>) => void): () => void {
    this.#subscribers.add(subscriber)
    for (const object of this.#objects.values()) subscriber({ type: 'added', object, old: undefined, initial: true })
    return () => this.#subscribers.delete(subscriber)
  }

  /** For reflectors: the part of this store that one of them fills. */
  scope(namespace?: string): StoreScope<T> {
    const name = namespace ?? ''
    if (this.#scopes.has(name)) throw new TypeError(`two reflectors fill the same store, both for namespace "${name}"`)
    const scope: Scope = { synced: false, resourceVersion: '', size: 0 }
    this.#scopes.set(name, scope)
    const inScope = ({ metadata }: T): boolean => name === '' || metadata.namespace === name
    return {
      replace: (items, resourceVersion) => {
        this.#replace(items, inScope, !scope.synced)
        scope.resourceVersion = resourceVersion
        scope.synced = true
        for (const wake of this.#waiting) wake()
      },
      apply: (object) => {
        this.#put(keyOf(object), object, false)
        scope.resourceVersion = object.metadata.resourceVersion ?? scope.resourceVersion
      },
      delete: (object) => {
        this.#remove(keyOf(object), object)
        scope.resourceVersion = object.metadata.resourceVersion ?? scope.resourceVersion
      },
      bookmark: (resourceVersion) => {
        scope.resourceVersion = resourceVersion
      },
      forget: () => {
        this.#replace([], inScope, false)
        scope.resourceVersion = ''
        scope.synced = false
      },
      get size() {
        return scope.size
      },
      get synced() {
        return scope.synced
      },
    }
  }

  #replace(items: readonly T[], inScope: (object: T) => boolean, initial: boolean): void {
    const present = new Set(items.map(keyOf))
    // Deletions first, so that an object which took another's place in an index never meets it there.
    for (const [key, object] of this.#objects) {
      if (inScope(object) && !present.has(key)) this.#remove(key, object)
    }
    for (const object of items) this.#put(keyOf(object), object, initial)
  }

  #put(key: string, object: T, initial: boolean): void {
    const old = this.#objects.get(key)
    if (
      old?.metadata.resourceVersion === object.metadata.resourceVersion &&
      old?.metadata.uid === object.metadata.uid
    ) {
      return
    }
    // Same name, another object: the old one was deleted in a moment that we did not see.
    const replaced = old !== undefined && old.metadata.uid !== object.metadata.uid
    if (replaced) this.#remove(key, old)
    else if (old !== undefined) this.#unindex(key, old)
    const added = old === undefined || replaced
    this.#objects.set(key, object)
    this.#index(key, object)
    if (added) {
      this.#count(object, 1)
      this.#notify({ type: 'added', object, old: undefined, initial })
    } else this.#notify({ type: 'modified', object, old, initial })
  }

  #remove(key: string, last: T): void {
    const old = this.#objects.get(key)
    if (old === undefined) return
    this.#unindex(key, old)
    this.#objects.delete(key)
    this.#count(old, -1)
    this.#notify({ type: 'deleted', object: last, old, initial: false })
  }

  #scopeOf(namespace: string | undefined): Scope | undefined {
    return this.#scopes.get(namespace ?? '') ?? this.#scopes.get('')
  }

  #count({ metadata }: T, change: number): void {
    const scope = this.#scopeOf(metadata.namespace)
    if (scope !== undefined) scope.size += change
  }

  #index(key: string, object: T): void {
    for (const [name, valuesOf] of Object.entries(this.#indexOf)) {
      const index = this.#indexes.get(name)
      for (const value of valuesOf(object)) {
        const found = index?.get(value)
        if (found instanceof Map) found.set(key, object)
        else if (found === undefined || keyOf(found) === key) index?.set(value, object)
        else
          index?.set(
            value,
            new Map<string, T>([
              [keyOf(found), found],
              [key, object],
            ]),
          )
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const [name, valuesOf] of Object.entries(this.#indexOf)) {
      const index = this.#indexes.get(name)
      for (const value of valuesOf(object)) {
        const found = index?.get(value)
        if (found instanceof Map) found.delete(key)
        if (found instanceof Map ? found.size === 0 : found !== undefined && keyOf(found) === key) index?.delete(value)
      }
    }
  }

  #notify(event: StoreEvent<T>): void {
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(event)
      } catch (error) {
        // Out of the reflector's stream, into the open.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

/** An index by the value of a label; objects without it are in no bucket. */
export const byLabel =
  (label: string) =>
  ({ metadata }: KubeObject): readonly string[] => {
    const value = metadata.labels?.[label]
    return value === undefined ? [] : [value]
  }

/** An index by a label within the object's namespace: found under `namespace/value`. */
export const byNamespacedLabel =
  (label: string) =>
  ({ metadata }: KubeObject): readonly string[] => {
    const value = metadata.labels?.[label]
    return value === undefined ? [] : [keyFor(metadata.namespace, value)]
  }

/** An index by the uid of the controlling owner. */
export const byOwnerUid = ({ metadata }: KubeObject): readonly string[] =>
  (metadata.ownerReferences ?? []).filter((owner) => owner.controller === true).map((owner) => owner.uid)
