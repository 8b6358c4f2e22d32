// One step towards what is wanted: take in what Envoy has said, look at it where it does not say enough, tell it what
// comes next. Holds what is known of Envoy between steps.
import { setTimeout as sleep } from 'node:timers/promises'
import { EnvoyGone, type EnvoyAdmin } from '../envoy/admin.ts'
import type { EnvoyLog } from '../envoy/log.ts'
import type { Request } from '../stream/discovery.ts'
import type { DiscoveryListener, DiscoveryStream } from '../stream/server.ts'
import type { RenderedModel } from '../xds/render.ts'
import { Known } from './known.ts'
import { plan } from './plan.ts'

/** Envoy's log is written by a thread of its own, every 100 ms (`--file-flush-interval-msec`). */
const logFlushMs = 250

export class Publisher implements DiscoveryListener {
  readonly #admin: EnvoyAdmin
  readonly #log: EnvoyLog
  #known = new Known()
  #stream: DiscoveryStream | undefined
  #bootId: string | undefined
  #logReadAt = -Infinity
  /** Called when Envoy has said something. */
  onNews: () => void = () => {}

  constructor(admin: EnvoyAdmin, log: EnvoyLog) {
    this.#admin = admin
    this.#log = log
  }

  /** Of the Envoy that is or was connected last; undefined from the moment on which another one connects until it is known. */
  get bootId(): string | undefined {
    return this.#bootId
  }

  /** The version of a model's routes that Envoy has taken. */
  routesVersion(model: string): string | undefined {
    return this.#known.version('routes', model)
  }

  /** What an agent before this one has had applied: what Envoy gets where it refuses what is wanted. */
  assume(models: readonly RenderedModel[]): void {
    const resources = models.flatMap(({ clusters, endpoints, routes, listener }) => [
      ...clusters,
      ...endpoints,
      routes,
      listener,
    ])
    this.#known.assume(resources)
  }

  opened(stream: DiscoveryStream): void {
    this.#stream = stream
    this.#known = new Known(this.#known.good)
    this.#bootId = undefined
    this.onNews()
  }

  heard(stream: DiscoveryStream, request: Request): void {
    // An Envoy that has been replaced may still have had words on their way.
    if (stream !== this.#stream) return
    const answer = this.#known.heard(request)
    if (answer !== undefined) stream.send(answer)
    this.onNews()
  }

  /**
   * Tells Envoy what may be told now.
   * @param wanted undefined while it is not known yet: then nothing is told
   * @returns whether Envoy has all of it
   * @throws EnvoyGone
   */
  async step(wanted: readonly RenderedModel[] | undefined): Promise<boolean> {
    const [stream, known] = [this.#stream, this.#known]
    if (stream === undefined || !stream.isOpen) {
      throw new EnvoyGone('Envoy has not asked for its configuration yet')
    }
    if (this.#bootId === undefined) {
      const bootId = await this.#admin.bootId()
      // It may have been another one that made its socket meanwhile.
      if (stream !== this.#stream) return false
      this.#bootId = bootId
    }
    await this.#readLog(known)
    if (wanted === undefined) return true
    if (known.isWarming) {
      const warming = await this.#admin.warming()
      if (stream !== this.#stream) return false
      known.looked(warming)
    }
    const { changes, settled } = plan(wanted, known)
    for (const change of changes) stream.send(known.sending(change))
    return settled
  }

  /** With many models a step follows the other within milliseconds; what Envoy logs need not be repeated as fast. */
  async #readLog(known: Known): Promise<void> {
    const wasCutOff = known.isCutOff
    if (wasCutOff) await sleep(logFlushMs)
    else if (performance.now() - this.#logReadAt < logFlushMs) return
    await this.#log.read()
    this.#logReadAt = performance.now()
    if (wasCutOff) known.explain(this.#log.lastRefusal)
  }

  /** Why Envoy does not serve this model as it is wanted, where it has refused a part of it. */
  refusalOf({ clusters, endpoints, routes, listener }: RenderedModel): string | undefined {
    const refused = [routes, listener, ...clusters, ...endpoints].flatMap((resource) => {
      const why = this.#known.refusal(resource)
      // One that is cut off is told when the log has said the rest.
      return why === undefined || this.#known.isCutOff
        ? []
        : [`Envoy refused ${resource.kind} ${resource.name}: ${why}`]
    })
    return refused.length === 0 ? undefined : refused.join('; ')
  }
}
