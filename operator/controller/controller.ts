// The loop: takes a key, calls reconcile, and decides by its outcome when the key comes again. It knows nothing of what
// is reconciled, and nothing that reconcile throws can end it.
import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import type { Logger } from '../telemetry/log.ts'
import { FencedError, isConflict, isRetryable } from '../kube/errors.ts'
import { keyOf } from '../kube/key.ts'
import type { Store, StoreEvent } from '../kube/store.ts'
import { sleep } from '../kube/delay.ts'
import { Turn } from '../kube/turn.ts'
import type { KubeObject } from '../kube/types.ts'
import type { Consistency } from './consistency.ts'
import { controllerMetrics, type ControllerMetrics } from './metrics.ts'
import { lowPriority, normalPriority, WorkQueue, type Handout } from './workqueue.ts'

/** Look again after this time though nothing happens; nothing (void): look again when something changes. */
export type Outcome = { readonly requeueAfterMs: number } | void

/** What a reconcile is given besides its key. */
export interface ReconcileContext {
  /** Carries the controller, the key and this reconcile's id. */
  readonly log: Logger
  readonly reconcileId: string
  /** Aborts when the reconcile takes too long or this process must stop writing; give it to each call. */
  readonly signal: AbortSignal
}

/** Brings the world to what the object of this key says. Reads everything, trusts nothing that it read before. */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<Outcome>

/** Trying again is no use until someone changes something. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError'
}

export interface ControllerOptions {
  /** In metrics and logs. */
  readonly name: string
  readonly reconcile: Reconcile
  readonly log: Logger
  readonly registry?: Registry
  /** How many keys are in work at once; 1 unless given. */
  readonly maxConcurrentReconciles?: number
  /** After that a reconcile is told to stop; two minutes unless given. */
  readonly reconcileTimeoutMs?: number
  /** Where given, a key waits until the cache shows its own writes. */
  readonly consistency?: Consistency
  readonly queue?: WorkQueue
}

/** The event of the missing write adds the key at once; this is only for writes whose objects map to no key. */
const deferMs = 100
/** The API server was away: no fault of the key, so that all of them go on soon after it is back. */
const unreachableMs = 30_000
/**
 * What a worker rests for after a first look, or one of a resync, while a change is in work. Most of the change's time is
 * the API server's: on a machine of two cores thousands of looks would take the time that it needs.
 */
const restMs = 4
/** A cache that is this far behind is worth a line in the log. */
const deferredLongMs = 30_000

export class Controller {
  readonly name: string
  readonly queue: WorkQueue
  readonly #options: ControllerOptions
  readonly #metrics: ControllerMetrics
  readonly #label: { readonly controller: string }
  readonly #resyncs: (() => IterableIterator<string>)[] = []
  readonly #running = new Set<AbortController>()
  readonly #turn = new Turn()

