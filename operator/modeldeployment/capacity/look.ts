// Reads what the cluster has and what is taken: live, only while a pod waits for room, and once for all who wait. It
// changes nothing. An operator that may not look at nodes (it watches single namespaces) says so by `undefined`.
import { isForbidden } from '../../kube/errors.ts'
import type { KubeClient } from '../../kube/client.ts'
import { nodes, pods } from '../../kube/resources.ts'
import type { Occupancy } from './room.ts'

/** How long a look is good for, in milliseconds: the sum over a large cluster is no cheap thing. */
const freshMs = 5000
const pageSize = 500

export class CapacityLook {
  readonly #client: KubeClient
  readonly #clock: () => number
  #last: { readonly at: number; readonly seen: Promise<Occupancy | undefined> } | undefined

  /** @param clock milliseconds that only rise */
  constructor(client: KubeClient, clock: () => number = () => performance.now()) {
    this.#client = client
    this.#clock = clock
  }

  /** @throws StatusError, ConnectionError when the API server does not answer */
  now(): Promise<Occupancy | undefined> {
    const at = this.#clock()
    if (this.#last === undefined || at - this.#last.at > freshMs) {
      const seen = this.#read()
      const last = { at, seen }
      this.#last = last
      // What could not be read is read again by the next who asks.
      seen.catch(() => {
        if (this.#last === last) this.#last = undefined
      })
    }
    return this.#last.seen
  }

  async #read(): Promise<Occupancy | undefined> {
    try {
      const all = await this.#client.list(nodes)
      const taken: Occupancy['pods'][number][] = []
      for (let next: string | undefined, first = true; first || next !== undefined; first = false) {
        const page = await this.#client.list(pods, {
          fieldSelector: 'spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed',
          limit: pageSize,
          continue: next,
        })
        taken.push(...page.items)
        next = page.continue
      }
      return { nodes: all.items, pods: taken }
    } catch (error) {
      if (isForbidden(error)) return undefined
      throw error
    }
  }
}
