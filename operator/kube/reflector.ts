// Keeps one store equal to what the API server has: lists, then watches, for ever. It runs nobody's code but the
// store's, and it never gives up; what to do next is decided by reflectorstep.ts.
import { Registry } from 'prom-client'
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { exponentialMs, sleep } from './delay.ts'
import { keyOf } from './key.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import {
  reasons,
  start,
  step,
  type Effect,
  type Happened,
  type Reason,
  type State,
  type Step,
} from './reflectorstep.ts'
import { resourceName, type ResourceType } from './resources.ts'
import { Sharing } from './sharing.ts'
import type { Store, StoreScope } from './store.ts'
import { Turn } from './turn.ts'
import type { KubeObject } from './types.ts'
import { Watchdog } from './watchdog.ts'
import type { WatchEvent } from './watchstream.ts'

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient
  readonly type: ResourceType<T>
  readonly store: Store<T>
  /** One namespace; all unless given. Several reflectors may fill one store, each its namespace. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly log: Logger
  readonly registry?: Registry
  readonly pageSize?: number
  /** How long the server holds a watch open, in seconds: a random number of this range. */
  readonly watchSeconds?: readonly [least: number, most: number]
  /** How long after that a watch that has not ended counts as dead; 15 s unless given. */
  readonly watchdogMs?: number
  /** How long a watch may say nothing; 90 s unless given. */
  readonly silenceMs?: number
  /** How long a whole list may take, and a page half of it; 60 s unless given. */
  readonly listMs?: number
  /** How old the last list may become, in milliseconds; half an hour unless given. */
  readonly relistMs?: number
  /** What to keep of an object, new or cut down; managedFields and kubectl's copy of what was applied are always dropped. */
  readonly trim?: (object: T) => T
}

const defaultPageSize = 250
/** Not all reflectors' watches are to end in the same second. */
const defaultWatchSeconds = [240, 300] as const
/** A watch that the server has not ended by then is dead, though no one told us. */
const defaultWatchdogMs = 15_000
/** Servers send a bookmark each minute. Where one has none to send, the watch is opened again from where it was. */
const defaultSilenceMs = 90_000
/** A watch cannot show that an event is missing: something on the way dropped it, or etcd was restored. A list can. */
const defaultRelistMs = 1_800_000
/** A list that takes longer crawls, and holds up all that the cache should hear: it is asked for again. */
const defaultListMs = 60_000
/** What a stream of everything there is may pause before the end of the beginning. */
const initialSilenceMs = 10_000
const growth = { firstMs: 800, maxMs: 30_000 }

