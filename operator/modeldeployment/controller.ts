// The ModelDeployment controller put together: which caches it keeps, and whose change concerns whom.
import type { Registry } from 'prom-client'
import type { ModelRevision } from '../api/modelrevision.ts'
import { steadyClock } from '../controller/clock.ts'
import { Consistency } from '../controller/consistency.ts'
import { Controller } from '../controller/controller.ts'
import type { Follower } from '../controller/manager.ts'
import { Applier } from '../kube/apply.ts'
import type { KubeClient } from '../kube/client.ts'
import type { EventRecorder } from '../kube/events.ts'
import { keyFor } from '../kube/key.ts'
import { Reflector } from '../kube/reflector.ts'
import {
  deployments,
  endpointslices,
  jobs,
  services,
  type EndpointSlice,
  type ResourceType,
} from '../kube/resources.ts'
import { Store } from '../kube/store.ts'
import type { KubeObject } from '../kube/types.ts'
import type { Logger } from '../telemetry/log.ts'
import { labelKeys, managedSelector } from './names.ts'
import { childIndexes, type Caches } from './observe.ts'
import { reconcile } from './reconcile.ts'
import { modelDeployments, modelRevisions } from './resources.ts'

export interface ModelDeploymentControllerOptions {
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly log: Logger
  readonly registry: Registry
  readonly releaseImage: string
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[]
  readonly workers: number
  /** How old a cache's last list may become, in milliseconds. */
  readonly relistMs: number
}

/** The controller, and the caches that have to be filled before it may work. */
export const modelDeploymentController = (
  options: ModelDeploymentControllerOptions,
): { readonly controller: Controller; readonly followers: readonly Follower[] } => {
  const { client, events, log, registry, releaseImage, workers, relistMs } = options
  const caches: Caches = {
    modelDeployments: new Store(),
    modelRevisions: new Store<ModelRevision>(childIndexes),
    deployments: new Store(childIndexes),
    jobs: new Store(childIndexes),
    services: new Store(childIndexes),
    endpointSlices: new Store<EndpointSlice>(childIndexes),
  }
  const consistency = new Consistency()
  consistency.track(modelDeployments, caches.modelDeployments)
  consistency.track(modelRevisions, caches.modelRevisions)
  consistency.track(deployments, caches.deployments)
  consistency.track(jobs, caches.jobs)
  consistency.track(services, caches.services)
  const onWritten = (type: ResourceType, written: KubeObject): void => {
    const owner = ownerKeyOf(written)
    if (owner !== undefined) consistency.record(owner, type, written.metadata.resourceVersion)
  }
  const refusedWrites = new Map<string, string>()
  const clock = steadyClock()
  const applier = new Applier({ client, log, onWritten })
  const controller = new Controller({
    name: 'modeldeployment',
    log,
    registry,
    consistency,
    maxConcurrentReconciles: workers,
    reconcile: (key, { log: keyLog, signal }) =>
      reconcile(
        { client, events, applier, caches, consistency, refusedWrites, releaseImage, log: keyLog, clock },
        key,
        signal,
      ),
  })
  controller.for(caches.modelDeployments)
  const followers = (options.namespaces.length === 0 ? [undefined] : options.namespaces).flatMap((namespace) => {
    const follow = <T extends KubeObject>(type: ResourceType<T>, store: Store<T>, labelSelector?: string): Follower =>
      new Reflector({ client, type, store, namespace, labelSelector, log, registry, relistMs })
    return [
      follow(modelDeployments, caches.modelDeployments),
      follow(modelRevisions, caches.modelRevisions, managedSelector),
      follow(deployments, caches.deployments, managedSelector),
      follow(jobs, caches.jobs, managedSelector),
      follow(services, caches.services, managedSelector),
      follow(endpointslices, caches.endpointSlices, managedSelector),
    ]
  })
  controller.watch(caches.modelRevisions, ownerKeyOf)
  controller.watch(caches.deployments, ownerKeyOf)
  controller.watch(caches.jobs, ownerKeyOf)
  controller.watch(caches.services, ownerKeyOf)
  controller.watch(caches.endpointSlices, ownerKeyOf)
  return { controller, followers }
}

/** The ModelDeployment that a child belongs to, by its label. */
const ownerKeyOf = (child: KubeObject): string | undefined => {
  const owner = child.metadata.labels?.[labelKeys.modelDeployment]
  return owner === undefined ? undefined : keyFor(child.metadata.namespace, owner)
}
