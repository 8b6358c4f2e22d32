// Writes Kubernetes Events about objects, in the background: repeats are counted, floods are held back. It never throws
// into its caller and never holds it up; what could not be written is counted and logged.
import { randomBytes } from 'node:crypto'
import { Registry } from 'prom-client'
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { Correlator, type Notice } from './correlator.ts'
import { exponentialMs, sleep } from './delay.ts'
import { isNotFound, isRetryable } from './errors.ts'
import { keyOf } from './key.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import { events, type KubeEvent } from './resources.ts'
import type { KubeObject } from './types.ts'

export interface EventRecorderOptions {
  readonly client: KubeClient
  readonly log: Logger
  /** Who reports, `slipway-operator` for instance. */
  readonly component: string
  /** Which of its processes, the pod's name. */
  readonly instance: string
  readonly registry?: Registry
}

/** More waiting than this means that the API server is not taking them; the newest are dropped. */
const mostWaiting = 1000
const tries = 4
const growth = { firstMs: 500, maxMs: 5000 }

export class EventRecorder {
  readonly #options: EventRecorderOptions
  readonly #metrics: KubeMetrics
  readonly #correlator = new Correlator()
  readonly #waiting: { readonly about: KubeObject; readonly notice: Notice; readonly at: Date }[] = []
  #writing: Promise<void> | undefined

  constructor(options: EventRecorderOptions) {
    this.#options = options
    this.#metrics = kubeMetrics(options.registry ?? new Registry())
  }

  /** Takes note and returns at once. Messages over 1024 characters are cut. */
  record(about: KubeObject, notice: Notice): void {
    if (this.#waiting.length >= mostWaiting) {
      this.#metrics.events.inc({ result: 'dropped' })
      return
    }
    this.#waiting.push({ about, notice, at: new Date() })
    this.#writing ??= this.#writeAll()
  }

  /** Resolves when all that was recorded is written or given up, or after `ms`. */
  async flush(ms: number): Promise<void> {
    const enough = new AbortController()
    await Promise.race([this.#writing, sleep(ms, enough.signal)])
    enough.abort()
  }

  async #writeAll(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { about, notice, at } = next
      try {
        this.#metrics.events.inc({ result: await this.#write(about, notice, at) })
      } catch (error) {
        this.#metrics.events.inc({ result: 'failed' })
        this.#options.log.warn(`could not write the event ${notice.reason} about ${about.kind} ${keyOf(about)}`, {
          error,
        })
      }
    }
    this.#writing = undefined
  }

  async #write(about: KubeObject, notice: Notice, at: Date): Promise<'created' | 'counted' | 'limited'> {
    const subject = `${about.kind} ${keyOf(about)} ${about.metadata.uid ?? ''}`
    const decision = this.#correlator.decide(subject, notice, performance.now())
    if (decision.do === 'drop') return 'limited'
    const { client } = this.#options
    const namespace = about.metadata.namespace ?? 'default'
    if (decision.do === 'count') {
      const { name, count, message } = decision
      const patch = { count, message, lastTimestamp: seconds(at) }
      try {
        await this.#persist(() => client.mergePatch(events, namespace, name, patch))
        return 'counted'
      } catch (error) {
        if (!isNotFound(error)) throw error
        this.#correlator.gone(decision.key)
      }
    }
    const event = this.#event(about, { ...notice, message: decision.message }, namespace, at)
    await this.#persist(() => client.create(events, event))
    this.#correlator.written(decision.key, event.metadata.name)
    return 'created'
  }

  /** A few tries where the server is busy or away; Events are not worth more. */
  async #persist(write: () => Promise<unknown>): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await write()
        return
      } catch (error) {
        if (!isRetryable(error) || attempt + 1 >= tries) throw error
        await sleep(exponentialMs(attempt, growth) * (0.5 + Math.random() / 2))
      }
    }
  }

  #event({ apiVersion, kind, metadata }: KubeObject, notice: Notice, namespace: string, at: Date): KubeEvent {
    const { component, instance } = this.#options
    const { name, uid, resourceVersion } = metadata
    return {
      apiVersion: 'v1',
      kind: 'Event',
      // As kubectl and client-go name them: the object, then what makes it unique. Names end at 253 characters.
      metadata: { name: `${name.slice(0, 230)}.${randomBytes(8).toString('hex')}`, namespace },
      involvedObject: {
        apiVersion,
        kind,
        name,
        ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
        ...(uid !== undefined && { uid }),
        ...(resourceVersion !== undefined && { resourceVersion }),
      },
      type: notice.type,
      reason: notice.reason,
      action: notice.action ?? notice.reason,
      message: notice.message,
      count: 1,
      firstTimestamp: seconds(at),
      lastTimestamp: seconds(at),
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
    }
  }
}

/** metav1.Time has no fraction. */
const seconds = (time: Date): string => time.toISOString().replace(/\.\d{3}Z$/, 'Z')