export class Reflector<T extends KubeObject = KubeObject> {
  readonly store: Store<T>
  /** `deployments.apps` or `deployments.apps in shop`, for logs and the readiness answer. */
  readonly name: string
  readonly #options: ReflectorOptions<T>
  readonly #scope: StoreScope<T>
  readonly #metrics: KubeMetrics
  readonly #labels: { readonly resource: string; readonly scope: string }
  readonly #sharing = new Sharing()
  readonly #turn = new Turn()
  /** By key: what a list has brought so far. */
  readonly #collected = new Map<string, T>()
  #listedAt = performance.now()
  #lastHeardAt = performance.now()
  #warned: Reason | undefined

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.store = options.store
    this.#scope = options.store.scope(options.namespace)
    this.#metrics = kubeMetrics(options.registry ?? new Registry())
    const resource = resourceName(options.type)
    this.#labels = { resource, scope: options.namespace ?? '' }
    this.name = resource + (options.namespace === undefined ? '' : ` in ${options.namespace}`)
    this.#metrics.lists.inc({ resource }, 0)
    for (const reason of reasons) this.#metrics.watchRestarts.inc({ resource, reason }, 0)
  }

  /** Milliseconds since the API server last sent anything. */
  get silentMs(): number {
    return performance.now() - this.#lastHeardAt
  }

  /** Works until the signal aborts, and only ends then. It may be run again afterwards. */
  async run(signal: AbortSignal): Promise<void> {
    const gauges = setInterval(() => this.#report(), 1000).unref()
    let state = start
    while (!signal.aborted) {
      if (state.at === 'Watching' && this.#relistDueMs() <= 0) state = { at: 'Listing', failures: state.failures }
      const startedAt = performance.now()
      const next = state.at === 'Listing' ? await this.#list(state, signal) : await this.#watch(state, signal)
      if (signal.aborted) break
      state = next.state
      await this.#afterwards(next, performance.now() - startedAt, signal)
    }
    clearInterval(gauges)
  }

  /** Empties the store's part that this one fills: what it held is not there any more. Only while it does not run. */
  forget(): void {
    this.#collected.clear()
    this.#scope.forget()
  }

  async #list(state: State & { at: 'Listing' }, signal: AbortSignal): Promise<Step<T>> {
    const { client, type, silenceMs = defaultSilenceMs, listMs = defaultListMs } = this.#options
    if (state.continue === undefined) this.#begin()
    const startedAt = performance.now()
    const page = this.#pageOf(state)
    const watchdog = new Watchdog(signal, {
      totalMs: 'limit' in page ? listMs / 2 : listMs,
      silenceMs: Math.min(silenceMs, listMs / 2),
    })
    const items: T[] = []
    try {
      const options = { ...this.#selection, ...page, signal: watchdog.signal }
      const end = await client.listStreaming(type, options, async (more) => {
        this.#heard()
        watchdog.heard()
        for (const item of more) items.push(this.#trim(item))
        if (this.#turn.isOver) await this.#turn.next()
      })
      return this.#step(state, { what: 'page', items, ...end })
    } catch (error) {
      return this.#failed(state, error, performance.now() - startedAt, signal)
    } finally {
      watchdog.stop()
    }
  }

  /**
   * The first list is the server's own cache, whole: it costs the server a third of what pages out of etcd do, and all
   * of its changes since then follow with the watch. Later ones are consistent reads: they find what a watch missed.
   * So are those after a failure: of many pages over a slow line one after the other arrives, a whole list never.
   */
  #pageOf(
    state: State & { at: 'Listing' },
  ): { resourceVersion: '0' } | { limit: number; continue: string | undefined } {
    if (!this.#scope.synced && state.failures === 0 && state.continue === undefined) return { resourceVersion: '0' }
    return { limit: this.#options.pageSize ?? defaultPageSize, continue: state.continue }
  }

  async #watch(initial: State & { at: 'Streaming' | 'Watching' }, signal: AbortSignal): Promise<Step<T>> {
    const { client, type, watchdogMs = defaultWatchdogMs, silenceMs = defaultSilenceMs } = this.#options
    const { at } = initial
    if (at === 'Streaming') this.#begin()
    const timeoutSeconds = this.#watchSeconds()
    const watchdog = new Watchdog(signal, {
      totalMs: timeoutSeconds * 1000 + watchdogMs,
      silenceMs: at === 'Streaming' ? Math.min(silenceMs, initialSilenceMs) : silenceMs,
    })
    const startedAt = performance.now()
    const lastedMs = (): number => performance.now() - startedAt
    const resourceVersion = at === 'Watching' ? initial.resourceVersion : undefined
    let state: State = initial
    let events = 0
    try {
      const onOpen = (): void => this.#heard()
      const options = { ...this.#selection, resourceVersion, timeoutSeconds, onOpen, signal: watchdog.signal }
      for await (const event of client.watch(type, options)) {
        this.#heard()
        watchdog.heard()
        events += 1
        // The store first: a version counts as seen only when its object is in the store.
        state = this.#step(state, { what: 'event', event: this.#trimEvent(event) }).state
        if (at === 'Streaming' && state.at === 'Watching') watchdog.expect(silenceMs)
        if (this.#turn.isOver) await this.#turn.next()
      }
      return this.#step(
        state,
        watchdog.bit ? { what: 'silent', lastedMs: lastedMs() } : { what: 'ended', lastedMs: lastedMs(), events },
      )
    } catch (error) {
      if (watchdog.bit) return this.#step(state, { what: 'silent', lastedMs: lastedMs() })
      return this.#failed(state, error, lastedMs(), signal)
    } finally {
      watchdog.stop()
    }
  }

  get #selection() {
    const { namespace, labelSelector, fieldSelector } = this.#options
    return { namespace, labelSelector, fieldSelector }
  }

  /** A list begins: what an earlier one has brought is of another moment. */
  #begin(): void {
    this.#collected.clear()
  }

  #watchSeconds(): number {
    const seconds = randomBetween(this.#options.watchSeconds ?? defaultWatchSeconds)
    return Math.max(1, Math.min(seconds, Math.ceil(this.#relistDueMs() / 1000)))
  }

  #relistDueMs(): number {
    return this.#listedAt + (this.#options.relistMs ?? defaultRelistMs) - performance.now()
  }

  /** Says what went wrong, once per reason until it goes well again. */
  #failed(state: State, error: unknown, lastedMs: number, signal: AbortSignal): Step<T> {
    const next = this.#step(state, { what: 'failed', error, lastedMs })
    if (signal.aborted) return next
    const { log } = this.#options
    const fields = { resource: this.name, reason: next.ended, error }
    const expected = next.ended === 'Gone' || next.ended === 'NotOffered'
    if (this.#warned === next.ended || expected) log.debug('watch ended, going on', fields)
    else log.warn(`cannot follow ${this.name}, trying again for as long as it takes`, fields)
    if (!expected) this.#warned = next.ended
    return next
  }

  /** Counts, and waits where the step says so. The wait began with the attempt, so that a slow failure adds none. */
  async #afterwards({ ended, backoff }: Step<T>, attemptMs: number, signal: AbortSignal): Promise<void> {
    if (ended !== undefined) {
      this.#metrics.watchRestarts.inc({ resource: this.#labels.resource, reason: ended })
    }
    if (backoff === undefined) return
    const jitteredMs = exponentialMs(backoff.attempt, growth) * (0.5 + Math.random() / 2) - attemptMs
    // What a proxy on the way asks for may be an hour; nobody is to wait for that after it was mended.
    await sleep(Math.max(Math.min(backoff.atLeastMs, growth.maxMs), jitteredMs), signal)
  }

  #step(state: State, happened: Happened<T>): Step<T> {
    const next = step(state, happened)
    for (const effect of next.effects ?? []) this.#carryOut(effect)
    return next
  }

  #carryOut(effect: Effect<T>): void {
    switch (effect.do) {
      case 'collect':
        for (const item of effect.items) this.#collected.set(keyOf(item), this.#known(item))
        return
      case 'uncollect':
        this.#collected.delete(keyOf(effect.object))
        return
      case 'replace':
        this.#scope.replace([...this.#collected.values()], effect.resourceVersion)
        this.#collected.clear()
        this.#listedAt = performance.now()
        this.#metrics.lists.inc({ resource: this.#labels.resource })
        return
      case 'apply':
        return this.#scope.apply(effect.object)
      case 'delete':
        return this.#scope.delete(effect.object)
      case 'bookmark':
        return this.#scope.bookmark(effect.resourceVersion)
    }
  }

  /** The same object, as the store has it already: a list of what is known then costs no memory. */
  #known(item: T): T {
    const known = this.store.getByKey(keyOf(item))
    const same =
      known?.metadata.uid === item.metadata.uid && known?.metadata.resourceVersion === item.metadata.resourceVersion
    return known !== undefined && same ? known : item
  }

  #heard(): void {
    this.#lastHeardAt = performance.now()
    if (this.#warned === undefined) return
    this.#warned = undefined
    this.#options.log.info(`following ${this.name} again`)
  }

  #report(): void {
    this.#metrics.lastEventAge.set(this.#labels, this.silentMs / 1000)
    this.#metrics.cachedObjects.set(this.#labels, this.#scope.size)
  }

  readonly #trim = (object: T): T => {
    const trimmed = withoutBookkeeping(object)
    return this.#sharing.share(this.#options.trim?.(trimmed) ?? trimmed)
  }

  #trimEvent(event: WatchEvent<T>): WatchEvent<T> {
    return event.type === 'BOOKMARK' ? event : { ...event, object: this.#trim(event.object) }
  }
}

/** What only those who write an object whole need: more than half of its memory. */
const withoutBookkeeping = <T extends KubeObject>(object: T): T => {
  const { managedFields: _, annotations, ...metadata } = object.metadata
  if (annotations === undefined) return { ...object, metadata }
  const { [lastApplied]: _applied, ...kept } = annotations
  return { ...object, metadata: { ...metadata, annotations: kept } }
}

/** @see https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

const randomBetween = ([least, most]: readonly [number, number]): number =>
  Math.floor(least + Math.random() * (most - least + 1))
