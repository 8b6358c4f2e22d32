// What is known of one Envoy, from its own words on its stream: what it has, what it was sent and has not answered yet,
// what it refused and why. It sends nothing; the same words always lead to the same knowledge.
import type { Kind, Request, Response } from '../stream/discovery.ts'
import type { Resource } from '../xds/render.ts'

/** What is said next: a resource as it is to be, or the name of one that goes. */
export type Change =
  | { readonly do: 'send'; readonly resource: Resource }
  | { readonly do: 'remove'; readonly kind: Kind; readonly name: string }

type Key = `${Kind} ${string}`
const keyOf = (kind: Kind, name: string): Key => `${kind} ${name}`
/** The key of what a change is about. */
export const keyOfChange = (change: Change): Key =>
  change.do === 'send' ? keyOf(change.resource.kind, change.resource.name) : keyOf(change.kind, change.name)

/** Envoy asks for all that there is of these, and for the others by name. */
const isListed = (kind: Kind): boolean => kind === 'cluster' || kind === 'listener'

/** The version of pods that Envoy was told there are none of. */
const noPods = 'none'
/** Of one resource: what is wanted, what was before, and some that were wanted meanwhile. */
const refusalsKept = 8

export class Known {
  /** By key: the version that Envoy has. */
  readonly #has = new Map<Key, string>()
  /** By key, then by version: why Envoy refused it. */
  readonly #refused = new Map<Key, Map<string, string>>()
  /** By nonce: what was sent and is not answered. */
  readonly #sent = new Map<string, Change | undefined>()
  /** By key: the nonce of the last that was sent of it, until that is answered. */
  readonly #onItsWay = new Map<Key, string>()
  readonly #asked = new Set<Key>()
  readonly #listed = new Set<Kind>()
  /** Clusters that serve, by name, each with its version. */
  readonly #serving = new Map<string, string>()
  /** By key: the last that Envoy took, this one or one before it. */
  readonly #good: Map<Key, Resource>
  #nonce = 0

  /** @param good what an Envoy took before this one: it is what this one gets where it refuses what is wanted */
  constructor(good: ReadonlyMap<Key, Resource> = new Map()) {
    this.#good = new Map(good)
  }

  get good(): ReadonlyMap<Key, Resource> {
    return this.#good
  }

  assume(resources: readonly Resource[]): void {
    for (const resource of resources) this.#good.set(keyOf(resource.kind, resource.name), resource)
  }

  /** Whether anything that was sent is not answered yet. */
  get isAwaited(): boolean {
    return this.#sent.size > 0
  }

  version(kind: Kind, name: string): string | undefined {
    return this.#has.get(keyOf(kind, name))
  }

  /** The names of what Envoy has of a kind, and of what it was sent. */
  names(kind: Kind): string[] {
    const keys = new Set([...this.#has.keys(), ...this.#onItsWay.keys()])
    const prefix = `${kind} `
    return [...keys].flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []))
  }

  /** The version that Envoy has or is about to have; undefined too where it is about to lose it. */
  upcoming(kind: Kind, name: string): string | undefined {
    const key = keyOf(kind, name)
    const nonce = this.#onItsWay.get(key)
    if (nonce === undefined) return this.#has.get(key)
    const change = this.#sent.get(nonce)
    return change?.do === 'send' ? change.resource.version : undefined
  }

  /** What is sent of a resource: the last good one where Envoy has refused this very version; undefined: nothing. */
  accepted(resource: Resource): Resource | undefined {
    return [resource, this.lastGood(resource.kind, resource.name)].find(
      (one) => one !== undefined && this.refusal(one) === undefined,
    )
  }

  /** Why Envoy refused this very version, or undefined. */
  refusal({ kind, name, version }: Resource): string | undefined {
    return this.#refused.get(keyOf(kind, name))?.get(version)
  }

  /** The last version of it that Envoy took. */
  lastGood(kind: Kind, name: string): Resource | undefined {
    return this.#good.get(keyOf(kind, name))
  }

  /** Whether Envoy asks for it, so that it may be told. */
  isAskedFor(kind: Kind, name: string): boolean {
    return isListed(kind) ? this.#listed.has(kind) : this.#asked.has(keyOf(kind, name))
  }

  /**
   * Names that Envoy waits for the pods of. While it does it says nothing about any cluster, not even on a new stream;
   * so one that nobody wants any more has to be answered too.
   */
  get hungry(): string[] {
    const prefix = 'endpoints '
    return [...this.#asked].flatMap((key) =>
      key.startsWith(prefix) && !this.#has.has(key) && !this.#onItsWay.has(key) ? [key.slice(prefix.length)] : [],
    )
  }

  /** Whether this cluster, in this version, has its pods and takes requests. */
  isServing({ name, version }: Resource): boolean {
    return this.#serving.get(name) === version
  }

