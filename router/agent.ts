// The agent beside Envoy: keeps Envoy at what the API server says, again and again, and says what Envoy really does.
// Without the API server it changes nothing; without Envoy it waits; and an old epoch it refuses.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import type { RouterState } from '../operator/api/routerstate.ts'
import { sleep } from '../operator/kube/delay.ts'
import type { EndpointSlice } from '../operator/kube/resources.ts'
import type { Store } from '../operator/kube/store.ts'
import type { Logger } from '../operator/telemetry/log.ts'
import { readEndpoints } from './endpoints.ts'
import { EnvoyGone, type EnvoyAdmin } from './envoy/admin.ts'
import type { Endpoints, Setting } from './model.ts'
import { probe } from './probe.ts'
import type { Applied, MemoryFile } from './publish/memory.ts'
import type { Publisher } from './publish/publisher.ts'
import { decide, type Decision } from './setting.ts'
import { routerState } from './state.ts'
import { RecentWeights } from './weights.ts'
import { Rendered } from './xds/rendered.ts'
import { renderModel, type RenderedModel, type RenderOptions } from './xds/render.ts'

export interface AgentOptions {
  readonly router: string
  readonly render: RenderOptions
  readonly deployments: Store<ModelDeployment>
  readonly slices: Store<EndpointSlice>
  readonly admin: EnvoyAdmin
  readonly publisher: Publisher
  readonly memory: MemoryFile
  readonly log: Logger
}

/** Envoy wakes us with each answer; only what it does not say by itself, that a cluster serves, is asked for. */
const firstPauseMs = 5
const longestPauseMs = 1000
/** A pass costs what all models cost. With more than a few of them the agent rests three times as long as its pass took. */
const fewModels = 10
const longestRestMs = 100
/** An Envoy that has just been given many models has many listeners to be asked; one that hangs holds up no other. */
const probesAtOnce = 16

export class Agent {
  readonly #options: AgentOptions
  #applied: ReadonlyMap<string, Applied> = new Map()
  /** The same, once it is written down, or cannot be: only then others are told, for they act on it. */
  #told: ReadonlyMap<string, Applied> = new Map()
  #decisions: readonly Decision[] = []
  #endpoints: Endpoints = new Map()
  /** Undefined while nobody has said anything: not the API server, and not an agent before this one. */
  #models: readonly RenderedModel[] | undefined
  readonly #weights = new RecentWeights()
  readonly #rendered: Rendered
  #dirty = true
  #wake = (): void => {}
  /** By uid: the Envoy and the port on which a probe has come back. Envoy has routes before it listens. */
  #reached: ReadonlyMap<string, string> = new Map()
  /** The Envoy that has served everything that was wanted at one time. */
  #liveBoot: string | undefined
  #trouble: string | undefined = 'the first configuration is not live yet'
  /** Why what is applied is not written down, which hurts nobody until both processes of the pod are started again. */
  #forgetful: string | undefined
  draining = false

