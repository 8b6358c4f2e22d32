// plan and learn against a model of Envoy that has its measured habits: it applies a file some time after it was
// written, a refused file leaves its version as it was and may be applied in part, clusters warm, and it may be started
// again at any time. (The real one is in test/integration/router.)
import fc from 'fast-check'
import { describe, expect, test } from '@jest/globals'
import { endpoints, setting } from '../fixtures.ts'
import type { Endpoints, Setting } from '../model.ts'
import { contentHash, type Message, type XdsFile } from '../xds/json.ts'
import { clustersFile, endpointsFile, listenersFile, routesFile } from '../xds/names.ts'
import { renderModel, resourcesFile, type RenderedModel, type Resource } from '../xds/render.ts'
import { learn, nothingKnown, wrote, wroteClusters, type Memory, type Seen } from './learn.ts'
import { plan, type Change, type Disk } from './plan.ts'

const options = { folder: '/xds', listenAddress: '::' }

class Files implements Disk {
  readonly files = new Map<string, XdsFile>()
  clusters: ReadonlyMap<string, Resource> = new Map()
  listeners: ReadonlyMap<string, Resource> = new Map()
  #count = 0

  constructor() {
    this.writeResources(clustersFile, new Map())
    this.writeResources(listenersFile, new Map())
  }

