// plan and Known against a model of Envoy that has its measured habits: it answers in its own time, a cluster that was
// told anew waits for its pods, meanwhile it says nothing about any cluster, and it may be started again at any time.
// (The real one is in test/integration/router.)
import fc from 'fast-check'
import { describe, expect, test } from '@jest/globals'
import { endpoints, setting } from '../fixtures.ts'
import type { Endpoints, Setting } from '../model.ts'
import type { Kind, Request, Response } from '../stream/discovery.ts'
import { renderModel, type RenderedModel } from '../xds/render.ts'
import { keyOfChange, Known, type Change } from './known.ts'
import { plan } from './plan.ts'

const options = { listenAddress: '::' }

/** Refuses every resource whose text `isBad` says is bad. */
class SimulatedEnvoy {
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
class Agent {
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

const none: Endpoints = new Map()
const variants: readonly (readonly [Setting, Endpoints])[] = [
  [setting, endpoints],
  [{ ...setting, epoch: 8, revisions: setting.revisions.slice(0, 1).map((r) => ({ ...r, weight: 1000 })) }, endpoints],
  [{ ...setting, epoch: 9, mirror: { revision: 'fraud-bbbbbbbbbb', perMille: 100 } }, endpoints],
  [{ ...setting, epoch: 10 }, none],
]
const models = ['fraud', 'other', 'third'].map((name) => ({ name, uid: `${name}-uid`, port: 20_000 + name.length }))

type Command =
  | { readonly do: 'want'; readonly variant: readonly number[] }
  | { readonly do: 'envoy' | 'hear' | 'agent' }
  | { readonly do: 'restartEnvoy' | 'restartAgent' }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('want' as const),
      variant: fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 3, maxLength: 3 }),
    }),
  },
  { weight: 24, arbitrary: fc.record({ do: fc.constantFrom('envoy' as const, 'hear' as const, 'agent' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restartEnvoy' as const, 'restartAgent' as const) }) },
)

/** -1 is a model that is not there. */
const wantedOf = (variant: readonly number[]): RenderedModel[] =>
  models.flatMap((model, i) => {
    const [base, pods] = variants[variant[i] ?? -1] ?? []
    return base === undefined || pods === undefined
      ? []
      : [renderModel({ ...base, ...model, model: model.name }, pods, options)]
  })

const settle = (agent: Agent, envoy: SimulatedEnvoy, wanted: readonly RenderedModel[]): boolean => {
  for (let i = 0; i < 1000; i += 1) {
    if (agent.step(wanted) && envoy.inbox.length === 0 && envoy.outbox.length === 0) return true
    envoy.turn()
    agent.hear()
  }
  return false
}

const carryOut = (next: Command, agent: Agent, envoy: SimulatedEnvoy, wanted: readonly RenderedModel[]): void => {
  if (next.do === 'envoy') envoy.turn()
  else if (next.do === 'hear') agent.hear()
  else if (next.do === 'agent') agent.step(wanted)
  else if (next.do === 'restartEnvoy') {
    envoy.restart()
    agent.meetAnew(true)
  } else if (next.do === 'restartAgent') {
    envoy.connect()
    agent.meetAnew(false)
  }
}

const onceQuiet = (agent: Agent, wanted: readonly RenderedModel[]): void => {
  const before = agent.changes.length
  for (let i = 0; i < 10; i += 1) agent.step(wanted)
  expect(agent.changes.length).toBe(before)
}

describe('whatever is asked, in whatever order Envoy gets to it', () => {
  test('no user ever meets a route without its cluster, and in the end Envoy has exactly what is wanted', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const envoy = new SimulatedEnvoy(() => false)
        const agent = new Agent(envoy)
        let wanted: readonly RenderedModel[] = []
        for (const next of commands) {
          if (next.do === 'want') wanted = wantedOf(next.variant)
          else carryOut(next, agent, envoy, wanted)
          expect(envoy.holes()).toEqual([])
        }
        expect(settle(agent, envoy, wanted)).toBe(true)
        const versions = (resources: readonly { name: string; version: string }[]) =>
          new Map(resources.map(({ name, version }) => [name, version]))
        expect(new Map([...envoy.routes].map(([name, { version }]) => [name, version]))).toEqual(
          versions(wanted.map(({ routes }) => routes)),
        )
        expect(envoy.serving).toEqual(versions(wanted.flatMap(({ clusters }) => clusters)))
        expect(envoy.listeners).toEqual(versions(wanted.map(({ listener }) => listener)))
        expect(envoy.warming.size).toBe(0)
        onceQuiet(agent, wanted)
      }),
      { numRuns: 300 },
    )
  })

  test.each([
    ['its cluster', '"name":"other/fraud-bbbbbbbbbb/http","type"'],
    ['its routes', '"name":"other","validate_clusters"'],
    ['its listener', '"name":"other","stat_prefix"'],
  ])('a model of which Envoy refuses %s holds up no other, and nothing is said for ever', (_, bad) => {
    const envoy = new SimulatedEnvoy((text) => text.includes(bad))
    const agent = new Agent(envoy)
    const wanted = wantedOf([0, 0, 0])
    expect(settle(agent, envoy, wanted)).toBe(true)
    expect([...envoy.routes.keys()].filter((name) => name !== 'other')).toEqual(['fraud', 'third'])
    const refusals = wanted.flatMap(({ clusters, routes, listener }) =>
      [...clusters, routes, listener].flatMap((resource) => agent.known.refusal(resource) ?? []),
    )
    expect(refusals).toEqual(['it is bad'])
    onceQuiet(agent, wanted)
  })

  test('routes that are refused leave the ones before, and an Envoy that is started again gets those', () => {
    let bad = 'nothing'
    const envoy = new SimulatedEnvoy((text) => text.includes(bad))
    const agent = new Agent(envoy)
    const [good] = [wantedOf([0, -1, -1])]
    expect(settle(agent, envoy, good)).toBe(true)
    const wanted = wantedOf([1, -1, -1])
    bad = wanted[0]?.routes.version ?? ''
    for (const again of [false, true]) {
      if (again) carryOut({ do: 'restartEnvoy' }, agent, envoy, wanted)
      expect(settle(agent, envoy, wanted)).toBe(true)
      onceQuiet(agent, wanted)
      expect(agent.known.refusal(wanted[0]?.routes ?? bug())).toBe('it is bad')
      if (!again) expect(envoy.routes.get('fraud')?.version).toBe(good[0]?.routes.version)
    }
  })

  test('pods of a cluster that loses its last one are taken out only after its share has moved', () => {
    const envoy = new SimulatedEnvoy(() => false)
    const agent = new Agent(envoy)
    expect(settle(agent, envoy, [renderModel(setting, endpoints, options)])).toBe(true)
    const left = new Map([...endpoints].filter(([name]) => name !== 'fraud-bbbbbbbbbb'))
    const wanted = [renderModel({ ...setting }, left, options)]
    agent.changes.length = 0
    expect(settle(agent, envoy, wanted)).toBe(true)
    const keys = agent.changes.map(keyOfChange)
    expect(keys.indexOf('routes fraud')).toBeGreaterThan(-1)
    expect(keys.indexOf('routes fraud')).toBeLessThan(keys.indexOf('endpoints fraud/fraud-bbbbbbbbbb/http'))
    expect(keys).toContain('endpoints fraud/fraud-bbbbbbbbbb/grpc')
  })

  test('an agent that finds Envoy waiting for the pods of a model that nobody wants any more gets it to go on', () => {
    const envoy = new SimulatedEnvoy(() => false)
    const agent = new Agent(envoy)
    for (const next of ['hear', 'hear', 'agent', 'envoy', 'envoy', 'envoy'] as const) {
      carryOut({ do: next }, agent, envoy, wantedOf([0, -1, -1]))
    }
    expect(envoy.warming.size).toBe(1)
    carryOut({ do: 'restartAgent' }, agent, envoy, [])
    expect(settle(agent, envoy, wantedOf([-1, 0, -1]))).toBe(true)
    expect([...envoy.listeners.keys()]).toEqual(['other'])
  })
})

const bug = (): never => {
  throw new Error('a model was rendered')
}
