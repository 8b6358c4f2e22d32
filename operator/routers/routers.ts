// What this process knows of the routers of each namespace: whom there is to ask, what they said last, which port each
// object has, and what was counted. Objects of one namespace share one round of questions.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { KubeClient } from '../kube/client.ts'
import type { EndpointSlice, ResourceType } from '../kube/resources.ts'
import { byNamespacedLabel, type Store } from '../kube/store.ts'
import { keyFor } from '../kube/key.ts'
import { tallied, type Answer, type Answers, type Setting, type Tally } from './answers.ts'
import type { Asker, RouterEndpoint } from './ask.ts'
import { resumed } from './checkpoint.ts'
import { routerName } from './desired.ts'
import { PortBook } from './ports.ts'
import { judged, type Weights } from './shares.ts'

/** The index of EndpointSlices by `namespace/name` of the Service that they belong to. */
export const byService = 'service'
export const serviceIndex = { [byService]: byNamespacedLabel('kubernetes.io/service-name') }

type Analysis = NonNullable<ModelDeploymentStatus['analysis']>

/** Routers are asked at most this often, and never for more than a sixth of the time. */
const leastGapMs = 200
const restPerWork = 5

export interface RoutersOptions {
  readonly client: KubeClient
  readonly modelDeployments: ResourceType<ModelDeployment>
  /** Made with `serviceIndex`. */
  readonly endpointSlices: Store<EndpointSlice>
  readonly asker: Pick<Asker, 'ask'>
  /** Milliseconds that only rise. */
  readonly clock?: () => number
}

/** One namespace's rounds of questions. */
interface Rounds {
  answers: Answers
  /** When the next round may begin. */
  notBefore: number
  underWay: Promise<Answers> | undefined
  /** Routers that have applied something for somebody since this process began. */
  served: ReadonlySet<string>
}

export class Routers {
  readonly #options: RoutersOptions
  readonly #clock: () => number
  readonly #rounds = new Map<string, Rounds>()
  readonly #books = new Map<string, Promise<PortBook>>()
  readonly #tallies = new Map<string, Tally>()

  constructor(options: RoutersOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => performance.now())
  }

  /** The router pods that the cluster lists, whether or not they are ready. */
  endpoints(namespace: string): RouterEndpoint[] {
    const slices = this.#options.endpointSlices.byIndex(byService, keyFor(namespace, routerName))
    const endpoints = slices.flatMap((slice) => slice.endpoints ?? [])
    return endpoints.flatMap(({ addresses, targetRef, conditions }) => {
      const [address] = addresses
      const name = targetRef?.name
      if (address === undefined || name === undefined) return []
      // A condition that nobody knows counts as true, `terminating` as false. @see discovery.k8s.io/v1 EndpointConditions
      return [{ name, address, ready: conditions?.ready ?? true, terminating: conditions?.terminating ?? false }]
    })
  }

  /**
   * What the routers said in the last round, which is made anew when it is old. Never of routers that have gone
   * meanwhile; one that came meanwhile is there without an answer.
   */
  async answers(namespace: string): Promise<Answers> {
    const rounds = this.#roundsOf(namespace)
    if (rounds.underWay === undefined && this.#clock() >= rounds.notBefore) {
      rounds.underWay = this.#round(namespace, rounds).finally(() => {
        rounds.underWay = undefined
      })
    }
    // Epochs only rise, so an older answer is safe; a router that is silent must not hold up whoever asks.
    const answers =
      (await Promise.race([rounds.underWay, sleep(leastGapMs, undefined, { ref: false })])) ?? rounds.answers
    return this.endpoints(namespace).map(({ name, ready, terminating }): Answer => {
      const said = answers.find(({ router }) => router === name)
      const hasServed = rounds.served.has(name)
      if (said === undefined) return { router: name, ready, terminating, hasServed, error: 'it was not asked yet' }
      return { ...said, ready, terminating, hasServed }
    })
  }

  async #round(namespace: string, rounds: Rounds): Promise<Answers> {
    const began = this.#clock()
    const endpoints = this.endpoints(namespace)
    let tookMs = 0
    const ask = async (endpoint: RouterEndpoint) => {
      const answer = await this.#options.asker.ask(endpoint)
      // To wait for one that is silent is no work.
      if (answer.state !== undefined) tookMs = this.#clock() - began
      return answer
    }
    const said = await Promise.all(endpoints.map(ask))
    const working = said.filter(({ state }) => state?.models.some(({ appliedEpoch }) => appliedEpoch !== undefined))
    const known = new Set(endpoints.map(({ name }) => name))
    rounds.served = new Set(
      [...rounds.served, ...working.map(({ router }) => router)].filter((name) => known.has(name)),
    )
    rounds.answers = said.map((answer) => ({ ...answer, hasServed: rounds.served.has(answer.router) }))
    rounds.notBefore = this.#clock() + Math.max(leastGapMs, restPerWork * tookMs)
    return rounds.answers
  }

  #roundsOf(namespace: string): Rounds {
    const known = this.#rounds.get(namespace)
    if (known !== undefined) return known
    const rounds: Rounds = { answers: [], notBefore: 0, underWay: undefined, served: new Set() }
    this.#rounds.set(namespace, rounds)
    return rounds
  }

  /**
   * What was counted for the setting, these answers included; undefined until every router has applied it.
   *
   * @param now milliseconds since the epoch
   * @param kept what the status holds of it: a process that knows nothing of this setting goes on from there
   */
  count(setting: Setting, weights: Weights, answers: Answers, now: number, kept?: Analysis): Tally | undefined {
    const known = this.#tallies.get(setting.uid)
    const before = known?.epoch === setting.epoch ? known : resumed(kept, setting, answers, now)
    const tally = tallied(before, setting, answers)
    if (tally === undefined) {
      this.#tallies.delete(setting.uid)
      return undefined
    }
    const judgement = judged(tally.judgement, tally.calls, weights)
    const counted = { ...tally, since: tally.since ?? now, ...(judgement && { judgement }) }
    this.#tallies.set(setting.uid, counted)
    return counted
  }

  /**
   * The object's port: the one in its status, or one that nobody else has.
   * @returns undefined when every port of the namespace is held
   * @throws StatusError, ConnectionError: before the first port is given away, who has one is read from the API server
   */
  async portOf({ metadata, status }: ModelDeployment): Promise<number | undefined> {
    const { namespace = '', uid = '', name } = metadata
    const book = await this.#bookOf(namespace)
    return book.portOf({ uid, name, port: status?.traffic?.port })
  }

  #bookOf(namespace: string): Promise<PortBook> {
    const known = this.#books.get(namespace)
    if (known !== undefined) return known
    const { client, modelDeployments } = this.#options
    const book = client
      .list(modelDeployments, { namespace })
      .then(
        ({ items }) =>
          new PortBook(
            items.map(({ metadata: { uid = '', name }, status }) => ({ uid, name, port: status?.traffic?.port })),
          ),
      )
    this.#books.set(namespace, book)
    // What could not be read is read again by the next who asks.
    book.catch(() => this.#books.delete(namespace))
    return book
  }

  /** The object has no port any more, or is gone. */
  async release(namespace: string, uid: string): Promise<void> {
    this.#tallies.delete(uid)
    const book = this.#books.get(namespace)
    await book?.then((known) => known.release(uid)).catch(() => undefined)
  }
}
