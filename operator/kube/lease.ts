// Leader election through one Lease. Whether another's lease is over is judged by our own monotonic clock since we last
// saw it change, never by comparing clocks; a leader that could not renew in time stops writing before it knows why.
import { Registry } from 'prom-client'
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { sleep } from './delay.ts'
import { isAlreadyExists, isConflict, isNotFound } from './errors.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import { leases, type Lease } from './resources.ts'

export interface LeaseOptions {
  /** Its transport is fenced: until the lease is held, and when it is not renewed in time, no write is sent. */
  readonly client: KubeClient
  readonly namespace: string
  readonly name: string
  /** The pod's name: a restarted container of the same pod takes its own lease over at once. */
  readonly identity: string
  readonly log: Logger
  readonly registry?: Registry
  /** How long others wait after our last renewal. 15 s unless given. */
  readonly leaseDurationMs?: number
  /** How long we go on without a renewal; must be less than the duration. 10 s unless given. */
  readonly renewDeadlineMs?: number
  /** Between tries. 2 s unless given. */
  readonly retryPeriodMs?: number
}

/** Tries of several candidates spread over this share of the period more. */
const jitter = 0.2
/** How long a release may take: the process is ending, and the others would only wait for the lease to be over. */
const releaseMs = 3000

export class LeaderLease {
  readonly #options: LeaseOptions
  readonly #metrics: KubeMetrics
  readonly #durationMs: number
  readonly #deadlineMs: number
  readonly #periodMs: number
  readonly #lost = new AbortController()
  readonly #stopRenewing = new AbortController()
  #renewing: Promise<void> = Promise.resolve()
  /** The lease as it was last seen, and when we saw it become so. */
  #seen: { readonly lease: Lease; readonly at: number } | undefined
  /** When the last successful renewal was sent; undefined while another leads. */
  #renewedAt: number | undefined
  /** To take it was asked for, and how that ended is not known: it may be ours in the server's eyes. */
  #mayHold = false