  constructor(options: ControllerOptions) {
    const registry = options.registry ?? new Registry()
    this.#options = options
    this.name = options.name
    this.queue = options.queue ?? new WorkQueue({ name: options.name, registry })
    this.#metrics = controllerMetrics(registry)
    this.#label = { controller: options.name }
    const { reconciles, errors, terminalErrors, panics, timeouts, deferred, maxConcurrent, active } = this.#metrics
    for (const result of results) reconciles.inc({ ...this.#label, result }, 0)
    for (const counter of [errors, terminalErrors, panics, timeouts, deferred]) counter.inc(this.#label, 0)
    maxConcurrent.set(this.#label, this.#workers)
    active.set(this.#label, 0)
  }

  /** Reconcile each object of this store, when it changes and at each resync. */
  for<T extends KubeObject>(store: Store<T>): this {
    this.#resyncs.push(() => store.keys())
    return this.watch(store, keyOf)
  }

  /** Reconcile, when an object of this store changes, the keys that it maps to: its owner's, for instance. */
  watch<T extends KubeObject>(store: Store<T>, keysOf: (object: T) => string | readonly string[] | undefined): this {
    store.subscribe((event) => {
      const priority = event.initial ? lowPriority : normalPriority
      for (const key of this.#keysOf(event, keysOf)) this.queue.add(key, { priority })
    })
    return this
  }

  /** Puts every key of the stores given to `for` into the queue, behind everything else. */
  resync(): void {
    for (const keys of this.#resyncs) for (const key of keys()) this.queue.add(key, { priority: lowPriority })
  }

  /** Works until `stop` aborts and what was in work then is done. `kill` tells reconciles under way to stop as well. */
  async run(stop: AbortSignal, kill: AbortSignal = neverAborts): Promise<void> {
    const close = (): void => this.queue.close()
    const end = (): void => this.#running.forEach((abort) => abort.abort(kill.reason))
    stop.addEventListener('abort', close, { once: true })
    kill.addEventListener('abort', end, { once: true })
    if (stop.aborted) close()
    await Promise.all(Array.from({ length: this.#workers }, () => this.#work(kill)))
    stop.removeEventListener('abort', close)
    kill.removeEventListener('abort', end)
  }

  get #workers(): number {
    return this.#options.maxConcurrentReconciles ?? 1
  }

  async #work(kill: AbortSignal): Promise<void> {
    for (let next = await this.queue.take(); next !== undefined; next = await this.queue.take()) {
      try {
        if (!this.#deferred(next)) await this.#reconcile(next, kill)
      } finally {
        this.queue.done(next.key)
      }
      if (next.priority < normalPriority && this.queue.isHurried) await sleep(restMs)
      // Thousands of looks that find nothing to do wait for nothing.
      else if (this.#turn.isOver) await this.#turn.next()
    }
  }

  #deferred({ key, priority }: Handout): boolean {
    const pending = this.#options.consistency?.pending(key)
    if (pending === undefined) return false
    this.#metrics.deferred.inc(this.#label)
    const { ageMs, resource } = pending
    if (ageMs > deferredLongMs && ageMs % deferredLongMs < deferMs) {
      this.#options.log.warn(`${key} waits since ${Math.round(ageMs / 1000)} s for the cache to show our write`, {
        resource,
      })
    }
    this.queue.add(key, { priority, afterMs: deferMs })
    return true
  }

  async #reconcile({ key, priority }: Handout, kill: AbortSignal): Promise<void> {
    const { reconcile, reconcileTimeoutMs = 120_000 } = this.#options
    const reconcileId = randomUUID()
    const log = this.#options.log.child({ controller: this.name, key, reconcileId })
    const abort = new AbortController()
    this.#running.add(abort)
    if (kill.aborted) abort.abort(kill.reason)
    const timer = setTimeout(() => {
      this.#metrics.timeouts.inc(this.#label)
      abort.abort(new Error(`reconcile took longer than ${reconcileTimeoutMs} ms`))
    }, reconcileTimeoutMs)
    const stopTimer = this.#metrics.seconds.startTimer(this.#label)
    this.#metrics.active.inc(this.#label)
    try {
      const outcome = await reconcile(key, { log, reconcileId, signal: abort.signal })
      this.#succeeded(key, outcome, log)
    } catch (error) {
      this.#failed(key, priority, error, log)
    } finally {
      clearTimeout(timer)
      this.#running.delete(abort)
      this.#metrics.active.dec(this.#label)
      stopTimer()
    }
  }

  #succeeded(key: string, outcome: Outcome, log: Logger): void {
    this.queue.forget(key)
    if (outcome === undefined) {
      this.#count('success')
      log.debug('reconciled')
    } else {
      this.#count('requeue_after')
      log.debug('reconciled', { requeueAfterMs: outcome.requeueAfterMs })
      this.queue.addAfter(key, outcome.requeueAfterMs)
    }
  }

  #failed(key: string, priority: number, error: unknown, log: Logger): void {
    if (isConflict(error) || error instanceof FencedError) {
      // Someone wrote in between, or we no longer lead: nothing is wrong, look again.
      this.#count('requeue')
      log.debug('someone wrote in between, looking again', { error })
      this.queue.addRateLimited(key, { priority })
      return
    }
    this.#count('error')
    this.#metrics.errors.inc(this.#label)
    if (error instanceof TerminalError) {
      this.#metrics.terminalErrors.inc(this.#label)
      this.queue.forget(key)
      log.error('reconcile failed; not tried again until something changes', { error })
      return
    }
    if (isBug(error)) this.#metrics.panics.inc(this.#label)
    this.queue.addRateLimited(key, { priority, ...(isRetryable(error) && { mostMs: unreachableMs }) })
    log.error('reconcile failed; trying again', { error, failures: this.queue.failures(key) })
  }

  #count(result: (typeof results)[number]): void {
    this.#metrics.reconciles.inc({ ...this.#label, result })
  }

  /** An object that cannot be mapped is a bug that must not stop the cache. */
  #keysOf<T extends KubeObject>(
    event: StoreEvent<T>,
    keysOf: (object: T) => string | readonly string[] | undefined,
  ): ReadonlySet<string> {
    try {
      // The old state too: an object that changed its owner concerns both.
      const states = event.old === undefined ? [event.object] : [event.object, event.old]
      return new Set(states.flatMap((object) => keysOf(object) ?? []))
    } catch (error) {
      this.#metrics.panics.inc(this.#label)
      this.#options.log.error(`cannot tell whom ${keyOf(event.object)} concerns`, { error, controller: this.name })
      return new Set()
    }
  }
}

const results = ['success', 'error', 'requeue', 'requeue_after'] as const

const neverAborts = new AbortController().signal

/** Errors that JavaScript itself throws: the program is wrong, not the world. */
const isBug = (error: unknown): boolean =>
  !(error instanceof Error) ||
  error instanceof TypeError ||
  error instanceof ReferenceError ||
  error instanceof RangeError ||
  error instanceof SyntaxError
