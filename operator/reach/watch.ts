// Listens whether the nodes of our pods are there, twice a second, in every replica of the operator: the one that leads may
// be on the node that is lost. Its only write is `takeOut`, which does no harm when two do it.
import { Counter, type Registry } from 'prom-client'
import type { KubeClient } from '../kube/client.ts'
import { sleep } from '../kube/delay.ts'
import { isConflict } from '../kube/errors.ts'
import type { Logger } from '../telemetry/log.ts'
import { knock } from './knock.ts'
import type { Place, Places } from './places.ts'
import { Listener } from './silence.ts'
import { takeOut } from './takeout.ts'

export interface ReachWatchOptions {
  readonly client: KubeClient
  readonly log: Logger
  readonly registry: Registry
  /** Who is ready now; the same value as long as nothing has changed. */
  readonly places: () => Places
  /** Whether users of a Service (`namespace/name`) have somewhere else to go when none of its pods is left. */
  readonly isSpare: (service: string) => boolean
  readonly knock?: typeof knock
}

const roundMs = 500
/** How long the last knock waits, before the write. */
const confirmMs = 500
/** A round that begins this late was held up by this process itself. */
const lateMs = 500

export class ReachWatch {
  readonly #options: ReachWatchOptions
  readonly #knock: typeof knock
  readonly #counter: Counter
  /** Pods that are being taken out. */
  readonly #busy = new Set<string>()
  readonly #listener = new Listener(performance.now())
  #places: Places | undefined

  constructor(options: ReachWatchOptions) {
    this.#options = options
    this.#knock = options.knock ?? knock
    this.#counter = new Counter({
      name: 'slipway_pods_taken_out_total',
      help: 'Pods that were taken out of their Services because their node did not answer.',
      registers: [options.registry],
    })
  }

  /** Listens until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#round()
      const next = performance.now() + roundMs
      await sleep(roundMs, signal)
      if (performance.now() - next > lateMs) this.#listener.begin(performance.now())
    }
  }

  #round(): void {
    const now = performance.now()
    const places = this.#options.places()
    if (places !== this.#places) this.#listener.keepOnly(places)
    this.#places = places
    for (const place of this.#listener.lost(places, this.#options.isSpare, now)) void this.#takeOut(place)
    for (const place of this.#listener.ask(places, now)) void this.#ask(place)
  }

  async #ask(place: Place): Promise<void> {
    const isAnswered = await this.#knock(place.address, place.port)
    this.#listener.hear(place, isAnswered, performance.now())
  }

  async #takeOut(place: Place): Promise<void> {
    const { client, log } = this.#options
    const { namespace, pod, uid, node } = place
    if (this.#busy.has(uid)) return
    this.#busy.add(uid)
    try {
      const isStillLost = async (): Promise<boolean> => !(await this.#knock(place.address, place.port, confirmMs))
      if (await takeOut(client, place, isStillLost, new Date())) {
        this.#listener.takenOut(place)
        this.#counter.inc()
        log.warn(`took pod ${namespace}/${pod} out of its Services: node ${node} does not answer`)
      }
    } catch (error) {
      // Whoever wrote it may have taken it out as well; the next round sees.
      if (isConflict(error)) return
      // Without the API server it may be we who are cut off: silence counts anew.
      this.#listener.begin(performance.now())
      log.info(`cannot take pod ${namespace}/${pod} of silent node ${node} out`, { error })
    } finally {
      this.#busy.delete(uid)
    }
  }
}
