// Makes a child object be as desired: no call when it is, one server-side apply when it is not. It must never take over
// an object that our owner does not control.
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { isInvalid } from './errors.ts'
import { firstDifference, intentOf, withIntent } from './drift.ts'
import { controllerOf, keyOf } from './key.ts'
import { resourceName, type ResourceType } from './resources.ts'
import type { Store } from './store.ts'
import type { Desired, KubeObject, OwnerReference } from './types.ts'

/** The name of a child is taken by an object that is not ours. */
export class NameConflictError extends Error {
  override readonly name = 'NameConflictError'
  readonly kind: string
  readonly key: string
  /** It will go by itself: it is being deleted, or it is what an earlier owner of our owner's name left behind. */
  readonly passing: boolean

  constructor(live: KubeObject, owner: OwnerReference) {
    const holder = controllerOf(live)
    const passing =
      live.metadata.deletionTimestamp !== undefined ||
      (holder !== undefined && holder.kind === owner.kind && holder.name === owner.name)
    const who = holder === undefined ? 'nobody' : `${holder.kind} ${holder.name}`
    const what = `${live.kind} ${keyOf(live)} exists already and is controlled by ${who}, not by this ${owner.kind} ${owner.name}`
    super(passing ? `${what}; waiting for it to be deleted` : `${what}; rename one of the two`)
    this.kind = live.kind
    this.key = keyOf(live)
    this.passing = passing
  }
}

export interface ApplierOptions {
  readonly client: KubeClient
  readonly log: Logger
  /** Told of each write, so that its owner is not looked at again before the cache has seen it. */
  readonly onWritten?: (type: ResourceType, written: KubeObject) => void
}

export interface ApplyHow {
  /** For the log. */
  readonly why?: string
  readonly signal?: AbortSignal | undefined
  /** Only over the version that was compared with: a change in between is a conflict, and nothing is written. */
  readonly fenced?: boolean
}

export interface Applied<T> {
  readonly object: T
  /** What was different, in words; undefined when nothing was written. */
  readonly difference: string | undefined
  readonly created: boolean
}

export class Applier {
  readonly #client: KubeClient
  readonly #log: Logger
  readonly #onWritten: ((type: ResourceType, written: KubeObject) => void) | undefined
  /**
   * By uid: what still differed right after an apply. The server keeps some values in another form than it was given;
   * applying them again would go on for ever.
   */
  readonly #normalForms = new Map<string, { readonly intent: string | undefined; readonly difference: string }>()

  constructor({ client, log, onWritten }: ApplierOptions) {
    this.#client = client
    this.#log = log
    this.#onWritten = onWritten
  }

  /**
   * @param store the cache of this kind; where it has no such object, the API server is asked
   * @param desired the whole intent, with exactly one controlling owner reference
   * @throws NameConflictError when the name belongs to someone else; StatusError and ConnectionError as the client does
   */
  async applyIfDifferent<T extends KubeObject>(
    type: ResourceType<T>,
    store: Store<T> | undefined,
    desired: Desired,
    { why, signal, fenced = false }: ApplyHow = {},
  ): Promise<Applied<T>> {
    const owner = controllerOf(desired)
    if (owner === undefined) throw new TypeError(`${desired.kind} ${keyOf(desired)} has no controlling owner reference`)
    const { namespace, name } = desired.metadata
    const read = (): Promise<T | undefined> => this.#client.find(type, namespace, name, { signal })
    let live = store?.get(namespace, name) ?? (await read())
    // Before a conflict is declared the server is asked: the cache may hold what has been deleted since.
    if (live !== undefined && controllerOf(live)?.uid !== owner.uid) live = await read()
    if (live !== undefined && controllerOf(live)?.uid !== owner.uid) throw new NameConflictError(live, owner)

    const wanted = withIntent(desired)
    if (live === undefined) return this.#create(type, wanted, owner, why, signal)
    const difference = firstDifference(wanted, live)
    if (difference === undefined || this.#isNormalForm(live, wanted, difference)) {
      return { object: live, difference: undefined, created: false }
    }
    // With the uid the server refuses, should another object have taken the name since.
    const { uid, resourceVersion } = live.metadata
    const metadata = {
      ...wanted.metadata,
      ...(uid !== undefined && { uid }),
      ...(fenced && resourceVersion !== undefined && { resourceVersion }),
    }
    const object = await this.#client.apply(type, { ...wanted, metadata }, { signal }).catch(async (error: unknown) => {
      const now = isOtherObject(error) ? await read() : undefined
      if (now !== undefined && controllerOf(now)?.uid !== owner.uid) throw new NameConflictError(now, owner)
      throw error
    })
    this.#log.info(`applied ${type.kind} ${keyOf(desired)}: ${difference}`, { resource: resourceName(type), why })
    this.#learnNormalForm(object, wanted)
    this.#onWritten?.(type, object)
    return { object, difference, created: false }
  }

  async #create<T extends KubeObject>(
    type: ResourceType<T>,
    wanted: Desired,
    owner: OwnerReference,
    why: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Applied<T>> {
    const { object, created } = await this.#client.applyObserved(type, wanted, { signal })
    if (!created) {
      // Someone made an object of this name between our look and our apply: take our fields off it again.
      const { apiVersion, kind, metadata } = wanted
      const { name, namespace } = metadata
      const nothing = { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) } }
      const released = await this.#client.apply(type, nothing, { signal })
      throw new NameConflictError(released, owner)
    }
    this.#log.info(`created ${type.kind} ${keyOf(wanted)}`, { resource: resourceName(type), why })
    this.#learnNormalForm(object, wanted)
    this.#onWritten?.(type, object)
    return { object, difference: 'it did not exist', created: true }
  }

  #isNormalForm(live: KubeObject, wanted: KubeObject, difference: string): boolean {
    const known = this.#normalForms.get(live.metadata.uid ?? '')
    return known !== undefined && known.intent === intentOf(wanted) && known.difference === difference
  }

  #learnNormalForm(result: KubeObject, wanted: KubeObject): void {
    const uid = result.metadata.uid ?? ''
    const difference = firstDifference(wanted, result)
    this.#normalForms.delete(uid)
    if (difference === undefined) return
    this.#log.warn(`${result.kind} ${keyOf(result)}: the server keeps another form of what was applied`, { difference })
    this.#normalForms.set(uid, { intent: intentOf(wanted), difference })
    // Insertion order is age: the oldest goes first. Forgetting costs one apply that changes nothing.
    if (this.#normalForms.size > 1000) this.#normalForms.delete(this.#normalForms.keys().next().value ?? '')
  }
}

/** The uid that we gave is not that of the object which has the name now. */
const isOtherObject = (error: unknown): boolean =>
  isInvalid(error) && error.causes.some(({ field }) => field === 'metadata.uid')
