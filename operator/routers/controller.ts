// The controller of routers: a namespace has them from its first ModelDeployment in mode Router to its last, and they
// stay until no Service sends anybody to them. It must never take routers away on the word of a cache alone.
import type { Registry } from 'prom-client'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import { Consistency } from '../controller/consistency.ts'
import { Controller, type Outcome } from '../controller/controller.ts'
import { Applier, NameConflictError } from '../kube/apply.ts'
import type { KubeClient } from '../kube/client.ts'
import { firstDifference, withIntent } from '../kube/drift.ts'
import { isForbidden, isInvalid, isNotFound } from '../kube/errors.ts'
import { keyFor, splitKey } from '../kube/key.ts'
import {
  deployments,
  networkpolicies,
  poddisruptionbudgets,
  rolebindings,
  roles,
  serviceaccounts,
  services,
  type Deployment,
  type ResourceType,
} from '../kube/resources.ts'
import type { Store } from '../kube/store.ts'
import type { Desired, KubeObject } from '../kube/types.ts'
import type { Logger } from '../telemetry/log.ts'
import { applyChildren, applyPolicies, type ChildCaches } from './children.ts'
import { isRouters, routerDeployment, routerName, type RouterRelease } from './desired.ts'

/** The index of ModelDeployments by namespace. */
export const byNamespace = 'namespace'
export const namespaceIndex = { [byNamespace]: ({ metadata }: KubeObject) => [metadata.namespace ?? ''] }

export interface RouterControllerOptions {
  readonly client: KubeClient
  readonly log: Logger
  readonly registry: Registry
  readonly release: RouterRelease
  readonly modelDeployments: ResourceType<ModelDeployment>
  readonly caches: ChildCaches & {
    /** Made with `namespaceIndex`. */
    readonly modelDeployments: Store<ModelDeployment>
    readonly deployments: Store<Deployment>
  }
  /** How often routers are looked at though nothing happened. */
  readonly resyncMs: number
  /** What stands in the way of a namespace's routers has changed. */
  readonly onProblem: (namespace: string, problem: RouterProblem | undefined) => void
}

/** What stands in the way of a namespace's routers, in a sentence. */
export interface RouterProblem {
  readonly kind: 'NameConflict' | 'WriteRefused'
  readonly message: string
}

/** While something stands in the way that no watch tells about. */
const lookAgainMs = 15_000

export const routerController = (options: RouterControllerOptions): Controller => {
  const { client, log, registry, caches } = options
  const consistency = new Consistency()
  consistency.track(deployments, caches.deployments)
  consistency.track(serviceaccounts, caches.serviceAccounts)
  consistency.track(roles, caches.roles)
  consistency.track(rolebindings, caches.roleBindings)
  consistency.track(services, caches.services)
  consistency.track(poddisruptionbudgets, caches.disruptionBudgets)
  consistency.track(networkpolicies, caches.networkPolicies)
  const applier = new Applier({
    client,
    log,
    onWritten: (type, { metadata }) => consistency.record(keyOf(metadata.namespace), type, metadata.resourceVersion),
  })
  const controller = new Controller({
    name: 'router',
    log,
    registry,
    consistency,
    maxConcurrentReconciles: 4,
    reconcile: (key, { log: keyLog, signal }) =>
      reconcile({ ...options, log: keyLog, applier, consistency }, splitKey(key).namespace ?? '', signal),
  })
  // Only what changes the need: every other change of every ModelDeployment would be a look at all of the routers.
  caches.modelDeployments.subscribe(({ type, object, old }) => {
    const now = type !== 'deleted' && needsRouters(object)
    if (now !== (old !== undefined && needsRouters(old))) controller.queue.add(keyOf(object.metadata.namespace))
  })
  const ofRouters = (object: KubeObject) =>
    object.metadata.name === routerName ? keyOf(object.metadata.namespace) : undefined
  controller.watch(caches.deployments, ofRouters)
  controller.watch(caches.serviceAccounts, ofRouters)
  controller.watch(caches.roles, ofRouters)
  controller.watch(caches.roleBindings, ofRouters)
  controller.watch(caches.services, ofRouters)
  controller.watch(caches.disruptionBudgets, ofRouters)
  controller.watch(caches.networkPolicies, ({ metadata: { namespace } }) => keyOf(namespace))
  return controller
}

const keyOf = (namespace: string | undefined): string => keyFor(namespace, routerName)

/** True while the object needs routers: it asks for them, or clients may still come to them for it. */
export const needsRouters = ({ metadata, spec, status }: ModelDeployment): boolean =>
  metadata.deletionTimestamp === undefined && (spec.traffic.mode === 'Router' || status?.traffic?.port !== undefined)

interface Context extends RouterControllerOptions {
  readonly applier: Applier
  readonly consistency: Consistency
}

