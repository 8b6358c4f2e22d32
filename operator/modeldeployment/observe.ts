// Everything that plan.ts may know about one ModelDeployment, gathered from caches and a few live reads.
// It changes nothing: the one write-shaped call is a dry run, which the API server stores nowhere.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { revisionHash } from '../api/identity.ts'
import type { KubeClient } from '../kube/client.ts'
import { keyFor } from '../kube/key.ts'
import type { Deployment, EndpointSlice, Job, PodDisruptionBudget, Service } from '../kube/resources.ts'
import { byNamespacedLabel, type Store } from '../kube/store.ts'
import type { KubeObject } from '../kube/types.ts'
import type { Observed, PodCount, RevisionFacts, Trouble } from '../rollout/observed.ts'
import { byService } from '../routers/routers.ts'
import type { CapacityLook } from './capacity/look.ts'
import { commandOf } from './command.ts'
import { observeRoutes, type GatewaySources, type RouteSight } from './gateway/sight.ts'
import { gatewayServiceName, labelKeys, newestFirst, rolloutAnnotation } from './names.ts'
import { isOwned } from './owned.ts'
import type { Seen } from './plan.ts'
import { troubleOfRevision } from './podtrouble.ts'
import { refusalOf } from './refusals.ts'
import { isFinished } from './resolution.ts'
import { resolving } from './resolving.ts'
import type { Route } from './resources.ts'
import { observeRouting, type RouterSight, type RoutingSources } from './routersight.ts'
import { isAtGateway, isRouted } from './routing.ts'
import { targetOf } from './target.ts'
import { sharesSeen } from './traffic.ts'

/** Everything that facts are gathered from. */
export interface Sources
  extends Omit<RoutingSources, 'endpointSlices'>, Omit<GatewaySources, 'httpRoutes' | 'grpcRoutes'> {
  readonly caches: Caches
  readonly client: KubeClient
  readonly capacity: CapacityLook
  /** The runtime image that new revisions get when the spec names none. */
  readonly releaseImage: string
}

/** The caches that the reflectors keep; those of children are made with `childIndexes`. */
export interface Caches {
  readonly modelDeployments: Store<ModelDeployment>
  readonly modelRevisions: Store<ModelRevision>
  readonly deployments: Store<Deployment>
  readonly jobs: Store<Job>
  readonly services: Store<Service>
  readonly endpointSlices: Store<EndpointSlice>
  readonly disruptionBudgets: Store<PodDisruptionBudget>
  /** Empty where the cluster has no Gateway API. */
  readonly httpRoutes: Store<Route>
  readonly grpcRoutes: Store<Route>
}

/** The index of every child store, by `namespace/name` of the ModelDeployment. */
export const byOwner = 'owner'
export const childIndexes = { [byOwner]: byNamespacedLabel(labelKeys.modelDeployment) }

/** The facts about one object, or undefined when it is gone or going. */
export const observe = async (
  sources: Sources,
  key: string,
  now: number,
  /** Why the API server refused our last write for this object, if it did. */
  refusedWrite?: string,
): Promise<Seen | undefined> => {
  const { caches, client, capacity, releaseImage } = sources
  const deployment = caches.modelDeployments.getByKey(key)
  if (deployment === undefined || deployment.metadata.deletionTimestamp !== undefined) return undefined
  const revisions = owned(caches.modelRevisions, key, deployment)
  const workloads = owned(caches.deployments, key, deployment)
  const ownJobs = owned(caches.jobs, key, deployment)
  const ownServices = owned(caches.services, key, deployment)
  const service = ownServices.find((s) => s.metadata.name === deployment.metadata.name)
  const runtimeImage = deployment.spec.runtime?.image || releaseImage
  const target = targetOf(deployment, revisions)
  const ofRevisions = ownServices.filter(({ metadata }) => metadata.labels?.[labelKeys.revision] !== undefined)
  const undecided = [...workloads, ...ofRevisions].some(
    ({ metadata: { name, labels } }) => !isInRole(deployment, labels?.[labelKeys.revision] ?? name),
  )
  const ofRoutes = ofRevisions.filter(({ metadata }) => metadata.name === gatewayServiceName(revisionIn(metadata)))
  const sight = await observeRouting(
    { ...sources, endpointSlices: caches.endpointSlices },
    deployment,
    service,
    undecided,
    now,
  )
  const ready = readyEndpoints(caches, deployment, sight, workloads)
  const gateway = await observeRoutes(
    { ...sources, httpRoutes: caches.httpRoutes, grpcRoutes: caches.grpcRoutes },
    deployment,
    ready,
    ofRoutes.length > 0,
    now,
  )
  const refusal = await refusalOf(sources, deployment, target, sight, gateway.refusal, {
    ownServices,
    workloads,
    ownJobs,
    revisions,
  })
  const {
    resolution,
    resolved,
    trouble: resolveTrouble,
  } = await resolving(client, capacity, deployment, revisions, ownJobs, runtimeImage)
  const { candidate, stable } = deployment.status ?? {}
  const replacing = candidate === undefined || candidate.state === 'Pending' ? undefined : candidate.revision
  const refused: Trouble | undefined =
    refusedWrite === undefined ? undefined : { reason: 'WriteRefused', message: refusedWrite, fatal: false }
  const trouble =
    resolveTrouble ??
    (await troubleOfRevision(client, capacity, deployment, workloads, replacing)) ??
    refused ??
    routerTrouble(deployment, sight) ??
    routeTrouble(deployment, gateway.routes)
  const servingTrouble = (await troubleOfRevision(client, capacity, deployment, workloads, stable?.revision)) ?? refused
  const routed = isRouted(deployment)
  const routers = [...(sight.routers ?? []), ...gateway.facts]
  const shares = routed ? sharesSeen(deployment, sight.routing.measured) : undefined
  const command = commandOf(deployment)
  const observed: Observed = {
    target,
    specHash: revisionHash(deployment.spec),
    revisions: newestFirst(revisions).map(revisionFacts),
    resolution,
    pods: workloads.map(podCount),
    ...(trouble && { trouble }),
    ...(servingTrouble && { servingTrouble }),
    service: {
      ...(!routed &&
        service?.spec?.selector?.[labelKeys.revision] !== undefined && {
          revision: service.spec.selector[labelKeys.revision],
        }),
      readyEndpoints: ready,
    },
    ...((sight.routers !== undefined || routers.length > 0 || isAtGateway(deployment)) && { routers }),
    ...(sight.evidence && { evidence: sight.evidence }),
    ...(shares && { shares }),
    ...(command && { command }),
    ...(refusal && { refusal }),
  }
  return {
    deployment,
    observed,
    routing: {
      ...sight.routing,
      ...(isAtGateway(deployment) || gateway.routes.mayBeUsed ? { routes: gateway.routes } : {}),
    },
    revisions,
    ...(resolved && { resolved }),
    deployments: workloads.map((w) => w.metadata.name),
    services: ofRevisions.filter((s) => !ofRoutes.includes(s)).map(({ metadata }) => revisionIn(metadata)),
    gatewayServices: ofRoutes.map(({ metadata }) => revisionIn(metadata)),
    jobs: ownJobs.map((job) => ({
      name: job.metadata.name,
      revision: job.metadata.labels?.[labelKeys.revision] ?? '',
      finished: isFinished(job),
    })),
    runtimeImage,
  }
}

