// A model of Envoy that has its measured habits, and the publisher without its effects: for tests. It answers in its own
// time, a cluster that was told anew waits for its pods, and meanwhile it says nothing about any cluster.
import type { Kind, Request, Response } from '../stream/discovery.ts'
import type { RenderedModel } from '../xds/render.ts'
import { Known, type Change } from './known.ts'
import { plan } from './plan.ts'

/** Refuses every resource whose text `isBad` says is bad. */
export class SimulatedEnvoy {
  readonly isBad: (text: string) => boolean
  /** What it was sent and has not looked at, and what it has said and nobody has heard. */
  readonly inbox: Response[] = []
  readonly outbox: Request[] = []
  /** By name: the version that serves. */
  readonly serving = new Map<string, string>()
  readonly warming = new Map<string, string>()
  readonly listeners = new Map<string, string>()
  readonly routes = new Map<string, { version: string; clusters: readonly string[] }>()
  readonly #pods = new Map<string, string>()
  readonly #asked = new Map<Kind, Set<string>>([
    ['endpoints', new Set()],
    ['routes', new Set()],
  ])
  readonly #heldBack: Request[] = []

  constructor(isBad: (text: string) => boolean) {
    this.isBad = isBad
    this.connect()
  }

  restart(): void {
    for (const map of [this.serving, this.warming, this.listeners, this.routes, this.#pods]) map.clear()
    for (const names of this.#asked.values()) names.clear()
    this.connect()
  }

  /** A new stream: it says what it has. */
  connect(): void {
    for (const list of [this.inbox, this.outbox, this.#heldBack]) list.length = 0
    this.#say('cluster', { has: new Map([...this.serving, ...this.warming]) })
    this.#say('listener', { has: new Map(this.listeners) })
    const routes = new Map([...this.routes].map(([name, { version }]) => [name, version]))
    for (const [kind, has] of [['endpoints', this.#pods] as const, ['routes', routes] as const]) {
      const names = [...(this.#asked.get(kind) ?? [])]
      if (names.length > 0) this.#say(kind, { subscribe: names, has: new Map(has) })
    }
  }

  /** Looks at one message that it was sent. */
  turn(): void {
    const response = this.inbox.shift()
    if (response === undefined) return
    const { kind, nonce, resource, removed } = response
    if (resource !== undefined && this.isBad(JSON.stringify(resource))) {
      this.#say(kind, { nonce, refusal: 'it is bad' })
      return
    }
    if (removed !== undefined) this.#remove(kind, removed)
    if (resource !== undefined) this.#take(kind, resource)
    this.#say(kind, { nonce })
    if (this.warming.size === 0) this.outbox.push(...this.#heldBack.splice(0))
  }

  /** What a user would meet: a listener whose routes point at a cluster that does not serve. */
  holes(): string[] {
    return [...this.routes].flatMap(([model, { clusters }]) =>
      this.listeners.has(model)
        ? clusters.filter((name) => !this.serving.has(name)).map((name) => `${model} → ${name}`)
        : [],
    )
  }

  #take(kind: Kind, { name, version, message }: NonNullable<Response['resource']>): void {
    if (kind === 'cluster') {
      this.warming.set(name, version)
      this.#ask('endpoints', name)
    } else if (kind === 'listener') {
      this.listeners.set(name, version)
      this.#ask('routes', name)
    } else if (this.#asked.get(kind)?.has(name) !== true) return
    else if (kind === 'routes') this.routes.set(name, { version, clusters: clustersIn(message) })
    else {
      this.#pods.set(name, version)
      this.#warm(name)
    }
  }

  #remove(kind: Kind, name: string): void {
    if (kind === 'endpoints') return this.#warm(name)
    const [had, below] = kind === 'cluster' ? [this.#pods, 'endpoints' as const] : [this.routes, 'routes' as const]
    for (const map of kind === 'cluster' ? [this.serving, this.warming] : [this.listeners]) map.delete(name)
    had.delete(name)
    if (this.#asked.get(below)?.delete(name) === true) this.#say(below, { unsubscribe: [name] })
  }

  #warm(name: string): void {
    const version = this.warming.get(name)
    if (version === undefined) return
    this.serving.set(name, version)
    this.warming.delete(name)
  }

  #ask(kind: 'endpoints' | 'routes', name: string): void {
    const names = this.#asked.get(kind)
    if (names === undefined || names.has(name)) return
    names.add(name)
    // What it has not come to say that it does not want any more it never says.
    const unsaid = this.outbox.findIndex((said) => said.kind === kind && said.unsubscribe.includes(name))
    if (unsaid !== -1) this.outbox.splice(unsaid, 1)
    this.#say(kind, { subscribe: [name] })
  }

  #say(kind: Kind, words: Partial<Request>): void {
    const said = { kind, subscribe: [], unsubscribe: [], has: new Map(), nonce: '', ...words }
    if (kind === 'cluster' && this.warming.size > 0) this.#heldBack.push(said)
    else this.outbox.push(said)
  }
}

const clustersIn = (message: unknown): string[] => {
  if (Array.isArray(message)) return message.flatMap(clustersIn)
  if (typeof message !== 'object' || message === null) return []
  return Object.entries(message).flatMap(([field, value]) =>
    field === 'weighted_clusters'
      ? (value as { clusters: { name: string }[] }).clusters.map(({ name }) => name)
      : clustersIn(value),
  )
}

/** The publisher without its effects. */
export class SimulatedAgent {
  known = new Known()
  readonly changes: Change[] = []
  readonly #envoy: SimulatedEnvoy

  constructor(envoy: SimulatedEnvoy) {
    this.#envoy = envoy
  }

  step(wanted: readonly RenderedModel[]): boolean {
    if (this.known.isWarming) this.known.looked(new Set(this.#envoy.warming.keys()))
    const { changes, settled } = plan(wanted, this.known)
    for (const change of changes) {
      this.changes.push(change)
      this.#envoy.inbox.push(this.known.sending(change))
    }
    return settled
  }

  /** Hears one thing that Envoy has said. */
  hear(): void {
    const request = this.#envoy.outbox.shift()
    const answer = request && this.known.heard(request)
    if (answer !== undefined) this.#envoy.inbox.push(answer)
  }

  /** @param good whether it is the same agent, which knows what an Envoy before has taken */
  meetAnew(good: boolean): void {
    this.known = good ? new Known(this.known.good) : new Known()
  }
}
