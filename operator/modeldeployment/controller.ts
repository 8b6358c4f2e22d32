// The ModelDeployment controller put together: which caches it keeps, and whose change concerns whom.
import type { Registry } from 'prom-client'
import type { ModelRevision } from '../api/modelrevision.ts'
import { steadyClock } from '../controller/clock.ts'
import { Consistency } from '../controller/consistency.ts'
import { Controller } from '../controller/controller.ts'
import type { Follower, Watch } from '../controller/manager.ts'
import { Applier } from '../kube/apply.ts'
import type { KubeClient } from '../kube/client.ts'
import type { EventRecorder } from '../kube/events.ts'
import { keyFor, keyOf } from '../kube/key.ts'
import { OptionalFollowers } from '../kube/optional.ts'
import { Reflector } from '../kube/reflector.ts'
import {
  deployments,
  endpointslices,
  jobs,
  networkpolicies,
  poddisruptionbudgets,
  rolebindings,
  roles,
  serviceaccounts,
  services,
  type EndpointSlice,
  type NetworkPolicy,
  type ResourceType,
  type Role,
  type RoleBinding,
  type ServiceAccount,
} from '../kube/resources.ts'
import { Store } from '../kube/store.ts'
import type { KubeObject } from '../kube/types.ts'
import type { Logger } from '../telemetry/log.ts'
import { placesIn } from '../reach/places.ts'
import { ReachWatch } from '../reach/watch.ts'
import { Asker } from '../routers/ask.ts'
import {
  byNamespace,
  namespaceIndex,
  needsRouters,
  routerController as routersController,
  type RouterProblem,
} from '../routers/controller.ts'
import { routerName, type RouterRelease } from '../routers/desired.ts'
import { byService, Routers, serviceIndex } from '../routers/routers.ts'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import { CapacityLook } from './capacity/look.ts'
import { labelKeys, managedSelector } from './names.ts'
import { childIndexes, type Caches } from './observe.ts'
import { reconcile } from './reconcile.ts'
import { isAtGateway, isWatched } from './routing.ts'
import type { Awaited } from './patience.ts'
import { gatewayTypes, grpcRoutes, httpRoutes, modelDeployments, modelRevisions, type Route } from './resources.ts'
import type { Settling } from './gateway/settling.ts'
import { watchdog } from './violations.ts'

export interface ModelDeploymentControllerOptions {
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly log: Logger
  readonly registry: Registry
  readonly releaseImage: string
  readonly router: RouterRelease
  /** How often routers are looked at though nothing happened. */
  readonly resyncMs: number
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[]
  readonly workers: number
  /** How old a cache's last list may become, in milliseconds. */
  readonly relistMs: number
}