/** One pass over the routers of one namespace. Safe to repeat at any time, and to cut off between any two lines. */
const reconcile = async (context: Context, namespace: string, signal: AbortSignal): Promise<Outcome> => {
  const { caches, onProblem } = context
  if (!caches.modelDeployments.byIndex(byNamespace, namespace).some(needsRouters)) {
    onProblem(namespace, undefined)
    return takeAway(context, namespace, signal)
  }
  try {
    const deployment = await applyDeployment(context, namespace, signal)
    if (deployment === undefined) {
      const message = `Deployment ${routerName} exists and was not made by Slipway; it is left alone, so there are no routers here. Delete it, or use traffic.mode Direct.`
      onProblem(namespace, { kind: 'NameConflict', message })
      return { requeueAfterMs: lookAgainMs }
    }
    const owner = { namespace, uid: deployment.metadata.uid ?? '' }
    await applyChildren(context.applier, caches, owner, signal)
    await applyPolicies(context, caches, owner, context.release.network, signal)
    onProblem(namespace, undefined)
  } catch (error) {
    if (isForbidden(error) && error.causes.some((cause) => cause.reason === 'NamespaceTerminating')) return undefined
    // What is invalid are settings of the routers that only the API server can judge.
    if (isForbidden(error) || isInvalid(error)) onProblem(namespace, { kind: 'WriteRefused', message: error.message })
    else if (error instanceof NameConflictError) onProblem(namespace, { kind: 'NameConflict', message: error.message })
    throw error
  }
  return { requeueAfterMs: context.resyncMs }
}

/**
 * The Deployment as this release makes it; undefined when the name is somebody else's. How many replicas it has is
 * ours to say only until an autoscaler or a person says otherwise: then the live number is repeated.
 */
const applyDeployment = async (
  context: Context,
  namespace: string,
  signal: AbortSignal,
): Promise<KubeObject | undefined> => {
  const { client, caches, release, consistency, log } = context
  const wanted = withIntent(routerDeployment(namespace, release))
  const cached = caches.deployments.get(namespace, routerName)
  if (
    cached !== undefined &&
    firstDifference(wanted, cached) === undefined &&
    cached.spec?.replicas === release.replicas
  )
    return cached
  // Live, because only there is told who set what.
  const live = await client.find(deployments, namespace, routerName, { signal })
  if (live === undefined) return create(context, namespace, withReplicas(wanted, release.replicas), signal)
  if (!isRouters(live)) return undefined
  const difference = firstDifference(wanted, live)
  const replicas = isSetByOthers(live) ? live.spec?.replicas : release.replicas
  if (difference === undefined && live.spec?.replicas === replicas) return live
  const { uid, resourceVersion } = live.metadata
  // With the version that was read: an autoscaler that decides in this moment wins, and this is done again.
  const metadata = {
    ...wanted.metadata,
    ...(uid !== undefined && { uid }),
    ...(resourceVersion !== undefined && { resourceVersion }),
  }
  const applied = await client.apply(deployments, { ...withReplicas(wanted, replicas), metadata }, { signal })
  log.info(`applied Deployment ${keyOf(namespace)}: ${difference ?? `${String(replicas)} replicas`}`)
  consistency.record(keyOf(namespace), deployments, applied.metadata.resourceVersion)
  return applied
}

/** Undefined when somebody made an object of this name in the same moment: our fields are taken off it again. */
const create = async (
  { client, consistency, log }: Context,
  namespace: string,
  wanted: Desired,
  signal: AbortSignal,
): Promise<KubeObject | undefined> => {
  const { object, created } = await client.applyObserved(deployments, wanted, { signal })
  if (!created) {
    const { apiVersion, kind } = wanted
    await client.apply(deployments, { apiVersion, kind, metadata: { name: routerName, namespace } }, { signal })
    return undefined
  }
  log.info(`created Deployment ${keyOf(namespace)}`, { why: 'a ModelDeployment asks for traffic.mode Router' })
  consistency.record(keyOf(namespace), deployments, object.metadata.resourceVersion)
  return object
}

const withReplicas = (wanted: Desired, replicas: number | undefined): Desired => ({
  ...wanted,
  spec: { ...(wanted.spec as object), ...(replicas !== undefined && { replicas }) },
})

interface ManagedFields {
  readonly manager?: string
  readonly fieldsV1?: { readonly 'f:spec'?: { readonly 'f:replicas'?: object } }
}

/** An autoscaler, kubectl scale or another manager owns spec.replicas. */
const isSetByOthers = ({ metadata }: KubeObject): boolean =>
  ((metadata.managedFields ?? []) as readonly ManagedFields[]).some(
    ({ manager, fieldsV1 }) => manager !== 'slipway' && fieldsV1?.['f:spec']?.['f:replicas'] !== undefined,
  )

/** Deletes the Deployment, and with it all that it owns, when the API server itself knows nobody who needs it. */
const takeAway = async (
  { client, caches, modelDeployments, log }: Context,
  namespace: string,
  signal: AbortSignal,
): Promise<Outcome> => {
  const deployment = caches.deployments.get(namespace, routerName)
  if (deployment === undefined || !isRouters(deployment)) return undefined
  if (deployment.metadata.deletionTimestamp !== undefined) return undefined
  const { items } = await client.list(modelDeployments, { namespace, signal })
  if (items.some(needsRouters)) return { requeueAfterMs: 1000 }
  const { uid, resourceVersion } = deployment.metadata
  try {
    await client.delete(deployments, namespace, routerName, { uid, resourceVersion, signal })
    log.info(`deleted Deployment ${keyOf(namespace)}`, { why: 'no ModelDeployment here needs routers any more' })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  return undefined
}