  constructor(options: AgentOptions) {
    this.#options = options
    this.#rendered = new Rendered(options.render)
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { deployments, slices, publisher } = this.#options
    await this.#inherit()
    publisher.onNews = () => this.#wake()
    const unsubscribe = [deployments.subscribe(this.#changed), slices.subscribe(this.#changed)]
    // A store that is empty tells nobody that it is synced.
    void Promise.all([deployments.whenSynced(signal), slices.whenSynced(signal)]).then(this.#changed, () => {})
    for (let pauseMs = firstPauseMs; !signal.aborted;) {
      const startedAt = performance.now()
      const settled = await this.#pass()
      const tookMs = performance.now() - startedAt
      // Envoy answers for each part of each model by itself: with many models one look takes in many answers.
      if ((this.#models?.length ?? 0) > fewModels) await sleep(Math.min(3 * tookMs, longestRestMs), signal)
      pauseMs = settled ? longestPauseMs : Math.min(pauseMs * 2, longestPauseMs)
      if (await this.#pause(pauseMs, signal)) pauseMs = firstPauseMs
    }
    for (const end of unsubscribe) end()
  }

  /** Takes up what an agent before this one has left: it holds until the API server says something else. */
  async #inherit(): Promise<void> {
    const { memory, render, publisher } = this.#options
    const inherited = await memory.read()
    if (inherited === undefined) return
    this.#applied = inherited.applied
    this.#told = inherited.applied
    this.#endpoints = inherited.endpoints
    this.#models = [...inherited.applied.values()].map(({ setting }) => renderModel(setting, this.#endpoints, render))
    this.#noteWeights(this.#models)
    publisher.assume(this.#models)
  }

  /** Why users should not be sent here, or undefined. */
  async notReady(): Promise<string | undefined> {
    if (this.draining) return 'draining'
    const { admin, publisher } = this.#options
    try {
      if (!(await admin.isReady())) return 'Envoy is not ready'
    } catch (error) {
      return passing(error)
    }
    // What comes later and is refused must not take away what works.
    if (this.#liveBoot !== undefined && this.#liveBoot === publisher.bootId) return undefined
    return this.#trouble ?? 'Envoy has been started and does not have everything yet'
  }

  /** @throws EnvoyGone */
  async state(): Promise<RouterState> {
    const { admin, router, publisher, deployments, slices } = this.#options
    const { bootId, traffic } = await admin.traffic()
    if (publisher.bootId !== bootId) throw new EnvoyGone('Envoy was started again and has nothing yet')
    const synced = deployments.synced && slices.synced
    return routerState({
      router,
      at: Date.now(),
      draining: this.draining,
      bootId,
      versionOf: (model) => publisher.routesVersion(model),
      isReached: (setting) => this.#isReached(setting, bootId),
      traffic,
      endpoints: this.#endpoints,
      decisions: this.#decisions,
      models: this.#models ?? [],
      weightsOf: (version) => this.#weights.of(version),
      applied: this.#told,
      refusalOf: (model) => publisher.refusalOf(model),
      problem: synced
        ? (this.#trouble ?? this.#forgetful)
        : 'the API server has not been heard yet; everything goes on as before',
    })
  }

  /** One look at everything; returns whether Envoy has what is wanted. */
  async #pass(): Promise<boolean> {
    const { publisher, log } = this.#options
    try {
      this.#decideAnew()
      const settled = await publisher.step(this.#models)
      const unreached = await this.#reach()
      this.#noteApplied()
      if (settled) this.#settled(unreached)
      // Last of all: Envoy has all of it, whether or not it can be written down.
      await this.#remember()
      return settled && unreached === undefined
    } catch (error) {
      const message = passing(error)
      if (message !== this.#trouble) log.warn(`cannot publish, trying again: ${message}`, { error })
      this.#trouble = message
      return false
    }
  }

  /** Settings and endpoints as they are now; nothing before both have been heard in full. */
  #decideAnew(): void {
    const { deployments, slices, log } = this.#options
    if (!this.#dirty || !deployments.synced || !slices.synced) return
    this.#dirty = false
    const before = new Map(this.#decisions.map(({ asked, problem }) => [asked.uid, problem]))
    this.#decisions = decide(deployments.list(), this.#appliedSettings())
    this.#endpoints = readEndpoints(slices.list())
    this.#models = this.#decisions.flatMap(({ serve }) => (serve ? [this.#rendered.of(serve, this.#endpoints)] : []))
    this.#rendered.keepOnly(this.#models)
    this.#noteWeights(this.#models)
    this.#weights.keepOnly(new Set(this.#models.map(({ setting }) => setting.uid)))
    for (const { asked, problem } of this.#decisions) {
      if (problem !== undefined && problem !== before.get(asked.uid)) log.warn(`${asked.name}: ${problem}`)
    }
  }

  #noteWeights(models: readonly RenderedModel[]): void {
    for (const { setting, routes, shares } of models)
      this.#weights.note(setting.uid, routes.version, Object.fromEntries(shares.weights))
  }

  /** Notes what Envoy has applied: below that no epoch goes, not even after this process. */
  #noteApplied(): void {
    if (this.#models === undefined) return
    const { publisher, log } = this.#options
    const applied = new Map<string, Applied>()
    for (const { setting, shares, routes } of this.#models) {
      const isApplied =
        publisher.routesVersion(setting.name) === routes.version && this.#isReached(setting, publisher.bootId)
      const before = this.#applied.get(setting.uid)
      if (isApplied) applied.set(setting.uid, { setting, weights: Object.fromEntries(shares.weights) })
      else if (before !== undefined) applied.set(setting.uid, before)
      if (isApplied && before?.setting.epoch !== setting.epoch)
        log.info(`${setting.name}: epoch ${setting.epoch} is applied`)
    }
    // What is asked for and cannot be served keeps its memory too.
    for (const { asked } of this.#decisions) {
      const before = this.#applied.get(asked.uid)
      if (before !== undefined && !applied.has(asked.uid)) applied.set(asked.uid, before)
    }
    this.#applied = applied
  }

  async #remember(): Promise<void> {
    const { memory, log } = this.#options
    if (this.#models === undefined) return
    try {
      await memory.write({ applied: this.#applied, endpoints: this.#endpoints })
      this.#forgetful = undefined
    } catch (error) {
      if (!isFileError(error)) throw error
      const why = `what is applied cannot be written down for an agent after this one: ${error.message}`
      if (why !== this.#forgetful) log.warn(why, { error })
      this.#forgetful = why
    }
    this.#told = this.#applied
  }

  #settled(unreached: string | undefined): void {
    const { publisher, log } = this.#options
    if (this.#models === undefined) this.#trouble = 'the API server has not been heard yet'
    else this.#trouble = unreached
    if (this.#trouble !== undefined || this.#liveBoot === publisher.bootId) return
    this.#liveBoot = publisher.bootId
    log.info('Envoy serves everything that is wanted', { models: this.#models?.length })
  }

  /** Probes each listener once, many at a time. @returns which one does not answer as it has to, or undefined */
  async #reach(): Promise<string | undefined> {
    const { publisher } = this.#options
    const { bootId } = publisher
    const reached = new Map<string, string>()
    const unreached: string[] = []
    const waiting = (this.#models ?? []).flatMap(({ setting }) => {
      const version = publisher.routesVersion(setting.name)
      // Without routes there is no listener.
      if (version === undefined) return []
      if (!this.#isReached(setting, bootId)) return [{ setting, version }]
      reached.set(setting.uid, placeOf(setting, bootId))
      return []
    })
    const probeNext = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { setting, version } = next
        const failed = await probe(setting.port, version) // oxlint-disable-line no-await-in-loop -- some of these at a time
        if (failed === undefined) reached.set(setting.uid, placeOf(setting, bootId))
        // One that was refused is told as the problem of its model; the router is ready for all others.
        else if (!this.#isRefused(setting)) unreached.push(failed)
      }
    }
    await Promise.all(Array.from({ length: probesAtOnce }, probeNext))
    this.#reached = reached
    return unreached.at(0)
  }

  #isReached(setting: Setting, bootId: string | undefined): boolean {
    return this.#reached.get(setting.uid) === placeOf(setting, bootId)
  }

  #isRefused({ uid }: Setting): boolean {
    const model = this.#models?.find(({ setting }) => setting.uid === uid)
    return model !== undefined && this.#options.publisher.refusalOf(model) !== undefined
  }

  #appliedSettings(): ReadonlyMap<string, Setting> {
    return new Map([...this.#applied].map(([uid, { setting }]) => [uid, setting]))
  }

  readonly #changed = (): void => {
    this.#dirty = true
    this.#wake()
  }

  /** @returns whether something has changed */
  async #pause(ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#dirty && this.#isSynced()) return true
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    await sleep(ms, AbortSignal.any([signal, woken.signal]))
    return woken.signal.aborted
  }

  #isSynced(): boolean {
    return this.#options.deployments.synced && this.#options.slices.synced
  }
}

const placeOf = ({ port }: Setting, bootId: string | undefined): string => `${port} of ${bootId}`

/** Envoy's absence, which passes by itself, as a sentence; a bug is thrown on. */
const passing = (error: unknown): string => {
  if (error instanceof EnvoyGone) return error.message
  throw error
}

const isFileError = (error: unknown): error is NodeJS.ErrnoException =>
  typeof error === 'object' && error !== null && 'syscall' in error
