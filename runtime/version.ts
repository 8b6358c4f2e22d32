/**
 * One version of the model in this server: its workers, its waiting line and how far it has come.
 * It must never be retired while a request may still reach it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { EnginePool, type PoolLoaded, type PoolOptions } from './engine/pool.ts'
import type { LoadOrder } from './engine/messages.ts'
import type { ThreadPlan } from './engine/threads.ts'
import { fault, wordsOf, type Fault } from './errors.ts'
import type { Wire } from './protocols/codecs.ts'
import { Statistics } from './statistics.ts'
import { ResponseCache } from './scheduling/cache.ts'
import { Scheduler, type Job, type SchedulerOptions, type SubmitOptions } from './scheduling/scheduler.ts'
import type { Signature } from './tensor.ts'

/** Which file is served under which version. */
export interface VersionSpec {
  readonly version: string
  readonly file: string
  /** `sha256:` and 64 hex digits; undefined serves whatever is there. */
  readonly digest: string | undefined
  /** Other names for it, such as `canary`. */
  readonly labels: readonly string[]
}

export type VersionPhase =
  | { readonly name: 'Loading'; readonly doing: string }
  | { readonly name: 'Serving' }
  | { readonly name: 'Failed'; readonly reason: string }
  | { readonly name: 'Retired' }

export interface VersionOptions extends SchedulerOptions {
  /** Bytes of answers that are kept to be given again; 0 keeps none. */
  readonly maxCachedBytes: number
}

export interface Facts {
  readonly digest: string
  readonly sizeBytes: number
  readonly loaded: PoolLoaded
}

export interface VersionHealth {
  readonly ready: boolean
  /** Why it is not ready; undefined when it is. */
  readonly reason: string | undefined
}

export class LiveVersion {
  readonly name: string
  readonly pool: EnginePool
  readonly scheduler: Scheduler
  /** Answers kept to be given again; undefined when none are. */
  readonly cache: ResponseCache | undefined
  /** What became of its requests. */
  readonly statistics = new Statistics()
  #spec: VersionSpec
  #facts: Facts | undefined
  #phase: VersionPhase = { name: 'Loading', doing: 'waiting for its turn to load' }

  constructor(name: string, spec: VersionSpec, pool: PoolOptions, { maxCachedBytes, ...scheduling }: VersionOptions) {
    this.name = name
    this.#spec = spec
    this.pool = new EnginePool(pool)
    this.scheduler = new Scheduler(this.pool, scheduling)
    this.cache = maxCachedBytes > 0 ? new ResponseCache(maxCachedBytes) : undefined
  }

  get spec(): VersionSpec {
    return this.#spec
  }

  get version(): string {
    return this.#spec.version
  }

  get labels(): readonly string[] {
    return this.#spec.labels
  }

  relabel(labels: readonly string[]): void {
    this.#spec = { ...this.#spec, labels }
  }

  /** What the model takes and gives; undefined until it is loaded. */
  get signature(): Signature | undefined {
    return this.pool.signature
  }

  /** What was found when it was loaded; undefined before that. */
  get facts(): Facts | undefined {
    return this.#facts
  }

  get phase(): VersionPhase {
    return this.#phase
  }

  /** Answers a request, now or later. The body is transferred: the caller must not touch it again. */
  submit(wire: Wire, body: Uint8Array<ArrayBuffer>, options?: SubmitOptions): Job {
    const { cache, scheduler } = this
    return cache === undefined ? scheduler.submit(wire, body, options) : cache.submit(scheduler, wire, body, options)
  }

  /** Tells what it is doing before it serves. */
  doing(doing: string): void {
    this.#phase = { name: 'Loading', doing }
  }

  health(): VersionHealth {
    if (this.#phase.name !== 'Serving') return { ready: false, reason: reasonOf(this.#phase) }
    const reason = this.pool.problem()
    return { ready: reason === undefined, reason }
  }

  /** The refusal of a request that came too early; undefined when requests are answered. */
  notReady(): Fault | undefined {
    if (this.#phase.name === 'Serving' || this.#phase.name === 'Retired') return undefined
    return fault('NotReady', { model: this.name, reason: reasonOf(this.#phase) })
  }

  /** @throws Fault when the model cannot be loaded */
  async load(
    digest: string,
    order: Pick<LoadOrder, 'device' | 'sizeBytes' | 'maxBatch' | 'warmupRequests' | 'warmupSample'>,
    plans: readonly ThreadPlan[],
  ): Promise<PoolLoaded> {
    this.doing('loading the model')
    const { name, version, spec } = this
    const loaded = await this.pool.load({ ...order, file: spec.file, modelName: name, modelVersion: version }, plans)
    this.#facts = { digest, sizeBytes: order.sizeBytes, loaded }
    this.#phase = { name: 'Serving' }
    return loaded
  }

  /** It will not serve. Its workers end. */
  async fail(error: unknown): Promise<void> {
    this.#phase = { name: 'Failed', reason: wordsOf(error) }
    await this.pool.close()
  }

  /**
   * Answers what is still on its way, then frees the model. Nobody may find it any more when this is called.
   * @param graceMs how long a request that has found it already may take to arrive
   */
  async retire(graceMs: number): Promise<void> {
    this.#phase = { name: 'Retired' }
    await sleep(graceMs)
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    while (this.#busy) await sleep(50)
    await this.pool.close()
  }

  get #busy(): boolean {
    return this.scheduler.heldBytes > 0 || this.scheduler.waiting > 0 || this.pool.inFlight > 0
  }
}

function reasonOf(phase: Exclude<VersionPhase, { readonly name: 'Serving' }>): string {
  if (phase.name === 'Loading') return `it is ${phase.doing}`
  return phase.name === 'Failed' ? `it could not be loaded: ${phase.reason}` : 'it was taken away'
}
