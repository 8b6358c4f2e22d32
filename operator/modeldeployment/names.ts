// How children are named and labelled. Names are deterministic, so that a crash between two lines repeats, never doubles.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { KubeObject } from '../kube/types.ts'

export const labelKeys = {
  managedBy: 'app.kubernetes.io/managed-by',
  name: 'app.kubernetes.io/name',
  modelDeployment: 'slipway.dev/model-deployment',
  revision: 'slipway.dev/revision',
  resolves: 'slipway.dev/resolves',
} as const

/**
 * On a Deployment: the number of the rollout that needs it. Writing it makes every deletion fail that was planned
 * before.
 */
export const rolloutAnnotation = 'slipway.dev/rollout'

/** On a route: the number of the traffic setting that it was made from. */
export const epochAnnotation = 'slipway.dev/epoch'

/**
 * The Service of a revision that a Gateway's route names. It has an address of its own, unlike that of the routers:
 * some implementations route to a Service's address and not to its endpoints.
 */
export const gatewayServiceName = (revision: string): string => `${revision}${gatewaySuffix}`
const gatewaySuffix = '-gateway'

/** The revision of a Service that a route names. */
export const revisionOfGatewayService = (service: string): string =>
  service.endsWith(gatewaySuffix) ? service.slice(0, -gatewaySuffix.length) : service

/** The label selector of everything that the operator watches besides ModelDeployments. */
export const managedSelector = `${labelKeys.managedBy}=slipway`

/** Labels of every child. EndpointSlices inherit them from the Service. */
export const childLabels = (deployment: string): Record<string, string> => ({
  [labelKeys.managedBy]: 'slipway',
  [labelKeys.name]: 'slipway-runtime',
  [labelKeys.modelDeployment]: deployment,
})

/** Labels of a child that belongs to one revision. */
export const revisionLabels = (deployment: string, revision: string): Record<string, string> => ({
  ...childLabels(deployment),
  [labelKeys.revision]: revision,
})

/** The Job that resolves a revision; each attempt is a Job of its own, so an old outcome is never read as a new one. */
export const resolveJobName = (revision: string, attempt: number): string =>
  attempt <= 1 ? `${revision}-resolve` : `${revision}-resolve-${attempt}`

/** Ownership: garbage collection deletes the children with the object, so no finalizer is needed. */
export const ownerReference = (owner: ModelDeployment) => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid ?? '',
  controller: true,
})

/** Creation times have whole seconds; among those of one second, the object that was written last is the newest. */
export const newestFirst = <T extends KubeObject>(objects: readonly T[]): T[] =>
  objects.toSorted(
    (a, b) =>
      (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '') ||
      Number(b.metadata.resourceVersion ?? 0) - Number(a.metadata.resourceVersion ?? 0),
  )
