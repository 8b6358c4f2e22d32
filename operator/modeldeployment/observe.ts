// Everything that plan.ts may know about one ModelDeployment, gathered from caches and a few live reads.
// It changes nothing: the one write-shaped call is a dry run, which the API server stores nowhere.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { revisionHash } from '../api/identity.ts'
import { isInvalid } from '../kube/errors.ts'
import type { KubeClient } from '../kube/client.ts'
import {
  deployments,
  jobs,
  pods,
  resourcequotas,
  services,
  type Deployment,
  type EndpointSlice,
  type Job,
  type PodDisruptionBudget,
  type Service,
} from '../kube/resources.ts'
import type { ResourceType } from '../kube/resources.ts'
import type { KubeObject } from '../kube/types.ts'
import { byNamespacedLabel, type Store } from '../kube/store.ts'
import { isDirect, rejectionOf } from '../rollout/decision.ts'
import type { Observed, PodCount, RevisionFacts, Target, Trouble } from '../rollout/observed.ts'
import { commandOf } from './command.ts'
import type { CapacityLook } from './capacity/look.ts'
import { quotaShortage } from './capacity/quota.ts'
import { roomFor } from './capacity/room.ts'
import { revisionDeployment } from './desired/children.ts'
import { renderPodTemplate, reservedLabels } from './desired/podtemplate.ts'
import { labelKeys, newestFirst, resolveJobName, rolloutAnnotation } from './names.ts'
import { notImplemented } from './notimplemented.ts'
import type { Seen } from './plan.ts'
import { observeRouting, type RouterSight, type RoutingSources } from './routersight.ts'
import { byService } from '../routers/routers.ts'
import { keyFor } from '../kube/key.ts'
import { isRefused } from './refused.ts'
import { isFinished, resolutionOf } from './resolution.ts'
import { modelRevisions } from './resources.ts'
import { targetOf } from './target.ts'
import { sharesSeen } from './traffic.ts'
import { troubleOf, waitsForRoom, type PodView } from './trouble.ts'

/** Everything that facts are gathered from. */
export interface Sources extends Omit<RoutingSources, 'endpointSlices'> {
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
}

/** The index of every child store, by `namespace/name` of the ModelDeployment. */
export const byOwner = 'owner'
export const childIndexes = { [byOwner]: byNamespacedLabel(labelKeys.modelDeployment) }

/** How many pods are read to find out what is wrong. */
const podLimit = 20

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
  const undecided = [...workloads, ...ofRevisions].some(({ metadata: { name } }) => !isInRole(deployment, name))
  const sight = await observeRouting(
    { ...sources, endpointSlices: caches.endpointSlices },
    deployment,
    service,
    undecided,
    now,
  )
  const refusal = await refusalOf(sources, deployment, target, sight, { ownServices, workloads, ownJobs, revisions })
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
    routerTrouble(deployment, sight)
  const servingTrouble = (await troubleOfRevision(client, capacity, deployment, workloads, stable?.revision)) ?? refused
  const routed = !isDirect(deployment.spec)
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
      readyEndpoints: readyEndpoints(caches, deployment, sight, workloads),
    },
    ...(sight.routers && { routers: sight.routers }),
    ...(sight.evidence && { evidence: sight.evidence }),
    ...(shares && { shares }),
    ...(command && { command }),
    ...(refusal && { refusal }),
  }
  return {
    deployment,
    observed,
    routing: sight.routing,
    revisions,
    ...(resolved && { resolved }),
    deployments: workloads.map((w) => w.metadata.name),
    services: ownServices.flatMap((s) => s.metadata.labels?.[labelKeys.revision] ?? []),
    jobs: ownJobs.map((job) => ({
      name: job.metadata.name,
      revision: job.metadata.labels?.[labelKeys.revision] ?? '',
      finished: isFinished(job),
    })),
    runtimeImage,
  }
}

