// One step towards what is wanted: look at Envoy, understand, write. Holds what is known between steps.
import { setTimeout as sleep } from 'node:timers/promises'
import type { EnvoyAdmin } from '../envoy/admin.ts'
import type { EnvoyLog } from '../envoy/log.ts'
import { contentHash } from '../xds/json.ts'
import { clustersFile, endpointsFile, listenersFile, routesFile } from '../xds/names.ts'
import type { RenderedModel } from '../xds/render.ts'
import type { XdsFolder } from './disk.ts'
import { learn, nothingKnown, refusedSince, wrote, wroteClusters, type Memory } from './learn.ts'
import { clusterKey, listenerKey, plan, type Change } from './plan.ts'

/** Envoy's log is written by a thread of its own, every 100 ms (`--file-flush-interval-msec`). */
const logFlushMs = 250

export class Publisher {
  readonly #admin: EnvoyAdmin
  readonly #log: EnvoyLog
  readonly #disk: XdsFolder
  #memory: Memory = nothingKnown

  constructor(admin: EnvoyAdmin, log: EnvoyLog, disk: XdsFolder) {
    this.#admin = admin
    this.#log = log
    this.#disk = disk
  }

  /** As of the last step. */
  get bootId(): string | undefined {
    return this.#memory.bootId
  }

  /** By path: what Envoy had applied at the last step. */
  get versions(): ReadonlyMap<string, string> {
    return this.#memory.versions
  }

  /**
   * Looks at Envoy and writes what may be written now.
   * @param wanted undefined while it is not known yet: then nothing is written, and settled means that Envoy serves
   *   what is on the disk
   * @returns whether Envoy has all of it
   * @throws EnvoyGone, or an error of the file system
   */
  async step(wanted: readonly RenderedModel[] | undefined): Promise<boolean> {
    const seen = await this.#admin.answers()
    if (refusedSince(this.#memory, this.#disk, seen).length > 0) await sleep(logFlushMs)
    await this.#log.read()
    this.#memory = learn(this.#memory, this.#disk, seen, this.#log.lastRefusal)
    if (wanted === undefined) return this.#memory.again.size === 0 && this.#memory.warming === 0
    const { changes, settled } = plan(wanted, this.#disk, this.#memory)
    for (const change of changes) await this.#carryOut(change)
    return settled
  }

  /** Why Envoy does not serve this model as it is wanted, where it has refused a part of it. */
  refusalOf({ setting, clusters, endpoints, routes, listener }: RenderedModel): string | undefined {
    const parts: [string, string][] = [
      [routesFile(setting.name), routes.version],
      [listenerKey(listener.name), contentHash(listener.message)],
      ...clusters.map(({ name, message }): [string, string] => [clusterKey(name), contentHash(message)]),
      ...[...endpoints].map(([cluster, { version }]): [string, string] => [endpointsFile(cluster), version]),
    ]
    const refused = parts.flatMap(([key, what]) => {
      const refusal = this.#memory.refused.get(key)
      return refusal?.what === what ? [`Envoy refused ${key}: ${refusal.why || 'its log says why'}`] : []
    })
    return refused.length === 0 ? undefined : refused.join('; ')
  }

  async #carryOut(change: Change): Promise<void> {
    switch (change.do) {
      case 'write':
        this.#memory = wrote(this.#memory, change.path, await this.#disk.write(change.path, change.file))
        return
      case 'writeClusters': {
        const file = await this.#disk.writeResources(clustersFile, change.resources)
        this.#memory = wroteClusters(wrote(this.#memory, clustersFile, file), change.resources)
        return
      }
      case 'writeListeners': {
        const file = await this.#disk.writeResources(listenersFile, change.resources)
        this.#memory = wrote(this.#memory, listenersFile, file)
        return
      }
      case 'remove':
        return this.#disk.remove(change.path)
    }
  }
}
