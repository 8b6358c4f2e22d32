// What observe.ts gathers about an object's routes at Gateways: which there are, what their controllers say of them, and
// what stands in the way. It reads caches; a Gateway itself is looked up only where it has not taken a route yet.
import type { ModelDeployment } from '../../api/modeldeployment.ts'
import type { KubeClient } from '../../kube/client.ts'
import { firstDifference, withIntent } from '../../kube/drift.ts'
import { isForbidden } from '../../kube/errors.ts'
import { controllerOf } from '../../kube/key.ts'
import type { Store } from '../../kube/store.ts'
import type { Observed, RouterFacts } from '../../rollout/observed.ts'
import { grpcRoute, httpRoute, reachableWeights } from '../desired/routes.ts'
import { epochAnnotation } from '../names.ts'
import {
  gateways,
  grpcRoutes as grpcRouteType,
  httpRoutes as httpRouteType,
  type ParentReference,
  type Route,
} from '../resources.ts'
import { acceptances, factsOf, settleMs, type RouteAtGateway } from './acceptance.ts'
import { apiMissing, gatewayMissing } from './missing.ts'
import { hasSettled, settlesAt, settlingNow, type Settling } from './settling.ts'

/** What plan.ts and status.ts are told of the routes. */
export interface RouteSight {
  /** Kinds of the routes of ours that exist. */
  readonly exist: readonly ('HTTPRoute' | 'GRPCRoute')[]
  /** Some Gateway may still send requests by a route, though it may have been deleted a moment ago. */
  readonly mayBeUsed: boolean
  /** The HTTPRoute has been taken everywhere: only then a GRPCRoute of the same host names comes second, and never first. */
  readonly hasHttpSettled: boolean
  /** A Gateway sends users by the HTTPRoute, be it by an older generation. */
  readonly isUsed: boolean
  /** What a controller has against the HTTPRoute, in its words. */
  readonly objection?: string
  /** The same; else that none says anything. */
  readonly problem?: string
  /** A GRPCRoute that its Gateways do not take: gRPC goes another way, and nobody waits for it. */
  readonly withoutGrpc?: string
  /** When the next acceptance will have settled, in milliseconds since the epoch. */
  readonly settlesAt?: number
}

export interface GatewaySight {
  readonly routes: RouteSight
  readonly facts: readonly RouterFacts[]
  readonly refusal?: NonNullable<Observed['refusal']>
}

export interface GatewaySources {
  readonly client: KubeClient
  readonly httpRoutes: Store<Route>
  readonly grpcRoutes: Store<Route>
  /** Whether the API server has the kinds of the Gateway API, with their caches filled. */
  readonly gatewayApi: { readonly served: boolean }
  /** Since when Gateways have accepted what they have, by uid of the object. */
  readonly settling: Map<string, Settling>
}

const nothing: RouteSight = { exist: [], mayBeUsed: false, hasHttpSettled: false, isUsed: false }