const revisionFacts = ({ metadata, spec }: ModelRevision): RevisionFacts => ({
  name: metadata.name,
  hash: spec.hash,
  version: spec.model.version,
  digest: spec.model.digest,
  image: spec.runtime.image,
})

/** The candidate's resolve Job, as far as it has come; before it starts, whether the API server would take the pods at all. */
const resolving = async (
  client: KubeClient,
  capacity: CapacityLook,
  deployment: ModelDeployment,
  revisions: readonly ModelRevision[],
  ownJobs: readonly Job[],
  image: string,
): Promise<Pick<Seen, 'resolved'> & { resolution: Observed['resolution']; trouble?: Trouble }> => {
  const candidate = deployment.status?.candidate
  const running = { resolution: { kind: 'Running' } } as const
  if (candidate?.state !== 'Pending' || revisions.some((r) => r.metadata.name === candidate.revision)) return running
  // The spec has moved on; the next status drops this candidate.
  if (candidate.hash !== revisionHash(deployment.spec)) return running
  const job = ownJobs.find((j) => j.metadata.name === resolveJobName(candidate.revision, candidate.attempt))
  if (job === undefined) {
    const trouble = await refusedTemplate(client, deployment, candidate.revision, image)
    return { ...running, ...(trouble && { trouble }) }
  }
  // By the Job's uid, not its name: pods of a deleted Job of this name may still be there, with another outcome.
  const jobPods = await readPods(client, deployment, `batch.kubernetes.io/controller-uid=${job.metadata.uid ?? ''}`)
  const stable = revisions.find((r) => r.metadata.name === deployment.status?.stable?.revision)
  const keep = deployment.spec.model.contract === 'Any' ? undefined : stable?.spec.contract
  const { revision, hash } = candidate
  const outcome = resolutionOf({ deployment, revision, hash, image, ...(keep && { keep }) }, jobView(job), jobPods)
  // A pod that has ended is no trouble but a result, as soon as the Job's controller says so: a verdict before that
  // would take the Job away as one that still runs, and its log with it.
  const atWork = jobPods.filter((pod) => pod.status?.phase !== 'Failed')
  const trouble =
    outcome.resolution.kind === 'Running' ? await numbered(troubleOf(atWork), atWork, capacity) : undefined
  return { ...outcome, ...(trouble && { trouble }) }
}

/** A dry run of the Deployment that this spec leads to: the API server's own validation, before any pod starts. */
const refusedTemplate = async (
  client: KubeClient,
  deployment: ModelDeployment,
  revision: string,
  image: string,
): Promise<Trouble | undefined> => {
  const reserved = reservedLabels(deployment)
  if (reserved.length > 0) {
    const message = `spec.podTemplate.metadata.labels sets ${reserved.join(', ')}, which Slipway sets itself. Remove ${reserved.length === 1 ? 'it' : 'them'}.`
    return { reason: 'InvalidPodTemplate', message, fatal: true }
  }
  const template = renderPodTemplate(deployment, {
    revision,
    version: 'dry-run',
    digest: `sha256:${'0'.repeat(64)}`,
    image,
  })
  try {
    await client.apply(deployments, revisionDeployment(deployment, revision, template, deployment.spec.replicas), {
      dryRun: true,
    })
    return undefined
  } catch (error) {
    if (!isRefused(error)) throw error
    return {
      reason: 'InvalidPodTemplate',
      message: `The API server refuses the pods that this spec describes: ${error.message}`,
      fatal: isInvalid(error),
    }
  }
}

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

/** What keeps the candidate from its share, where it waits for the routers. */
const routerTrouble = ({ status }: ModelDeployment, { routing }: RouterSight): Trouble | undefined => {
  const { candidate } = status ?? {}
  const waits =
    candidate?.substep === 'Shift' || candidate?.state === 'RollingBack' || candidate?.state === 'Superseding'
  return waits && routing.problem !== undefined
    ? { reason: 'RoutersNotReady', message: routing.problem, fatal: false }
    : undefined
}