  writeResources(path: string, resources: ReadonlyMap<string, Resource>): XdsFile {
    const file = resourcesFile(resources.values(), (this.#count += 1))
    this.files.set(path, file)
    if (path === clustersFile) this.clusters = resources
    else this.listeners = resources
    return file
  }
}

/** Refuses every resource or route table that `isBad` says is bad. */
class SimulatedEnvoy {
  bootId = 1
  readonly isBad: (text: string) => boolean
  readonly #disk: Files
  readonly #versions = new Map<string, string>()
  readonly #refusals = new Map<string, number>()
  readonly #read = new Map<string, string>()
  #clusters = new Map<string, string>()
  #warming = new Set<string>()
  #listeners = new Set<string>()
  /** Routes in use, by model: the clusters that they point at. */
  readonly #routes = new Map<string, readonly string[]>()

  constructor(disk: Files, isBad: (text: string) => boolean) {
    this.#disk = disk
    this.isBad = isBad
  }

  restart(): void {
    this.bootId += 1
    for (const map of [this.#versions, this.#refusals, this.#read, this.#clusters, this.#routes]) map.clear()
    this.#warming.clear()
    this.#listeners.clear()
  }

  /** Takes in one file that was written since it looked last. */
  turn(pick: number): void {
    this.#warming.clear()
    const fresh = [...this.#disk.files].filter(
      ([path, { version }]) => this.#read.get(path) !== version && this.#follows(path),
    )
    const chosen = fresh[pick % Math.max(1, fresh.length)]
    if (chosen === undefined) return
    const [path, file] = chosen
    this.#read.set(path, file.version)
    const { resources } = JSON.parse(file.text) as { resources: Message[] }
    if (path !== clustersFile && path !== listenersFile) {
      if (this.isBad(file.text)) return this.#refuse(path)
      if (path.startsWith('rds/')) this.#routes.set(path, clustersIn(resources))
      this.#versions.set(path, file.version)
      return
    }
    const good = resources.filter((resource) => !this.isBad(JSON.stringify(resource)))
    if (path === clustersFile) {
      const before = this.#clusters
      this.#clusters = new Map(good.map((r) => [String(r['name']), contentHash(r)]))
      for (const [name, hash] of this.#clusters) if (before.get(name) !== hash) this.#warming.add(name)
    } else this.#listeners = new Set(good.map((r) => String(r['name'])))
    if (good.length < resources.length) this.#refuse(path)
    else this.#versions.set(path, file.version)
  }

  seen(): Seen {
    return {
      bootId: String(this.bootId),
      versions: new Map(this.#versions),
      refusals: new Map(this.#refusals),
      warming: this.#warming.size,
    }
  }

  /** What a user would meet: a listener whose routes point at a cluster that is not there. */
  holes(): string[] {
    return [...this.#routes].flatMap(([path, clusters]) =>
      this.#listeners.has(path.slice(4, -5))
        ? clusters.filter((name) => !this.#clusters.has(name)).map((name) => `${path} → ${name}`)
        : [],
    )
  }

  #follows(path: string): boolean {
    if (path.startsWith('rds/')) return this.#listeners.has(path.slice(4, -5))
    if (!path.startsWith('eds/')) return true
    return [...this.#clusters.keys()].some((name) => endpointsFile(name) === path)
  }

  #refuse(path: string): void {
    this.#refusals.set(path, (this.#refusals.get(path) ?? 0) + 1)
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
  memory: Memory = nothingKnown
  readonly changes: Change[] = []
  readonly #disk: Files
  readonly #envoy: SimulatedEnvoy

  constructor(disk: Files, envoy: SimulatedEnvoy) {
    this.#disk = disk
    this.#envoy = envoy
  }

  step(wanted: readonly RenderedModel[]): boolean {
    this.memory = learn(this.memory, this.#disk, this.#envoy.seen(), 'it is bad')
    const { changes, settled } = plan(wanted, this.#disk, this.memory)
    for (const change of changes) this.#carryOut(change)
    return settled
  }

  restart(): void {
    this.memory = nothingKnown
  }

  #carryOut(change: Change): void {
    this.changes.push(change)
    if (change.do === 'write') {
      this.#disk.files.set(change.path, change.file)
      this.memory = wrote(this.memory, change.path, change.file)
    } else if (change.do === 'remove') this.#disk.files.delete(change.path)
    else {
      const path = change.do === 'writeClusters' ? clustersFile : listenersFile
      this.memory = wrote(this.memory, path, this.#disk.writeResources(path, change.resources))
      if (path === clustersFile) this.memory = wroteClusters(this.memory, change.resources)
    }
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
  | { readonly do: 'envoy'; readonly pick: number }
  | { readonly do: 'agent' }
  | { readonly do: 'restartEnvoy' | 'restartAgent' }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('want' as const),
      variant: fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 3, maxLength: 3 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('envoy' as const), pick: fc.nat({ max: 20 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('agent' as const) }) },
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
  for (let i = 0; i < 400; i += 1) {
    if (agent.step(wanted)) return true
    envoy.turn(0)
  }
  return false
}

describe('whatever is asked, in whatever order Envoy gets to it', () => {
  test('no user ever meets a route without its cluster, and in the end Envoy has exactly what is wanted', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const disk = new Files()
        const envoy = new SimulatedEnvoy(disk, () => false)
        const agent = new Agent(disk, envoy)
        let wanted: readonly RenderedModel[] = []
        for (const next of commands) {
          if (next.do === 'want') wanted = wantedOf(next.variant)
          else if (next.do === 'envoy') envoy.turn(next.pick)
          else if (next.do === 'agent') agent.step(wanted)
          else if (next.do === 'restartEnvoy') envoy.restart()
          else agent.restart()
          expect(envoy.holes()).toEqual([])
        }
        expect(settle(agent, envoy, wanted)).toBe(true)
        const { versions } = envoy.seen()
        for (const { setting: s, routes } of wanted) expect(versions.get(routesFile(s.name))).toBe(routes.version)
        expect(new Set(disk.clusters.keys())).toEqual(
          new Set(wanted.flatMap((m) => m.clusters.map(({ name }) => name))),
        )
        const files = wanted.flatMap((m) => [routesFile(m.setting.name), ...[...m.endpoints.keys()].map(endpointsFile)])
        expect(new Set(disk.files.keys())).toEqual(new Set([clustersFile, listenersFile, ...files]))
        const before = agent.changes.length
        for (let i = 0; i < 10; i += 1) agent.step(wanted)
        expect(agent.changes.length).toBe(before)
      }),
      { numRuns: 60 },
    )
  })

  test.each([
    ['its cluster', '"name":"other/fraud-bbbbbbbbbb/http"'],
    ['its routes', '"name":"other","validate_clusters"'],
    ['its listener', '"name":"other","stat_prefix"'],
  ])('a model of which Envoy refuses %s holds up no other, and nothing is written for ever', (_, bad) => {
    const disk = new Files()
    const envoy = new SimulatedEnvoy(
      disk,
      (text) => text.replaceAll(/\s/g, '').includes(bad) && !text.includes('"cluster_name"'),
    )
    const agent = new Agent(disk, envoy)
    const wanted = wantedOf([0, 0, 0])
    expect(settle(agent, envoy, wanted)).toBe(true)
    const { versions } = envoy.seen()
    const applied = wanted.filter(({ setting: s, routes }) => versions.get(routesFile(s.name)) === routes.version)
    expect(applied.map(({ setting: s }) => s.name).filter((name) => name !== 'other')).toEqual(['fraud', 'third'])
    expect([...agent.memory.refused.values()].map(({ why }) => why)).toContain('it is bad')
    const before = agent.changes.length
    for (let i = 0; i < 10; i += 1) agent.step(wanted)
    expect(agent.changes.length).toBe(before)
  })

  test('pods of a cluster that loses its last one are taken out only after its share has moved', () => {
    const disk = new Files()
    const envoy = new SimulatedEnvoy(disk, () => false)
    const agent = new Agent(disk, envoy)
    expect(settle(agent, envoy, [renderModel(setting, endpoints, options)])).toBe(true)
    const left = new Map([...endpoints].filter(([name]) => name !== 'fraud-bbbbbbbbbb'))
    const wanted = [renderModel({ ...setting }, left, options)]
    agent.changes.length = 0
    expect(settle(agent, envoy, wanted)).toBe(true)
    const paths = agent.changes.flatMap((change) => ('path' in change ? [change.path] : []))
    expect(paths.indexOf('rds/fraud.json')).toBeLessThan(paths.indexOf('eds/fraud~fraud-bbbbbbbbbb~http.json'))
    expect(paths).toContain('eds/fraud~fraud-bbbbbbbbbb~grpc.json')
  })
})
