// What observe.ts gathers about the way from users to pods in mode Router: the object's port, where its Service points,
// which routers there are and what they counted. It asks routers only where an answer can change something.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { KubeClient } from '../kube/client.ts'
import { keyFor } from '../kube/key.ts'
import { pods, type EndpointSlice, type Service } from '../kube/resources.ts'
import type { Store } from '../kube/store.ts'
import type { Evidence } from '../rollout/observed.ts'
import { routerFacts, type RouterFacts } from '../routers/answers.ts'
import { checkpointOf } from '../routers/checkpoint.ts'
import type { RouterProblem } from '../routers/controller.ts'
import { routerLabels, routerName } from '../routers/desired.ts'
import { byService, type Routers } from '../routers/routers.ts'
import { labelKeys } from './names.ts'
import { isRouted, isWatched, type Destination, type Routing } from './routing.ts'
import { ofTheChart, troubleOf, type PodView } from './trouble.ts'

/** What the rollout is told of routers. */
export interface RouterSight {
  readonly routing: Routing
  readonly routers?: readonly RouterFacts[]
  readonly evidence?: Evidence
}

/**
 * How long after its Service has moved to the pods an object keeps its port: kube-proxy follows within a second or
 * so, and a client that kept its connection is told to close it when the listener goes.
 */
export const leaveMs = 30_000

/** How many routers are looked at to find out what is wrong. */
const podLimit = 5

/** When each object that leaves the routers was first seen to be gone from them, by uid. Lost in a crash: it waits anew. */
export type Leaving = Map<string, number>

export interface RoutingSources {
  readonly client: KubeClient
  readonly routers: Routers
  readonly endpointSlices: Store<EndpointSlice>
  readonly leaving: Leaving
  /** What stands in the way of the routers, by namespace. */
  readonly routerProblems: ReadonlyMap<string, RouterProblem>
}

/** @param undecided somebody waits for the routers besides the rollout itself: pods that are to go, for instance */
export const observeRouting = async (
  { client, routers, endpointSlices, leaving, routerProblems }: RoutingSources,
  deployment: ModelDeployment,
  service: Service | undefined,
  undecided: boolean,
  now: number,
): Promise<RouterSight> => {
  const { namespace = '', name, uid = '' } = deployment.metadata
  const destination = destinationOf(service)
  const traffic = deployment.status?.traffic
  const routed = isRouted(deployment)
  if (!routed && traffic?.port === undefined) {
    leaving.delete(uid)
    await routers.release(namespace, uid)
    return { routing: { destination, readyRouters: 0 } }
  }
  const readyRouters = destination.kind === 'Routers' ? readyOf(endpointSlices, namespace, name) : 0
  const leavesAt = routed ? undefined : leavesWhen(leaving, uid, destination, now)
  if (routed) leaving.delete(uid)
  const gone = leavesAt !== undefined && leavesAt <= now
  const port = gone ? undefined : await routers.portOf(deployment)
  const problem = routerProblems.get(namespace)?.message ?? (await noneReady(client, routers, namespace))
  const known: Routing = {
    destination,
    readyRouters,
    ...(problem !== undefined && { problem }),
    ...(port !== undefined && { port }),
    ...(leavesAt !== undefined && !gone && { leavesAt }),
  }
  // Whoever is verified already may still wait for them with his Service: it moves on their word alone.
  const moves = routed && destination.kind !== 'Routers'
  if (!undecided && !moves && !isWatched(deployment)) return { routing: known, ...(routed && { routers: [] }) }
  const answers = await routers.answers(namespace)
  const facts = routerFacts(answers, uid)
  const unheeding = facts.find((router) => router.problem !== undefined)
  const routing: Routing =
    problem === undefined && unheeding !== undefined
      ? { ...known, problem: `Router ${unheeding.name}: ${unheeding.problem ?? ''}` }
      : known
  if (traffic === undefined) return { routing, routers: facts }
  const kept = deployment.status?.analysis
  const tally = routers.count({ uid, epoch: traffic.epoch }, traffic.weights, answers, now, kept)
  if (tally === undefined) return { routing, routers: facts }
  const { epoch, calls, since, missing, judgement } = tally
  return {
    routing: { ...routing, analysis: checkpointOf(kept, tally), ...(judgement && { measured: judgement.shares }) },
    routers: facts,
    evidence: { epoch, calls, ...(since !== undefined && { since }), ...(missing !== undefined && { missing }) },
  }
}

/** Why nobody can be answered through routers, with what their pods say of it. */
const noneReady = async (client: KubeClient, routers: Routers, namespace: string): Promise<string | undefined> => {
  if (routers.endpoints(namespace).some(({ ready }) => ready)) return undefined
  const labelSelector = Object.entries(routerLabels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
  const { items } = await client.list(pods, { namespace, labelSelector, limit: podLimit })
  const { message = `kubectl describe deployment ${routerName} tells more.` } =
    troubleOf(
      items.map((pod) => pod as PodView),
      ofTheChart,
    ) ?? {}
  return `No router of namespace ${namespace} is ready: ${message}`
}

const destinationOf = (service: Service | undefined): Destination => {
  if (service === undefined) return { kind: 'Nowhere' }
  const selector = service.spec?.selector ?? {}
  const isRouters = Object.entries(routerLabels).every(([key, value]) => selector[key] === value)
  return isRouters ? { kind: 'Routers' } : { kind: 'Pods', revision: selector[labelKeys.revision] }
}

const readyOf = (slices: Store<EndpointSlice>, namespace: string, name: string): number =>
  slices
    .byIndex(byService, keyFor(namespace, name))
    .flatMap((slice) => slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false).length

const leavesWhen = (leaving: Leaving, uid: string, destination: Destination, now: number): number | undefined => {
  // Until the Service has moved, users still come to the routers.
  if (destination.kind === 'Routers') {
    leaving.delete(uid)
    return undefined
  }
  const since = leaving.get(uid) ?? now
  leaving.set(uid, since)
  return since + leaveMs
}