/** The controllers of ModelDeployments and of routers, and the caches that have to be filled before they may work. */
export const modelDeploymentControllers = (
  options: ModelDeploymentControllerOptions,
): {
  readonly controllers: readonly Controller[]
  readonly followers: readonly Follower[]
  readonly watches: readonly Watch[]
} => {
  const { client, events, log, registry, releaseImage, workers, relistMs } = options
  const caches: Caches = {
    modelDeployments: new Store<ModelDeployment>(namespaceIndex),
    modelRevisions: new Store<ModelRevision>(childIndexes),
    deployments: new Store(childIndexes),
    jobs: new Store(childIndexes),
    services: new Store(childIndexes),
    endpointSlices: new Store<EndpointSlice>(serviceIndex),
    disruptionBudgets: new Store(),
    httpRoutes: new Store<Route>(),
    grpcRoutes: new Store<Route>(),
  }
  /** Of the routers alone. */
  const routerCaches = {
    serviceAccounts: new Store<ServiceAccount>(),
    roles: new Store<Role>(),
    roleBindings: new Store<RoleBinding>(),
    networkPolicies: new Store<NetworkPolicy>(),
  }
  const capacity = new CapacityLook(client)
  const routers = new Routers({
    client,
    modelDeployments,
    endpointSlices: caches.endpointSlices,
    asker: new Asker(),
  })
  const leaving = new Map<string, number>()
  const settling = new Map<string, Settling>()
  const routerProblems = new Map<string, RouterProblem>()
  const consistency = new Consistency()
  consistency.track(modelDeployments, caches.modelDeployments)
  consistency.track(modelRevisions, caches.modelRevisions)
  consistency.track(deployments, caches.deployments)
  consistency.track(jobs, caches.jobs)
  consistency.track(services, caches.services)
  consistency.track(poddisruptionbudgets, caches.disruptionBudgets)
  consistency.track(httpRoutes, caches.httpRoutes)
  consistency.track(grpcRoutes, caches.grpcRoutes)
  const onWritten = (type: ResourceType, written: KubeObject): void => {
    const owner = ownerKeyOf(written)
    if (owner !== undefined) consistency.record(owner, type, written.metadata.resourceVersion)
  }
  const refusedWrites = new Map<string, string>()
  const awaited = new Map<string, Awaited>()
  const watch = watchdog(registry, events)
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
        {
          client,
          events,
          applier,
          caches,
          consistency,
          refusedWrites,
          awaited,
          releaseImage,
          watchdog: watch,
          capacity,
          routers,
          leaving,
          settling,
          gatewayApi,
          routerProblems,
          log: keyLog,
          clock,
        },
        key,
        signal,
      ),
  })
  const keysOfWaiting = (namespace: string | undefined): string[] =>
    caches.modelDeployments
      .byIndex(byNamespace, namespace ?? '')
      .flatMap((deployment) => (needsRouters(deployment) && isWatched(deployment) ? [keyOf(deployment)] : []))
  const routerController = routersController({
    client,
    log,
    registry,
    release: options.router,
    modelDeployments,
    caches: { ...caches, ...routerCaches },
    resyncMs: options.resyncMs,
    onProblem: (namespace, problem) => {
      if (routerProblems.get(namespace)?.message === problem?.message) return
      if (problem === undefined) routerProblems.delete(namespace)
      else routerProblems.set(namespace, problem)
      for (const key of keysOfWaiting(namespace)) controller.queue.add(key)
    },
  })
  caches.modelDeployments.subscribe(({ type, object: { metadata } }) => {
    if (type !== 'deleted') return
    leaving.delete(metadata.uid ?? '')
    settling.delete(metadata.uid ?? '')
    void routers.release(metadata.namespace ?? '', metadata.uid ?? '')
  })
  controller.for(caches.modelDeployments)
  const everywhere = options.namespaces.length === 0 ? [undefined] : options.namespaces
  const followIn =
    (namespace: string | undefined) =>
    <T extends KubeObject>(
      type: ResourceType<T>,
      store: Store<T>,
      labelSelector?: string,
      fieldSelector?: string,
    ): Reflector<T> =>
      new Reflector({ client, type, store, namespace, labelSelector, fieldSelector, log, registry, relistMs })
  const gatewayApi = new OptionalFollowers({
    client,
    types: gatewayTypes,
    log,
    followers: () =>
      everywhere.flatMap((namespace) => [
        followIn(namespace)(httpRoutes, caches.httpRoutes, managedSelector),
        followIn(namespace)(grpcRoutes, caches.grpcRoutes, managedSelector),
      ]),
    onChange: () => {
      if (!gatewayApi.served) for (const type of [httpRoutes, grpcRoutes]) consistency.forgetKind(type)
      for (const deployment of caches.modelDeployments.list())
        if (isAtGateway(deployment)) controller.queue.add(keyOf(deployment))
    },
  })
  const followers = everywhere.flatMap((namespace) => {
    const follow = followIn(namespace)
    return [
      follow(modelDeployments, caches.modelDeployments),
      follow(modelRevisions, caches.modelRevisions, managedSelector),
      follow(deployments, caches.deployments, managedSelector),
      follow(jobs, caches.jobs, managedSelector),
      follow(services, caches.services, managedSelector),
      follow(poddisruptionbudgets, caches.disruptionBudgets, managedSelector),
      follow(endpointslices, caches.endpointSlices, managedSelector),
      // By name, because no more may be seen of them: accounts and roles of others are nobody's business here.
      follow(serviceaccounts, routerCaches.serviceAccounts, undefined, ofRouters),
      follow(roles, routerCaches.roles, undefined, ofRouters),
      follow(rolebindings, routerCaches.roleBindings, undefined, ofRouters),
      follow(networkpolicies, routerCaches.networkPolicies, managedSelector),
    ]
  })
  controller.watch(caches.modelRevisions, ownerKeyOf)
  controller.watch(caches.deployments, ownerKeyOf)
  controller.watch(caches.jobs, ownerKeyOf)
  controller.watch(caches.services, ownerKeyOf)
  controller.watch(caches.disruptionBudgets, ownerKeyOf)
  controller.watch(caches.httpRoutes, ownerKeyOf)
  controller.watch(caches.grpcRoutes, ownerKeyOf)
  controller.watch(caches.endpointSlices, (slice) =>
    // Routers that come or go concern all who wait for them.
    slice.metadata.labels?.['kubernetes.io/service-name'] === routerName
      ? keysOfWaiting(slice.metadata.namespace)
      : ownerKeyOf(slice),
  )
  const reach = new ReachWatch({
    client,
    log,
    registry,
    places: lazily(caches.endpointSlices, placesIn),
    isSpare: (service) =>
      caches.endpointSlices.byIndex(byService, service).every((slice) => isSpare(caches.modelDeployments, slice)),
  })
  return { controllers: [controller, routerController], followers: [...followers, gatewayApi], watches: [reach] }
}

const ofRouters = `metadata.name=${routerName}`

/** What a store's objects come to, made again only when something has changed. */
const lazily = <T extends KubeObject, V>(store: Store<T>, make: (objects: Iterable<T>) => V): (() => V) => {
  let made: { readonly value: V } | undefined
  store.subscribe(() => {
    made = undefined
  })
  return () => (made ??= { value: make(store.list()) }).value
}

/** Routers send a revision's share to stable when its last pod is gone; stable itself, and who is routed to directly, has nobody. */
const isSpare = (deployments: Store<ModelDeployment>, { metadata: { namespace, labels } }: EndpointSlice): boolean => {
  const revision = labels?.[labelKeys.revision]
  const { stable } = deployments.get(namespace, labels?.[labelKeys.modelDeployment] ?? '')?.status ?? {}
  return revision !== undefined && stable !== undefined && stable.revision !== revision
}

/** The ModelDeployment that a child belongs to, by its label. */
const ownerKeyOf = (child: KubeObject): string | undefined => {
  const owner = child.metadata.labels?.[labelKeys.modelDeployment]
  return owner === undefined ? undefined : keyFor(child.metadata.namespace, owner)
}
