// Carries out a plan's actions: what differs is applied, what nobody needs is deleted. It decides nothing.
// Before the first write the object is read live; a plan made from an older state is dropped, not carried out.
import type { KubeClient } from '../kube/client.ts'
import type { Applier } from '../kube/apply.ts'
import { firstDifference, withIntent } from '../kube/drift.ts'
import { isNotFound } from '../kube/errors.ts'
import { deployments, jobs, poddisruptionbudgets, services, type ResourceType } from '../kube/resources.ts'
import type { Store } from '../kube/store.ts'
import type { KubeObject } from '../kube/types.ts'
import type { Logger } from '../telemetry/log.ts'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import { labelKeys } from './names.ts'
import type { Caches } from './observe.ts'
import type { Action } from './plan.ts'
import { grpcRoutes, httpRoutes, modelDeployments, modelRevisions } from './resources.ts'

/** The plan was made from a state that is no longer the latest; the key is looked at again. */
export class OutdatedError extends Error {
  override readonly name = 'OutdatedError'
}

export interface Hands {
  readonly client: KubeClient
  readonly applier: Applier
  readonly caches: Caches
  readonly log: Logger
}

/**
 * Carries out the actions that are not done yet, in order.
 *
 * @returns how many writes were made; zero once converged
 * @throws OutdatedError, NameConflictError, StatusError, ConnectionError; done again from the start, the rest follows
 */
export const act = async (
  hands: Hands,
  planned: ModelDeployment,
  actions: readonly Action[],
  signal: AbortSignal,
): Promise<number> => {
  const due = actions.filter((action) => isDue(hands.caches, planned, action))
  if (due.length === 0) return 0
  const { namespace, name, resourceVersion } = planned.metadata
  const live = await hands.client.find(modelDeployments, namespace, name, { signal })
  if (live?.metadata.resourceVersion !== resourceVersion) {
    throw new OutdatedError(`${namespace ?? ''}/${name} has changed or gone since it was planned`)
  }
  for (const action of due) {
    if (action.do === 'apply') await applyChild(hands, action, signal)
    else await deleteChild(hands, planned, action, signal)
  }
  return due.length
}

const isDue = (caches: Caches, { metadata: { namespace } }: ModelDeployment, action: Action): boolean => {
  if (action.do === 'delete') return true
  const { object } = action
  const live: KubeObject | undefined = storeOf(caches, object.kind).store.get(namespace, object.metadata.name)
  if (live === undefined) return true
  // These two never change once they are made; another release may render them otherwise.
  if (object.kind === 'Job' || object.kind === 'ModelRevision') return false
  return firstDifference(withIntent(object), live) !== undefined
}

const applyChild = async (
  { applier, caches }: Hands,
  action: Extract<Action, { do: 'apply' }>,
  signal: AbortSignal,
): Promise<void> => {
  const { object, why } = action
  const { type, store } = storeOf(caches, object.kind)
  // Only over the Deployment that was planned with: "scale up to 1" is a scale-down where a new leader has 2 by now.
  const fenced = object.kind === 'Deployment'
  await applier.applyIfDifferent(type, store, object, { why, signal, fenced })
}

/** Deletes exactly the object that was planned with; never pods that the Service selects by now. */
const deleteChild = async (
  hands: Hands,
  planned: ModelDeployment,
  action: Extract<Action, { do: 'delete' }>,
  signal: AbortSignal,
): Promise<void> => {
  const { client, caches, log } = hands
  const { namespace, name } = planned.metadata
  const { type, store } = storeOf(caches, action.kind)
  const child = store.get(namespace, action.name)
  if (child === undefined) return
  if (action.kind === 'Deployment') {
    const service = await client.find(services, namespace, name, { signal })
    if (service?.spec?.selector?.[labelKeys.revision] === action.name) {
      throw new OutdatedError(`the Service selects ${action.name}, which was to be deleted`)
    }
  }
  const { uid, resourceVersion } = child.metadata
  try {
    await client.delete(type, namespace, action.name, { uid, resourceVersion, signal })
    log.info(`deleted ${action.kind} ${namespace ?? ''}/${action.name}`, { why: action.why })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}

interface Kept {
  readonly type: ResourceType
  readonly store: Store<KubeObject>
}

const storeOf = (caches: Caches, kind: string): Kept => {
  switch (kind) {
    case 'Deployment':
      return { type: deployments, store: caches.deployments }
    case 'Job':
      return { type: jobs, store: caches.jobs }
    case 'Service':
      return { type: services, store: caches.services }
    case 'PodDisruptionBudget':
      return { type: poddisruptionbudgets, store: caches.disruptionBudgets }
    case 'HTTPRoute':
      return { type: httpRoutes, store: caches.httpRoutes }
    case 'GRPCRoute':
      return { type: grpcRoutes, store: caches.grpcRoutes }
    case 'ModelRevision':
      return { type: modelRevisions, store: caches.modelRevisions as unknown as Store<KubeObject> }
    default:
      throw new TypeError(`Slipway makes no ${kind}`)
  }
}