/** The revision that a child of ours is of, by its label. */
const revisionIn = ({ labels }: KubeObject['metadata']): string => labels?.[labelKeys.revision] ?? ''

const revisionFacts = ({ metadata, spec }: ModelRevision): RevisionFacts => ({
  name: metadata.name,
  hash: spec.hash,
  version: spec.model.version,
  digest: spec.model.digest,
  image: spec.runtime.image,
})

const podCount = (workload: Deployment): PodCount => ({
  revision: workload.metadata.name,
  total: workload.status?.replicas ?? 0,
  ready: workload.status?.readyReplicas ?? 0,
  current: (workload.status?.observedGeneration ?? 0) >= (workload.metadata.generation ?? 0),
  ...stampOf(workload),
})

const stampOf = ({ metadata }: Deployment): Pick<PodCount, 'stamp'> => {
  const stamp = metadata.annotations?.[rolloutAnnotation]
  return stamp === undefined ? {} : { stamp: Number(stamp) }
}

/** Whether the status gives the revision something to do. */
const isInRole = ({ status }: ModelDeployment, revision: string): boolean =>
  [status?.stable, status?.previous, status?.candidate].some((r) => r?.revision === revision)

const awaitsShares = ({ status }: ModelDeployment): boolean => {
  const { candidate } = status ?? {}
  return candidate?.substep === 'Shift' || candidate?.state === 'RollingBack' || candidate?.state === 'Superseding'
}

/** What keeps the candidate from its share, where it waits for its Gateways. */
const routeTrouble = (deployment: ModelDeployment, { objection }: RouteSight): Trouble | undefined =>
  awaitsShares(deployment) && objection !== undefined
    ? { reason: 'RouteNotAccepted', message: objection, fatal: false }
    : undefined

/** What keeps the candidate from its share, where it waits for the routers. */
const routerTrouble = (deployment: ModelDeployment, { routing }: RouterSight): Trouble | undefined => {
  return awaitsShares(deployment) && routing.problem !== undefined
    ? { reason: 'RoutersNotReady', message: routing.problem, fatal: false }
    : undefined
}

/**
 * Ready endpoints by revision: what users are really sent to, by kube-proxy from the Service, or by routers and Gateways
 * from the Services of the revisions.
 */
const readyEndpoints = (
  { endpointSlices }: Caches,
  deployment: ModelDeployment,
  { routing }: RouterSight,
  workloads: readonly Deployment[],
): Record<string, number> => {
  const { namespace, name } = deployment.metadata
  const revisions = workloads.map((w) => w.metadata.name)
  const listed = isAtGateway(deployment)
    ? revisions.map(gatewayServiceName)
    : routing.destination.kind === 'Routers'
      ? revisions
      : [name]
  const slices = listed.flatMap((service) => endpointSlices.byIndex(byService, keyFor(namespace, service)))
  const ready: Record<string, number> = {}
  for (const endpoint of slices.flatMap((slice) => slice.endpoints ?? [])) {
    const pod = endpoint.targetRef?.name
    const workload = workloads.find((w) => pod?.startsWith(`${w.metadata.name}-`))
    if (workload === undefined || endpoint.conditions?.ready === false) continue
    ready[workload.metadata.name] = (ready[workload.metadata.name] ?? 0) + 1
  }
  return ready
}

const owned = <T extends KubeObject>(store: Store<T>, key: string, owner: ModelDeployment): readonly T[] =>
  store.byIndex(byOwner, key).filter((child) => isOwned(child, owner) && child.metadata.deletionTimestamp === undefined)
