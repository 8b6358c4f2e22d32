// Why a spec must not go forward at all: what this release cannot do, names and ports that are taken, quotas without room.
// It reads only what the caches do not know, and only where something is under way.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import type { KubeClient } from '../kube/client.ts'
import {
  deployments,
  jobs,
  resourcequotas,
  services,
  type Deployment,
  type Job,
  type ResourceType,
  type Service,
} from '../kube/resources.ts'
import type { KubeObject } from '../kube/types.ts'
import { rejectionOf } from '../rollout/decision.ts'
import type { Observed, Target } from '../rollout/observed.ts'
import { stopsStableFirst } from '../rollout/steps.ts'
import { quotaShortage } from './capacity/quota.ts'
import { gatewayServiceName, resolveJobName } from './names.ts'
import { notImplemented } from './notimplemented.ts'
import type { Sources } from './observe.ts'
import { isOwned } from './owned.ts'
import { modelRevisions } from './resources.ts'
import type { RouterSight } from './routersight.ts'
import { isAtGateway, isRouted } from './routing.ts'

interface Children {
  readonly ownServices: readonly Service[]
  readonly workloads: readonly Deployment[]
  readonly ownJobs: readonly Job[]
  readonly revisions: readonly ModelRevision[]
}

/** Why this spec must not go forward at all, if it must not. */
export const refusalOf = async (
  { client }: Pick<Sources, 'client'>,
  deployment: ModelDeployment,
  target: Target,
  { routing }: RouterSight,
  atGateway: Observed['refusal'],
  children: Children,
): Promise<Observed['refusal']> => {
  const unsupported = notImplemented(deployment.spec)
  if (unsupported !== undefined) return { reason: 'NotImplemented', message: unsupported }
  if (deployment.spec.traffic.mode === 'Router' && routing.port === undefined) {
    const message = `Every port of the routers of namespace ${deployment.metadata.namespace ?? ''} is taken. Use another namespace, or traffic.mode Direct.`
    return { reason: 'NoPortLeft', message }
  }
  if (atGateway !== undefined) return atGateway
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
  const takesFromStable = spec.rollout.capacity !== 'Surge' || stopsStableFirst(spec)
  if (target.kind !== 'Revision' || spec.suspend || takesFromStable) return undefined
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
  const forRoutes = gatewayServiceName(target.revision)
  const hasServiceForRoutes = children.ownServices.some((s) => s.metadata.name === forRoutes)
  const needed: readonly (readonly [ResourceType, string, boolean])[] = [
    [services, name, service !== undefined],
    ...(isRouted(deployment) ? [[services, target.revision, hasOwnService] as const] : []),
    ...(isAtGateway(deployment) ? [[services, forRoutes, hasServiceForRoutes] as const] : []),
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

/** Garbage collection deletes it: it belongs to an object of our name that is gone. */
const isLeftBehind = (child: KubeObject, { kind, metadata }: ModelDeployment): boolean =>
  child.metadata.ownerReferences?.some((o) => o.controller === true && o.kind === kind && o.name === metadata.name) ??
  false
