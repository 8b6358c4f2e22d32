// Keeps one store equal to what the API server has: lists, then watches, for ever. It runs nobody's code but the
// store's, and it never gives up; what to do next is decided by reflectorstep.ts.
import { Registry } from 'prom-client'
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { exponentialMs, sleep } from './delay.ts'
import { ConnectionError } from './errors.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import { step, start, type Effect, type Reason, type State, type Step } from './reflectorstep.ts'
import { resourceName, type ResourceType } from './resources.ts'
import type { Store, StoreScope } from './store.ts'
import type { KubeObject } from './types.ts'
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
  /** What to keep of an object; managedFields are always dropped. */
  readonly trim?: (object: T) => T
}

const defaultPageSize = 250
/** Not all reflectors' watches are to end in the same second. */
const defaultWatchSeconds = [240, 300] as const
/** A watch that the server has not ended by then is dead, though no one told us. */
const defaultWatchdogMs = 15_000
const growth = { firstMs: 800, maxMs: 30_000 }

export class Reflector<T extends KubeObject = KubeObject> {
  readonly store: Store<T>
  /** `deployments.apps` or `deployments.apps in shop`, for logs and the readiness answer. */
  readonly name: string
  readonly #options: ReflectorOptions<T>
  readonly #scope: StoreScope<T>
  readonly #metrics: KubeMetrics
  readonly #labels: { readonly resource: string; readonly scope: string }
  #lastHeardAt = performance.now()
  #warned: Reason | undefined

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.store = options.store
    this.#scope = options.store.scope(options.namespace)
    this.#metrics = kubeMetrics(options.registry ?? new Registry())
    this.#labels = { resource: resourceName(options.type), scope: options.namespace ?? '' }
    this.name = this.#labels.resource + (options.namespace === undefined ? '' : ` in ${options.namespace}`)
  }

  /** Milliseconds since the API server last sent anything. */
  get silentMs(): number {
    return performance.now() - this.#lastHeardAt
  }

  /** Works until the signal aborts, and only ends then. */
  async run(signal: AbortSignal): Promise<void> {
    const gauges = setInterval(() => this.#report(), 1000).unref()
    let state = start<T>()
    while (!signal.aborted) {
      const next: Step<T> = state.at === 'Listing' ? await this.#list(state, signal) : await this.#watch(state, signal)
      if (signal.aborted) break
      state = next.state
      await this.#afterwards(next, signal)
    }
    clearInterval(gauges)
  }

  async #list(state: State<T> & { at: 'Listing' }, signal: AbortSignal): Promise<Step<T>> {
    const { client, type, namespace, labelSelector, fieldSelector } = this.#options
    if (state.continue === undefined) this.#metrics.lists.inc({ resource: this.#labels.resource })
    try {
      // No resourceVersion: a consistent read. "0" would be answered from the server's cache in one unpaged block.
      const limit = this.#options.pageSize ?? defaultPageSize
      const page = await client.list(type, {
        namespace,
        labelSelector,
        fieldSelector,
        limit,
        continue: state.continue,
        signal,
      })
      this.#heard()
      const next = step(state, { what: 'page', ...page, items: page.items.map(this.#trim) })
      this.#carryOut(next.effect)
      return next
    } catch (error) {
      return this.#failed(state, error, 0, signal)
    }
  }

  async #watch(initial: State<T> & { at: 'Watching' }, signal: AbortSignal): Promise<Step<T>> {
    const { client, type, namespace, labelSelector, fieldSelector } = this.#options
    const timeoutSeconds = randomBetween(this.#options.watchSeconds ?? defaultWatchSeconds)
    const lateMs = this.#options.watchdogMs ?? defaultWatchdogMs
    const watchdog = new Watchdog(signal, timeoutSeconds * 1000 + lateMs)
    const startedAt = performance.now()
    const { resourceVersion } = initial
    let state: State<T> = initial
    let events = 0
    try {
      for await (const event of client.watch(type, {
        namespace,
        labelSelector,
        fieldSelector,
        resourceVersion,
        timeoutSeconds,
        signal: watchdog.signal,
      })) {
        this.#heard()
        events += 1
        const next = step(state, { what: 'event', event: this.#trimEvent(event) })
        // The store first: a version counts as seen only when its object is in the store.
        this.#carryOut(next.effect)
        state = next.state
      }
      if (watchdog.bit)
        throw new ConnectionError('Silent', watchAsked(type, namespace), `no end after ${timeoutSeconds} s`)
      return step(state, { what: 'ended', lastedMs: performance.now() - startedAt, events })
    } catch (error) {
      return this.#failed(state, error, performance.now() - startedAt, signal)
    } finally {
      watchdog.stop()
    }
  }

  /** Says what went wrong, once per reason until it goes well again. */
  #failed(state: State<T>, error: unknown, lastedMs: number, signal: AbortSignal): Step<T> {
    const next = step(state, { what: 'failed', error, lastedMs })
    if (signal.aborted) return next
    const { log } = this.#options
    const fields = { resource: this.name, reason: next.ended, error }
    if (this.#warned === next.ended || next.ended === 'Gone') log.debug('watch ended, going on', fields)
    else log.warn(`cannot follow ${this.name}, trying again for as long as it takes`, fields)
    this.#warned = next.ended
    return next
  }

  /** Counts, and waits where the step says so. */
  async #afterwards({ ended, backoff }: Step<T>, signal: AbortSignal): Promise<void> {
    if (ended !== undefined) {
      this.#metrics.watchRestarts.inc({ resource: this.#labels.resource, reason: ended })
    }
    if (backoff === undefined) return
    const jittered = exponentialMs(backoff.attempt, growth) * (0.5 + Math.random() / 2)
    await sleep(Math.max(backoff.atLeastMs, jittered), signal)
  }

  #carryOut(effect: Effect<T> | undefined): void {
    switch (effect?.do) {
      case undefined:
        return
      case 'replace':
        return this.#scope.replace(effect.items, effect.resourceVersion)
      case 'apply':
        return this.#scope.apply(effect.object)
      case 'delete':
        return this.#scope.delete(effect.object)
      case 'bookmark':
        return this.#scope.bookmark(effect.resourceVersion)
    }
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
    const { managedFields: _, ...metadata } = object.metadata
    const trimmed = { ...object, metadata }
    return this.#options.trim?.(trimmed) ?? trimmed
  }

  #trimEvent(event: WatchEvent<T>): WatchEvent<T> {
    return event.type === 'BOOKMARK' ? event : { ...event, object: this.#trim(event.object) }
  }
}

const watchAsked = (type: ResourceType, namespace: string | undefined) => ({
  verb: 'watch',
  resource: resourceName(type),
  namespace,
})

const randomBetween = ([least, most]: readonly [number, number]): number =>
  Math.floor(least + Math.random() * (most - least + 1))

/** Aborts when the parent does or when the time is over; says which. */
class Watchdog {
  readonly #abort = new AbortController()
  readonly #parent: AbortSignal
  readonly #timer: NodeJS.Timeout
  bit = false

  constructor(parent: AbortSignal, ms: number) {
    this.#parent = parent
    this.#timer = setTimeout(() => {
      this.bit = true
      this.#abort.abort(new Error('the watch is silent'))
    }, ms)
    parent.addEventListener('abort', this.#cancel, { once: true })
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#parent.removeEventListener('abort', this.#cancel)
  }

  readonly #cancel = (): void => this.#abort.abort(this.#parent.reason)
}
