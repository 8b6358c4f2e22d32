// What to do about one ModelDeployment, decided from what was seen. Pure: no I/O, no clock.
// Either the status changes, or the children do, never both: the persisted status is the write-ahead log.
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { parseDuration } from '../api/duration.ts'
import type { Observed } from '../rollout/observed.ts'
import type { Rollout, Transition } from '../rollout/decision.ts'
import { podViolationsOf, violationsOf, type Violation } from '../rollout/invariants.ts'
import { next, suspended } from '../rollout/next.ts'
import { hasTraffic } from '../rollout/direct.ts'
import { mayRemove, wantedPods } from '../rollout/wanted.ts'
import { isAcknowledged } from '../rollout/traffic.ts'
import {
  directService,
  disruptionBudget,
  modelRevision,
  resolveJob,
  revisionDeployment,
  revisionService,
  routedService,
  type ResolvedModel,
} from './desired/children.ts'
import { gatewayService, grpcRoute, httpRoute, reachableWeights } from './desired/routes.ts'
import { gatewayServiceName, newestFirst, resolveJobName } from './names.ts'
import { isAtGateway, isRouted, type Routing } from './routing.ts'
import { statusOf } from './status.ts'

/** Everything that observe.ts gathered about one ModelDeployment: plain data. */
export interface Seen {
  readonly deployment: ModelDeployment
  readonly observed: Observed
  /** Where the Service points, and what routers have to do with it. */
  readonly routing: Routing
  readonly revisions: readonly ModelRevision[]
  /** What the candidate's resolve Job read, when it has. */
  readonly resolved?: ResolvedModel
  /** Children of ours that exist, by name. */
  readonly deployments: readonly string[]
  /** Those of revisions, through which routers find the pods. */
  readonly services: readonly string[]
  /** Revisions that have a Service for routes. */
  readonly gatewayServices: readonly string[]
  readonly jobs: readonly { readonly name: string; readonly revision: string; readonly finished: boolean }[]
  /** The image that a new revision runs: the spec's, or this release's. */
  readonly runtimeImage: string
}

export type Child =
  | ReturnType<typeof resolveJob>
  | ReturnType<typeof revisionDeployment>
  | ReturnType<typeof directService>
  | ReturnType<typeof routedService>
  | ReturnType<typeof revisionService>
  | ReturnType<typeof disruptionBudget>
  | ReturnType<typeof gatewayService>
  | ReturnType<typeof httpRoute>
  | ReturnType<typeof grpcRoute>
  | ModelRevision

/** A child to bring about, or one to take away. `why` goes to the log in these words. */
export type Action =
  | { readonly do: 'apply'; readonly object: Child; readonly why: string }
  | {
      readonly do: 'delete'
      readonly kind: 'Deployment' | 'Job' | 'ModelRevision' | 'Service' | 'HTTPRoute' | 'GRPCRoute'
      readonly name: string
      readonly why: string
    }

export interface Plan {
  readonly status: ModelDeploymentStatus
  readonly transitions: readonly Transition[]
  readonly actions: readonly Action[]
  /** What must never be, and would be a bug; it stops nothing. */
  readonly violations: readonly Violation[]
  /** When to look again though nothing happens, in milliseconds since the epoch. */
  readonly wakeAt?: number
}

/** How much longer than the candidate's deadline its Job may run, in seconds. */
const jobGraceSeconds = 300

/** @param now milliseconds since the epoch */
export const plan = (seen: Seen, now: number): Plan => {
  const { deployment, observed, routing } = seen
  const persisted = rolloutOf(deployment.status)
  if (deployment.spec.suspend) {
    const status = statusOf(deployment, suspended(persisted), observed, routing, now)
    return { status, transitions: [], actions: [], violations: [] }
  }
  const { spec } = deployment
  const after = next(spec, persisted, observed, now)
  const { rollout, transitions, wakeAt } = after
  const removed = seen.deployments.filter((name) => mayRemove(spec, persisted, observed, name))
  return {
    status: statusOf(deployment, rollout, observed, routing, now),
    transitions,
    actions: [...wanted(seen, persisted), ...unwanted(seen, persisted)],
    violations: [
      ...violationsOf({ spec, before: persisted, seen: observed, after, now }),
      ...podViolationsOf(spec, persisted, observed, wantedPods(spec, persisted, observed), removed),
    ],
    ...earliest(wakeAt, routing.leavesAt, routing.routes?.settlesAt),
  }
}