  constructor(options: LeaseOptions) {
    this.#options = options
    this.#metrics = kubeMetrics(options.registry ?? new Registry())
    this.#durationMs = options.leaseDurationMs ?? 15_000
    this.#deadlineMs = options.renewDeadlineMs ?? 10_000
    this.#periodMs = options.retryPeriodMs ?? 2000
    if (this.#deadlineMs >= this.#durationMs || this.#periodMs * (1 + jitter) >= this.#deadlineMs) {
      throw new TypeError('a lease needs retryPeriodMs × 1.2 < renewDeadlineMs < leaseDurationMs')
    }
    this.#metrics.leader.set({ name: options.name }, 0)
    for (const to of ['leader', 'none']) this.#metrics.leaseTransitions.inc({ name: options.name, to }, 0)
    options.client.transport.setFence(() => this.#refusal())
  }

  /** Whether this process may write now. */
  get leading(): boolean {
    return this.#refusal() === undefined
  }

  /** Aborts when the lease, once held, is lost. Whoever led must then end the process, without cleaning up. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Waits until the lease is ours, then keeps renewing it. Rejects with the signal's reason. */
  async acquire(signal: AbortSignal): Promise<void> {
    const { log, name, identity } = this.#options
    log.info(`waiting for the lease ${name} as ${identity}`)
    for (;;) {
      signal.throwIfAborted()
      if (await this.#tryToTake(signal)) break
      await sleep(this.#jittered(), signal)
    }
    log.info(`took the lease ${name} as ${identity}`)
    this.#metrics.leader.set({ name }, 1)
    this.#metrics.leaseTransitions.inc({ name, to: 'leader' })
    this.#renewing = this.#keepRenewing()
  }

  /**
   * Hands the lease to whoever waits, at once; also one that was being taken when this process was told to stop. Call it
   * when all workers have ended: no write is sent after it.
   */
  async release(): Promise<void> {
    this.#stopRenewing.abort()
    await this.#renewing
    const { client, namespace, name, identity, log } = this.#options
    const held = this.leading ? this.#seen?.lease : undefined
    if (held === undefined && !this.#mayHold) return
    this.#renewedAt = undefined
    this.#metrics.leader.set({ name }, 0)
    const options = { unfenced: true, apart: true, timeoutMs: releaseMs / 2 }
    const empty = async (lease: Lease): Promise<void> => {
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(new Date()) }
      await client.update(leases, { ...lease, spec }, options)
      log.info(`released the lease ${name}`)
    }
    try {
      if (held !== undefined) {
        try {
          return await empty(held)
        } catch (error) {
          if (!isConflict(error)) throw error
        }
      }
      // A write of ours that was cut off was done all the same, or it was not.
      const now = await client.find(leases, namespace, name, options)
      if (now?.spec?.holderIdentity === identity) await empty(now)
    } catch (error) {
      log.warn(`could not release the lease ${name}; the next leader waits until it is over`, { error })
    }
  }

  /** Why a write may not be sent, or undefined. */
  #refusal(): string | undefined {
    if (this.#lost.signal.aborted) return 'the lease was lost'
    if (this.#renewedAt === undefined) return 'another process holds the lease'
    const ageMs = performance.now() - this.#renewedAt
    return ageMs > this.#deadlineMs ? `the lease was last renewed ${Math.round(ageMs)} ms ago` : undefined
  }

  async #tryToTake(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity, log } = this.#options
    try {
      const sentAt = performance.now()
      const options = { signal, apart: true, timeoutMs: this.#deadlineMs / 2 }
      const lease = await client.find(leases, namespace, name, options)
      if (lease !== undefined) this.#see(lease)
      if (lease !== undefined && !this.#isFree(lease)) {
        this.#mayHold = false
        return false
      }
      const next = this.#record(lease, lease?.spec?.holderIdentity === identity)
      const writing = { ...options, unfenced: true }
      this.#mayHold = true
      this.#see(
        lease === undefined ? await client.create(leases, next, writing) : await client.update(leases, next, writing),
      )
      this.#mayHold = false
      this.#renewedAt = sentAt
      return true
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error)) return false
      if (!signal.aborted) log.warn(`cannot take the lease ${name}, trying again`, { error })
      return false
    }
  }

  async #keepRenewing(): Promise<void> {
    const { signal } = this.#stopRenewing
    for (let waitMs = this.#jittered(); ;) {
      await sleep(waitMs, signal)
      if (signal.aborted) return
      // A process that was frozen comes back here, or in the fence, and finds that its time is over.
      const leftMs = this.#deadlineMs - (performance.now() - (this.#renewedAt ?? 0))
      if (leftMs <= 0) return this.#lose('it was not renewed in time')
      const before = this.#renewedAt
      const holder = await this.#renew(Math.min(leftMs, this.#deadlineMs / 2), signal)
      if (signal.aborted) return
      // An API server that was restarted answers within the deadline, but not always within the last period of it.
      waitMs = this.#renewedAt === before ? this.#jittered() / 4 : this.#jittered()
      if (holder !== this.#options.identity) return this.#lose(`${holder === '' ? 'nobody' : holder} holds it now`)
    }
  }

  /** @returns who holds the lease as far as we know */
  async #renew(timeoutMs: number, signal: AbortSignal): Promise<string> {
    const { client, namespace, name, identity, log } = this.#options
    const sentAt = performance.now()
    const options = { timeoutMs, signal, apart: true }
    const writing = { ...options, unfenced: true }
    try {
      const lease = this.#seen?.lease
      const next = this.#record(lease, true)
      this.#see(
        lease === undefined ? await client.create(leases, next, writing) : await client.update(leases, next, writing),
      )
      this.#renewedAt = sentAt
      return identity
    } catch (error) {
      if (signal.aborted) return identity
      log.warn(`cannot renew the lease ${name}, trying again`, { error })
      if (!isConflict(error) && !isAlreadyExists(error)) return identity
    }
    try {
      const lease = await client.get(leases, namespace, name, options)
      this.#see(lease)
      return lease.spec?.holderIdentity ?? ''
    } catch (error) {
      if (!signal.aborted) log.warn(`cannot read the lease ${name}, trying again`, { error })
      // Someone deleted it (a PUT of what is gone is a conflict): whoever makes it anew first has it.
      if (isNotFound(error)) this.#seen = undefined
      return identity
    }
  }

  #lose(why: string): void {
    const { log, name } = this.#options
    log.error(`lost the lease ${name}: ${why}`)
    this.#metrics.leader.set({ name }, 0)
    this.#metrics.leaseTransitions.inc({ name, to: 'none' })
    this.#lost.abort(new Error(`the lease ${name} was lost: ${why}`))
  }

  #isFree({ spec }: Lease): boolean {
    const holder = spec?.holderIdentity ?? ''
    if (holder === '' || holder === this.#options.identity) return true
    const durationMs = (spec?.leaseDurationSeconds ?? 0) * 1000
    return performance.now() - (this.#seen?.at ?? 0) > durationMs
  }

  /** The clock of another's lease starts when we see it change. */
  #see(lease: Lease): void {
    const before = this.#seen?.lease.metadata.resourceVersion
    if (before !== lease.metadata.resourceVersion) this.#seen = { lease, at: performance.now() }
  }

  #record(lease: Lease | undefined, same: boolean): Lease {
    const { namespace, name, identity } = this.#options
    const now = microTime(new Date())
    const transitions = lease?.spec?.leaseTransitions ?? 0
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease?.metadata ?? { name, namespace },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(this.#durationMs / 1000),
        acquireTime: same ? (lease?.spec?.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: lease === undefined || same ? transitions : transitions + 1,
      },
    }
  }

  #jittered(): number {
    return this.#periodMs * (1 + jitter * Math.random())
  }
}

/** metav1.MicroTime: exactly six fractional digits; the API server refuses the three that JavaScript writes. */
export const microTime = (time: Date): string => time.toISOString().replace(/Z$/, '000Z')