/** Why this spec must not go forward at all, if it must not. */
const refusalOf = async (
  { client }: Sources,
  deployment: ModelDeployment,
  target: Target,
  { routing }: RouterSight,
  children: Children,
): Promise<Observed['refusal']> => {
  const unsupported = notImplemented(deployment.spec)
  if (unsupported !== undefined) return { reason: 'NotImplemented', message: unsupported }
  if (deployment.spec.traffic.mode === 'Router' && routing.port === undefined) {
    const message = `Every port of the routers of namespace ${deployment.metadata.namespace ?? ''} is taken. Use another namespace, or traffic.mode Direct.`
    return { reason: 'NoPortLeft', message }
  }
  const conflict = await nameConflict(client, deployment, target, children)
  if (conflict !== undefined) return { reason: 'NameConflict', ...conflict }
  const shortage = await shortageOf(client, deployment, target, children)
  return shortage === undefined ? undefined : { reason: 'InsufficientCapacity', message: shortage }
}

/**
 * Whether a quota leaves no room for the pods that are about to be made: none is made then, because the controller of
 * ReplicaSets waits the longer, the more often it was refused. Only asked before the first of them.
 */
const shortageOf = async (
  client: KubeClient,
  { metadata: { namespace }, spec, status = {} }: ModelDeployment,
  target: Target,
  { revisions, workloads }: Children,
): Promise<string | undefined> => {
  if (target.kind !== 'Revision' || spec.suspend || spec.rollout.capacity !== 'Surge') return undefined
  if (target.hash === status.stable?.hash || rejectionOf(status, target.hash, spec) !== undefined) return undefined
  const { candidate } = status
  if (candidate !== undefined && (candidate.revision !== target.revision || candidate.state !== 'Pending'))
    return undefined
  const revision = revisions.find(({ metadata }) => metadata.name === target.revision)
  if (revision === undefined) return undefined
  const there = workloads.find((w) => w.metadata.name === target.revision)?.status?.replicas ?? 0
  const { items } = await client.list(resourcequotas, { namespace })
  return quotaShortage(items, revision.spec.podTemplate.spec, spec.replicas - there)
}

/** What keeps the pods of one revision from being ready; pods are read only where some are not. */
const troubleOfRevision = async (
  client: KubeClient,
  capacity: CapacityLook,
  deployment: ModelDeployment,
  workloads: readonly Deployment[],
  name: string | undefined,
): Promise<Trouble | undefined> => {
  const workload = workloads.find((w) => w.metadata.name === name)
  const asked = Math.min(deployment.spec.replicas, workload?.spec?.replicas ?? deployment.spec.replicas)
  if (workload === undefined || podCount(workload).ready >= asked) return undefined
  const failure = workload.status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True')
  if (failure !== undefined)
    return {
      // The words are those of the quota: asked, used and limited.
      reason: failure.message?.includes('exceeded quota') === true ? 'InsufficientCapacity' : 'PodRefused',
      message: `Pods of ${workload.metadata.name} are refused: ${failure.message ?? 'no reason was given'}`,
      fatal: false,
    }
  const found = await readPods(client, deployment, `${labelKeys.revision}=${workload.metadata.name}`)
  return numbered(troubleOf(found), found, capacity)
}

/** A shortage with what is asked and what is free; the scheduler's own words where this operator may not look at nodes. */
const numbered = async (
  trouble: Trouble | undefined,
  found: readonly PodView[],
  capacity: CapacityLook,
): Promise<Trouble | undefined> => {
  if (trouble?.reason !== 'InsufficientCapacity') return trouble
  const waiting = found.filter(waitsForRoom)
  const [first] = waiting
  const occupancy = await capacity.now()
  if (occupancy === undefined || first?.spec === undefined) return trouble
  return { ...trouble, message: roomFor(first.spec, waiting.length, occupancy) }
}

const readPods = async (client: KubeClient, deployment: ModelDeployment, labelSelector: string): Promise<PodView[]> => {
  const page = await client.list(pods, { namespace: deployment.metadata.namespace, labelSelector, limit: podLimit })
  return page.items.map((pod) => pod as PodView)
}