const earliest = (...instants: (number | undefined)[]): { readonly wakeAt?: number } => {
  const known = instants.filter((instant) => instant !== undefined)
  return known.length === 0 ? {} : { wakeAt: Math.min(...known) }
}

const rolloutOf = (status: ModelDeploymentStatus | undefined): Rollout => ({
  ...(status?.stable && { stable: status.stable }),
  ...(status?.previous && { previous: status.previous }),
  ...(status?.candidate && { candidate: status.candidate }),
  ...(status?.rejected && { rejected: status.rejected }),
  ...(status?.history && { history: status.history }),
  ...(status?.traffic && { traffic: status.traffic }),
  ...(status?.rollouts !== undefined && { rollouts: status.rollouts }),
  ...(status?.lastCommand && { lastCommand: status.lastCommand }),
})

/** The children that the persisted status calls for. */
const wanted = (seen: Seen, rollout: Rollout): Action[] => {
  const { candidate } = rollout
  const actions: Action[] = []
  if (candidate?.state === 'Pending' && seen.observed.refusal === undefined) actions.push(...resolving(seen, candidate))
  for (const { revision: name, replicas, stamp } of wantedPods(seen.deployment.spec, rollout, seen.observed)) {
    const revision = seen.revisions.find((r) => r.metadata.name === name)
    // Without its record a revision's pods cannot be made again; those that run are left alone.
    if (revision === undefined) continue
    const object = revisionDeployment(seen.deployment, name, revision.spec.podTemplate, replicas, stamp)
    actions.push({ do: 'apply', object, why: `${name} needs ${replicas} pods` })
    if (seen.routing.port !== undefined)
      actions.push({
        do: 'apply',
        object: revisionService(seen.deployment, name),
        why: `routers find the pods of ${name} by it`,
      })
    if (isAtGateway(seen.deployment))
      actions.push({
        do: 'apply',
        object: gatewayService(seen.deployment, name),
        why: `routes find the pods of ${name} by it`,
      })
  }
  const address = addressOf(seen, rollout)
  return [...actions, ...(address === undefined ? [] : [address]), ...routesOf(seen, rollout), ...budget(seen, rollout)]
}

const addressOf = (seen: Seen, rollout: Rollout): Action | undefined => {
  if (isRouted(seen.deployment)) return routedAddress(seen, rollout)
  return isAtGateway(seen.deployment) ? besideGateway(seen, rollout) : directAddress(seen, rollout)
}

/** Guards the revision that most users are on. The last of its pods can only go with its node, so one alone has no guard. */
const budget = ({ deployment, revisions }: Seen, { stable, traffic }: Rollout): Action[] => {
  const most = traffic?.weights.toSorted((a, b) => b.weight - a.weight)[0]?.revision
  const isShared = isRouted(deployment) || isAtGateway(deployment)
  const revision = isShared ? (most ?? stable?.revision) : stable?.revision
  if (deployment.spec.replicas < 2 || !revisions.some((r) => r.metadata.name === revision) || revision === undefined)
    return []
  const object = disruptionBudget(deployment, revision)
  return [{ do: 'apply', object, why: `a drained node takes one pod of ${revision} at a time` }]
}

/**
 * The Service on the routers. One that sends users to pods moves only when every router answers for the object, so that
 * nobody is sent to one that does not know it yet; until then it stays where it is.
 */
const routedAddress = ({ deployment, observed, routing }: Seen, { traffic, stable }: Rollout): Action | undefined => {
  const { destination } = routing
  const port = traffic?.port
  // Whoever is answered now must not be sent to a router that knows its setting and sees none of the pods yet.
  const answered = (observed.pods.find(({ revision }) => revision === stable?.revision)?.ready ?? 0) > 0
  // A route that is to go when the Service has moved is not waited for.
  const routers = (observed.routers ?? []).filter(({ isRoute }) => isRoute !== true)
  const reached = !answered || routers.every(({ reaches }) => reaches !== 0)
  const isKnown = isAcknowledged({ ...observed, routers }, traffic)
  if (port !== undefined && (destination.kind !== 'Pods' || (isKnown && reached)))
    return { do: 'apply', object: routedService(deployment, port), why: `users come to the routers, port ${port}` }
  if (destination.kind !== 'Pods' || stable === undefined) return undefined
  const why = `users get ${stable.revision} until the routers answer`
  return { do: 'apply', object: directService(deployment, stable.revision), why }
}

