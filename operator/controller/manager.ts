// Starts and stops the parts of an operator in the right order: http, caches, lease, workers; and back again within 25
// seconds of SIGTERM. It knows when the process is alive and ready, and nothing of what the parts do.
import type { Registry } from 'prom-client'
import { sleep } from '../kube/delay.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { LeaderLease } from '../kube/lease.ts'
import type { Transport } from '../kube/transport.ts'
import { startHttp, type HttpPorts } from '../telemetry/http.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Controller } from './controller.ts'

/** A cache that fills and follows: a Reflector. */
export interface Follower {
  readonly name: string
  readonly store: { readonly synced: boolean; whenSynced(signal?: AbortSignal): Promise<void> }
  run(signal: AbortSignal): Promise<void>
}

/** Work that needs no lease and ends with the signal. */
export interface Watch {
  run(signal: AbortSignal): Promise<void>
}

export interface ManagerOptions {
  readonly log: Logger
  readonly registry: Registry
  readonly transport: Transport
  readonly followers: readonly Follower[]
  readonly controllers: readonly Controller[]
  /** What every replica does once its caches are filled, whether or not it leads. */
  readonly watches?: readonly Watch[]
  /** Without one the workers start at once: only where nobody else can run. */
  readonly lease?: LeaderLease
  readonly events?: EventRecorder
  /** Port 0 takes a free one. */
  readonly http?: HttpPorts
  /** How often every key is looked at though nothing happened; 10 minutes unless given. */
  readonly resyncMs?: number
  /** How long workers may take to finish after the stop signal; 18 s unless given, so that all is over in 25. */
  readonly graceMs?: number
}

/** How long reconciles may take to end once their signal is aborted. */
const killMs = 500
/** How long Events that are still waiting may take; the lease takes 3 s more. */
const flushMs = 2000
/** Resyncs of several processes are not to fall together. */
const resyncJitter = 0.1

export class Manager {
  readonly #options: ManagerOptions
  #stopping = false

  constructor(options: ManagerOptions) {
    this.#options = options
  }

  /** Why the process is not ready, or undefined when it is: every cache has been filled once. */
  notReady(): string | undefined {
    if (this.#stopping) return 'stopping'
    const waiting = this.#options.followers.filter(({ store }) => !store.synced).map(({ name }) => name)
    return waiting.length === 0 ? undefined : `not listed yet: ${waiting.join(', ')}`
  }

  /**
   * Runs until `stop` aborts and everything has ended in order.
   * @throws when the lease is lost: the process must then exit, non-zero, at once
   */
  async run(stop: AbortSignal): Promise<void> {
    const { log, registry, http, followers, lease, watches = [] } = this.#options
    const servers = http === undefined ? undefined : await startHttp(http, registry, () => this.notReady())
    if (servers !== undefined) {
      const { metricsPort, healthPort } = servers
      log.info(`metrics are on port ${metricsPort}, health on port ${healthPort}`, { metricsPort, healthPort })
    }
    const following = new AbortController()
    const reflecting = Promise.all(followers.map((follower) => follower.run(following.signal)))
    let drained = true
    let watching: Promise<unknown> = Promise.resolve()
    try {
      // A standby fills its caches too: when it takes over, it knows everything already.
      await Promise.all(followers.map(({ store }) => store.whenSynced(stop)))
      log.info('caches are filled')
      watching = Promise.all(watches.map((watch) => watch.run(following.signal)))
      await lease?.acquire(stop)
      drained = await this.#work(stop)
    } catch (error) {
      // Told to stop before it had begun: an orderly end.
      if (!stop.aborted || lease?.lost.aborted === true) throw error
    } finally {
      this.#stopping = true
      following.abort()
      await Promise.all([reflecting, watching])
      await this.#close(drained)
      await servers?.close()
    }
    log.info('stopped')
  }

  /**
   * The workers, until they are told to stop and have finished, or the lease is lost.
   * @returns whether all have finished
   */
  async #work(stop: AbortSignal): Promise<boolean> {
    const { log, controllers, lease, graceMs = 18_000 } = this.#options
    const kill = new AbortController()
    // Another may lead already: nothing is finished, and the fence lets no write through.
    lease?.lost.addEventListener('abort', () => kill.abort(lease.lost.reason), { once: true })
    const finish = AbortSignal.any(lease === undefined ? [stop] : [stop, lease.lost])
    const working = Promise.all(controllers.map((controller) => controller.run(finish, kill.signal)))
    const finished = new AbortController()
    void working.finally(() => finished.abort())
    const resyncing = this.#resync(finish)
    await whenAborted(finish)
    this.#stopping = true
    lease?.lost.throwIfAborted()
    log.info('stopping: finishing what is in work')
    await sleep(graceMs, finished.signal)
    if (!finished.signal.aborted) {
      log.warn(`not finished after ${graceMs} ms, stopping what is still in work`)
      kill.abort(new Error('the process is stopping'))
      await sleep(killMs, finished.signal)
    }
    await resyncing
    lease?.lost.throwIfAborted()
    return finished.signal.aborted
  }

  async #resync(signal: AbortSignal): Promise<void> {
    const { controllers, resyncMs = 600_000 } = this.#options
    for (;;) {
      await sleep(resyncMs * (1 + resyncJitter * (2 * Math.random() - 1)), signal)
      if (signal.aborted) return
      for (const controller of controllers) controller.resync()
    }
  }

  async #close(drained: boolean): Promise<void> {
    const { events, lease, transport } = this.#options
    // While the lease is held Events pass the fence; afterwards nothing does.
    if (lease?.lost.aborted !== true) await events?.flush(flushMs)
    // With a worker that did not end, the lease must run out by itself: what it still sends would meet the next leader.
    if (drained) await lease?.release()
    await transport.close()
  }
}

/**
 * Runs a manager until SIGTERM or SIGINT and sets the exit code: 0 after an orderly stop, 1 otherwise. The process ends
 * by itself when nothing is left to do; a part that holds it up is cut off.
 */
export const runToExit = async (manager: Manager, log: Logger, forceMs = 28_000): Promise<void> => {
  const stop = new AbortController()
  const forced = (why: string, ms: number): NodeJS.Timeout =>
    setTimeout(() => {
      log.error(`${why}, exiting now`)
      process.exit(1)
    }, ms).unref()
  const onSignal = (signal: NodeJS.Signals): void => {
    log.info(`got ${signal}`)
    stop.abort(new Error(`got ${signal}`))
    forced(`still running ${forceMs} ms after ${signal}`, forceMs)
  }
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal)
  try {
    await manager.run(stop.signal)
  } catch (error) {
    log.error('the operator ends', { error })
    process.exitCode = 1
  }
  // Whatever still holds the loop open (a stuck reconcile) gets this long; an idle loop ends the process before.
  forced('something still runs after the end', 1000)
}

const whenAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