  /** Whether something was refused for a reason that Envoy did not come to. */
  get isCutOff(): boolean {
    return [...this.#refused.values()].some((versions) => [...versions.values()].includes(cutOff))
  }

  /** @param why what Envoy's log says last about a refusal */
  explain(why: string): void {
    for (const versions of this.#refused.values()) {
      for (const [version, known] of versions) if (known === cutOff) versions.set(version, why || 'its log says why')
    }
  }

  /** Whether a cluster has all that it needs and is not known to serve yet: Envoy has to be looked at. */
  get isWarming(): boolean {
    return this.names('cluster').some(
      (name) =>
        this.version('cluster', name) !== this.#serving.get(name) &&
        this.version('endpoints', name) !== undefined &&
        !this.#onItsWay.has(keyOf('cluster', name)),
    )
  }

  /** Takes in what Envoy says. @returns what it has to be answered at once, if anything */
  heard(request: Request): Response | undefined {
    const { kind, subscribe, unsubscribe, has, nonce, refusal } = request
    if (kind === undefined) return undefined
    if (nonce !== '') this.#answered(nonce, refusal)
    for (const name of unsubscribe) this.#forget(keyOf(kind, name))
    for (const name of subscribe) {
      // An Envoy that asks for something does not have it, whatever it had before.
      this.#forget(keyOf(kind, name))
      this.#asked.add(keyOf(kind, name))
    }
    // Pods are told again in any case: a cluster that was told anew on another stream may still wait for them.
    if (kind !== 'endpoints') for (const [name, version] of has) this.#has.set(keyOf(kind, name), version)
    if (!isListed(kind) || this.#listed.has(kind)) return undefined
    this.#listed.add(kind)
    // It starts only when it has been answered, even with nothing; and the other way round everything comes in order.
    const greeting = this.#nextNonce()
    this.#sent.set(greeting, undefined)
    return { kind, nonce: greeting }
  }

  /** Notes that this is sent, and makes the message. */
  sending(change: Change): Response {
    const key = keyOfChange(change)
    const nonce = this.#nextNonce()
    this.#sent.set(nonce, change)
    this.#onItsWay.set(key, nonce)
    if (change.do === 'remove') {
      if (change.kind === 'cluster') this.#unfed(change.name)
      return { kind: change.kind, nonce, removed: change.name }
    }
    const { kind, name, version, message } = change.resource
    if (kind === 'cluster') this.#unfed(name)
    return { kind, nonce, resource: { name, version, message } }
  }

  /** Takes in a look at Envoy. @param warming names of clusters that do not serve yet */
  looked(warming: ReadonlySet<string>): void {
    for (const name of this.names('cluster')) {
      const version = this.version('cluster', name)
      if (version === undefined || this.#onItsWay.has(keyOf('cluster', name))) continue
      if (!warming.has(name)) this.#serving.set(name, version)
    }
  }

  #answered(nonce: string, refusal: string | undefined): void {
    const change = this.#sent.get(nonce)
    this.#sent.delete(nonce)
    if (change === undefined) return
    const key = keyOfChange(change)
    if (this.#onItsWay.get(key) === nonce) this.#onItsWay.delete(key)
    if (change.do === 'remove') {
      if (refusal !== undefined) return
      if (change.kind === 'endpoints') this.#has.set(key, noPods)
      else this.#has.delete(key)
      return
    }
    const { resource } = change
    if (refusal !== undefined) {
      const versions = this.#refused.get(key) ?? new Map<string, string>()
      this.#refused.set(key, versions.set(resource.version, asSentence(refusal)))
      const [oldest = ''] = versions.keys()
      if (versions.size > refusalsKept) versions.delete(oldest)
      return
    }
    this.#has.set(key, resource.version)
    this.#good.set(key, resource)
  }

  #forget(key: Key): void {
    this.#lose(key)
    this.#asked.delete(key)
  }

  /** Envoy does not have it any more, nor will it by what was sent so far: the answers to that say nothing now. */
  #lose(key: Key): void {
    this.#has.delete(key)
    if (!this.#onItsWay.delete(key)) return
    for (const [nonce, change] of this.#sent) {
      if (change !== undefined && keyOfChange(change) === key) this.#sent.set(nonce, undefined)
    }
  }

  /** A cluster that is told anew serves in its new form only when it has been told its pods again, even the same. */
  #unfed(name: string): void {
    this.#serving.delete(name)
    this.#lose(keyOf('endpoints', name))
  }

  #nextNonce(): string {
    this.#nonce += 1
    return String(this.#nonce)
  }
}

/** Envoy says at most 4 KiB, and where a message is invalid it says all of it before the reason. */
const cutOff = '...(truncated)'

/** Envoy's reasons have several lines. */
const asSentence = (text: string): string => (text.endsWith(cutOff) ? cutOff : text.replaceAll(/\s+/g, ' ').trim())