/** The Service on the pods of one revision. */
const directAddress = (seen: Seen, { candidate, stable }: Rollout): Action | undefined => {
  const { observed } = seen
  const goes = candidate?.state === 'Promoting' && (observed.refusal === undefined || hasTraffic(observed, candidate))
  const serving = goes ? candidate : stable
  if (serving === undefined) return undefined
  return {
    do: 'apply',
    object: directService(seen.deployment, serving.revision),
    why: `users get ${serving.revision}`,
  }
}

/** In mode Gateway the Service is for whoever comes past it: to stable, and to a first version that everybody is sent to. */
const besideGateway = ({ deployment }: Seen, { stable, traffic }: Rollout): Action | undefined => {
  const serving = stable?.revision ?? traffic?.weights[0]?.revision
  if (serving === undefined) return undefined
  const why = `whoever does not come through the Gateway gets ${serving}`
  return { do: 'apply', object: directService(deployment, serving), why }
}

/**
 * The routes with the shares of the persisted setting. The GRPCRoute comes when the HTTPRoute has been taken: of two
 * with the same host names a Gateway that takes only one takes the older.
 */
const routesOf = ({ deployment, observed, routing }: Seen, { traffic, stable }: Rollout): Action[] => {
  const { routes } = routing
  if (!isAtGateway(deployment) || routes === undefined || traffic === undefined || traffic.weights.length === 0)
    return []
  const { refusal, service } = observed
  if (refusal?.reason === 'GatewayApiMissing' || refusal?.reason === 'NameConflict') return []
  const weights = reachableWeights(traffic.weights, stable?.revision, service.readyEndpoints)
  const why = `the Gateway is to apply epoch ${traffic.epoch}`
  const http: Action = { do: 'apply', object: httpRoute(deployment, traffic, weights), why }
  const isSecond = routes.exist.includes('HTTPRoute') && (routes.hasHttpSettled || routes.exist.includes('GRPCRoute'))
  return isSecond ? [http, { do: 'apply', object: grpcRoute(deployment, traffic, weights), why }] : [http]
}

/** Routes that are to go: of an object that has left its Gateways, and of one that nobody is to be sent to. */
const leftRoutes = ({ deployment, observed, routing }: Seen, { traffic }: Rollout): Action[] => {
  const exist = routing.routes?.exist ?? []
  const remove = (kind: (typeof exist)[number], why: string): Action => ({
    do: 'delete',
    kind,
    name: deployment.metadata.name,
    why,
  })
  if (isAtGateway(deployment)) {
    if (traffic === undefined || traffic.weights.length === 0)
      return exist.map((kind) => remove(kind, 'nobody is to be sent anywhere'))
    return exist.includes('GRPCRoute') && !exist.includes('HTTPRoute')
      ? [remove('GRPCRoute', 'the HTTPRoute has to be the older of the two')]
      : []
  }
  const { destination, readyRouters } = routing
  const answers = Object.values(observed.service.readyEndpoints).some((count) => count > 0)
  const isServed = isRouted(deployment)
    ? destination.kind === 'Routers' && readyRouters > 0
    : destination.kind === 'Pods' && (answers || deployment.spec.replicas === 0)
  return isServed ? exist.map((kind) => remove(kind, `traffic.mode is ${deployment.spec.traffic.mode} now`)) : []
}