/**
 * Ready endpoints by revision: what users are really sent to, by kube-proxy from the Service, or by routers from the
 * Services of the revisions.
 */
const readyEndpoints = (
  { endpointSlices }: Caches,
  { metadata: { namespace, name } }: ModelDeployment,
  { routing }: RouterSight,
  workloads: readonly Deployment[],
): Record<string, number> => {
  const listed = routing.destination.kind === 'Routers' ? workloads.map((w) => w.metadata.name) : [name]
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

interface Children {
  readonly ownServices: readonly Service[]
  readonly workloads: readonly Deployment[]
  readonly ownJobs: readonly Job[]
  readonly revisions: readonly ModelRevision[]
}

/**
 * Whether a name that this object needs next is taken by an object that is not its own. Only names that the caches
 * do not know are looked up, and only where something is under way: a settled object costs no call, whether it
 * serves, is rejected, or is held by a person.
 */
const nameConflict = async (
  client: KubeClient,
  deployment: ModelDeployment,
  target: Target,
  children: Children,
): Promise<{ readonly message: string; readonly passing: boolean } | undefined> => {
  const { spec, status = {} } = deployment
  const { candidate, stable } = status
  if (target.kind !== 'Revision' || spec.suspend) return undefined
  const waits =
    stable?.hash === target.hash || spec.rollout.paused || rejectionOf(status, target.hash, spec) !== undefined
  const goes = candidate !== undefined || !waits
  const service = children.ownServices.find((s) => s.metadata.name === deployment.metadata.name)
  if (!goes && (stable === undefined || service !== undefined)) return undefined
  const { name } = deployment.metadata
  const job = resolveJobName(target.revision, candidate?.attempt ?? 1)
  const isKept = children.revisions.some((r) => r.metadata.name === target.revision)
  const hasOwnService = children.ownServices.some((s) => s.metadata.name === target.revision)
  const needed: readonly (readonly [ResourceType, string, boolean])[] = [
    [services, name, service !== undefined],
    ...(spec.traffic.mode === 'Router' ? [[services, target.revision, hasOwnService] as const] : []),
    [deployments, target.revision, children.workloads.some((w) => w.metadata.name === target.revision)],
    [modelRevisions, target.revision, isKept],
    // What is resolved already needs no Job.
    [jobs, job, isKept || children.ownJobs.some((j) => j.metadata.name === job)],
  ]
  for (const [type, wanted, ours] of needed) {
    if (ours) continue
    const live = await client.find(type, deployment.metadata.namespace, wanted)
    if (live === undefined || isOwned(live, deployment)) continue
    const what = `${type.kind} ${wanted}`
    if (isLeftBehind(live, deployment)) {
      const message = `${what} is what an earlier ModelDeployment of this name left behind; it is being deleted.`
      return { message, passing: true }
    }
    const message = `${what} exists and belongs to someone else; it is left alone. Delete it, or give this ModelDeployment another name.`
    return { message, passing: false }
  }
  return undefined
}

const owned = <T extends KubeObject>(store: Store<T>, key: string, owner: ModelDeployment): readonly T[] =>
  store.byIndex(byOwner, key).filter((child) => isOwned(child, owner) && child.metadata.deletionTimestamp === undefined)

/** Garbage collection deletes it: it belongs to an object of our name that is gone. */
const isLeftBehind = (child: KubeObject, { kind, metadata }: ModelDeployment): boolean =>
  child.metadata.ownerReferences?.some((o) => o.controller === true && o.kind === kind && o.name === metadata.name) ??
  false

const isOwned = (child: KubeObject, owner: ModelDeployment): boolean =>
  child.metadata.ownerReferences?.some((o) => o.controller === true && o.uid === owner.metadata.uid) ?? false

const jobView = (job: Job) => job as Parameters<typeof resolutionOf>[1]