/** @param hasServices whether Services for routes exist: they outlive the routes for as long as one may still be used */
export const observeRoutes = async (
  { client, httpRoutes, grpcRoutes, gatewayApi, settling }: GatewaySources,
  deployment: ModelDeployment,
  ready: Readonly<Record<string, number>>,
  hasServices: boolean,
  now: number,
): Promise<GatewaySight> => {
  const { uid = '', namespace, name } = deployment.metadata
  const isWanted = deployment.spec.traffic.mode === 'Gateway'
  const ours = (store: Store<Route>): Route | undefined => {
    // Where the kinds are gone, so are the objects; the cache may not have been told.
    const route = gatewayApi.served ? store.get(namespace, name) : undefined
    return route !== undefined && controllerOf(route)?.uid === uid && route.metadata.deletionTimestamp === undefined
      ? route
      : undefined
  }
  const [http, grpc] = [ours(httpRoutes), ours(grpcRoutes)]
  if (!isWanted && http === undefined && grpc === undefined && !hasServices) {
    settling.delete(uid)
    return { routes: nothing, facts: [] }
  }
  const traffic = deployment.status?.traffic
  const weights = reachableWeights(traffic?.weights ?? [], deployment.status?.stable?.revision, ready)
  const isAsWanted = (route: Route): boolean =>
    traffic !== undefined &&
    firstDifference(
      withIntent((route.kind === 'HTTPRoute' ? httpRoute : grpcRoute)(deployment, traffic, weights)),
      route,
    ) === undefined
  const atHttp = http === undefined ? [] : acceptances(http)
  // A Gateway that has never taken the GRPCRoute sends nothing by it.
  const atGrpc = grpc === undefined ? [] : acceptances(grpc)
  const used = [
    ...(http === undefined ? [] : atHttp.map((at) => ({ route: http, at }))),
    ...(grpc === undefined ? [] : atGrpc.filter(({ isUsed }) => isUsed).map((at) => ({ route: grpc, at }))),
  ]
  // With the epoch: a setting whose revision has no ready pod yet changes nothing of the route but its number, and the
  // generation that was accepted long ago must not acknowledge it.
  const claimOf = ({ metadata }: Route, { name: what }: RouteAtGateway): string =>
    `${metadata.uid ?? ''}/${metadata.generation ?? 0}/${metadata.annotations?.[epochAnnotation] ?? ''}/${what}`
  const claims = used.filter(({ at }) => at.isCurrent).map(({ route, at }) => claimOf(route, at))
  const settled = settlingNow(settling.get(uid), used.length === 0 ? [goneClaim] : claims, now)
  settling.set(uid, settled)
  const isSettled = (route: Route, at: RouteAtGateway): boolean =>
    hasSettled(settled, claimOf(route, at), settleMs, now)
  const isGone = used.length === 0 && hasSettled(settled, goneClaim, settleMs, now)
  const facts = used.map(({ route, at }) =>
    isWanted
      ? factsOf(route, at, traffic?.epoch, isSettled(route, at) && isAsWanted(route))
      : // It is about to go: until then it is somebody who has not applied anything.
        ({ name: at.name, isRoute: true } as const),
  )
  const refusal = !isWanted
    ? undefined
    : gatewayApi.served
      ? ((await takenName(client, deployment, httpRoutes, grpcRoutes)) ??
        (await missingGateway(client, deployment, atHttp)))
      : apiMissing
  const objection = atHttp.find((each) => each.objection !== undefined)?.objection
  const problem = objection ?? waiting(atHttp)
  const withoutGrpc =
    grpc === undefined
      ? undefined
      : atGrpc.find(({ isUsed, objection }) => !isUsed && objection !== undefined)?.objection
  const at = settlesAt(settled, settleMs, now)
  return {
    routes: {
      exist: [...(http ? (['HTTPRoute'] as const) : []), ...(grpc ? (['GRPCRoute'] as const) : [])],
      mayBeUsed: http !== undefined || grpc !== undefined || (hasServices && !isGone),
      hasHttpSettled: http !== undefined && atHttp.length > 0 && atHttp.every((each) => isSettled(http, each)),
      isUsed: atHttp.some(({ isUsed }) => isUsed),
      ...(objection !== undefined && { objection }),
      ...(problem !== undefined && { problem }),
      ...(withoutGrpc !== undefined && { withoutGrpc }),
      ...(at !== undefined && { settlesAt: at }),
    },
    facts:
      isWanted && isGone && isHome(deployment)
        ? [{ name: 'no route', isRoute: true, ...(traffic && { epoch: traffic.epoch }) }]
        : facts,
    ...(refusal && { refusal }),
  }
}

const goneClaim = 'no route'

/** Nobody but stable is to get requests: then nobody is sent anywhere else where there is no route at all. */
const isHome = ({ status }: ModelDeployment): boolean =>
  status?.traffic?.weights.every(({ revision }) => revision === status.stable?.revision) === true

const waiting = (at: readonly RouteAtGateway[]): string | undefined => {
  const silent = at.find(({ isCurrent }) => !isCurrent)
  return silent === undefined ? undefined : `${silent.name}: its controller has not accepted the newest state yet.`
}

/** Somebody else's route of our name. Only a route that the caches do not know is looked up. */
const takenName = async (
  client: KubeClient,
  { kind, metadata: { namespace, name, uid } }: ModelDeployment,
  ...stores: readonly Store<Route>[]
): Promise<NonNullable<Observed['refusal']> | undefined> => {
  for (const [index, type] of [httpRouteType, grpcRouteType].entries()) {
    if (stores[index]?.get(namespace, name) !== undefined) continue
    const live = await client.find(type, namespace, name)
    const owner = live === undefined ? undefined : controllerOf(live)
    if (live === undefined || (owner !== undefined && owner.uid === uid)) continue
    const what = `${type.kind} ${name}`
    const isLeftBehind = owner?.kind === kind && owner.name === name
    const message = isLeftBehind
      ? `${what} is what an earlier ModelDeployment of this name left behind; it is being deleted.`
      : `${what} exists and belongs to someone else; it is left alone. Delete it, or give this ModelDeployment another name.`
    return { reason: 'NameConflict', message, passing: isLeftBehind }
  }
  return undefined
}

/** A Gateway of the spec that does not exist. Those that have taken the route are not looked up. */
const missingGateway = async (
  client: KubeClient,
  { metadata: { namespace = '' }, spec }: ModelDeployment,
  at: readonly RouteAtGateway[],
): Promise<NonNullable<Observed['refusal']> | undefined> => {
  for (const [index, parent] of (spec.traffic.gateway?.parentRefs ?? []).entries()) {
    if (at.some((each) => each.isCurrent && isSame(each.parent, parent))) continue
    if (await exists(client, parent, namespace)) continue
    return gatewayMissing(index, parent, namespace)
  }
  return undefined
}

const exists = async (client: KubeClient, { name, namespace }: ParentReference, own: string): Promise<boolean> => {
  try {
    return (await client.find(gateways, namespace ?? own, name)) !== undefined
  } catch (error) {
    // An operator of single namespaces may not look into that of the Gateway: then its controller has to say it.
    if (isForbidden(error)) return true
    throw error
  }
}

const isSame = (a: ParentReference, b: ParentReference): boolean =>
  a.name === b.name && a.namespace === b.namespace && a.sectionName === b.sectionName && a.port === b.port