const resolving = (seen: Seen, candidate: NonNullable<Rollout['candidate']>): Action[] => {
  const { deployment, observed, resolved } = seen
  if (seen.revisions.some((r) => r.metadata.name === candidate.revision)) return []
  if (resolved !== undefined) {
    return [
      {
        do: 'apply',
        object: modelRevision(deployment, resolved),
        why: `${candidate.revision} is resolved to ${resolved.digest}`,
      },
    ]
  }
  // A failed attempt keeps its Job; the next attempt has another name and starts when its time has come.
  if (observed.resolution.kind === 'Failed' || candidate.retryAt !== undefined || observed.trouble?.fatal === true)
    return []
  // Ours comes first and says why; the Job's own deadline only ends a Job that no operator looks after any more.
  const deadlineSeconds = Math.ceil(parseDuration(deployment.spec.rollout.deadlines.provision) / 1000) + jobGraceSeconds
  const job = resolveJob(deployment, candidate.revision, candidate.attempt, seen.runtimeImage, deadlineSeconds)
  return [{ do: 'apply', object: job, why: `${candidate.revision} must be fetched and read` }]
}

/** Children that nothing refers to any more. The Service is looked at first: what it selects is never taken away. */
const unwanted = (seen: Seen, rollout: Rollout): Action[] => {
  const { candidate, stable, previous } = rollout
  const referred = new Set([stable, previous, candidate].flatMap((r) => r?.revision ?? []))
  // What the spec asks for is in use too, though it may not be the candidate yet.
  const { target } = seen.observed
  const needed = new Set([...referred, ...(target.kind === 'Revision' ? [target.revision] : [])])
  const selected = seen.observed.service.revision
  const { spec } = seen.deployment
  const gone = (name: string): boolean => mayRemove(spec, rollout, seen.observed, name) && isForgotten(seen, rollout)
  const deployments = seen.deployments
    .filter(gone)
    .map((name): Action => ({ do: 'delete', kind: 'Deployment', name, why: `${name} serves nobody any more` }))
  const services = seen.services
    .filter((name) => seen.routing.port === undefined || (!seen.deployments.includes(name) && gone(name)))
    .map((name): Action => ({ do: 'delete', kind: 'Service', name, why: `no router looks for ${name} any more` }))
  const isLeft = !isAtGateway(seen.deployment) && seen.routing.routes?.mayBeUsed !== true
  const ofRoutes = seen.gatewayServices
    .filter((name) => isLeft || (!seen.deployments.includes(name) && gone(name)))
    .map((name): Action => ({
      do: 'delete',
      kind: 'Service',
      name: gatewayServiceName(name),
      why: `no route names ${name} any more`,
    }))
  const job = candidate?.state === 'Pending' ? resolveJobName(candidate.revision, candidate.attempt) : undefined
  // The Job of a revision that is resolved has ended, though its controller may not have said so yet: it stays for its log.
  const resolved = new Set(seen.revisions.map((r) => r.metadata.name))
  // So do those that tell of a failure. One of a candidate that was dropped goes, ended or not: the same revision may
  // come again, and count its attempts from 1.
  const told = new Set([...referred, ...(rollout.rejected ?? []).map((r) => r.revision)])
  const jobs = seen.jobs
    .filter(
      ({ name, revision, finished }) => name !== job && !resolved.has(revision) && !(finished && told.has(revision)),
    )
    .map(({ name }): Action => ({ do: 'delete', kind: 'Job', name, why: `nobody waits for ${name} any more` }))
  const limit = spec.revisionHistoryLimit
  const revisions = newestFirst(seen.revisions)
    .filter((r) => !needed.has(r.metadata.name) && r.metadata.name !== selected)
    .slice(limit)
    .map(({ metadata: { name } }): Action => ({
      do: 'delete',
      kind: 'ModelRevision',
      name,
      why: `spec.revisionHistoryLimit keeps ${limit}`,
    }))
  return [...leftRoutes(seen, rollout), ...deployments, ...services, ...ofRoutes, ...jobs, ...revisions]
}

/**
 * An object that leaves the routers may still be known to them: its pods stay until all say that they send nothing there.
 * One that leaves a Gateway keeps them until its routes are gone, and for a while after.
 */
const isForgotten = ({ deployment, routing, observed }: Seen, { traffic }: Rollout): boolean => {
  if (isRouted(deployment) || isAtGateway(deployment)) return true
  return routing.routes?.mayBeUsed !== true && (routing.port === undefined || isAcknowledged(observed, traffic))
}
