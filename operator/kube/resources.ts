// Which resources exist and at which path they live. Knows the built-in kinds; a custom one is made by its owner.
import type {
  CoreV1Event,
  V1ConfigMap,
  V1CustomResourceDefinition,
  V1Deployment,
  V1EndpointSlice,
  V1Job,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1Node,
  V1Pod,
  V1PodDisruptionBudget,
  V1ReplicaSet,
  V1ResourceQuota,
  V1Role,
  V1RoleBinding,
  V1Service,
  V1ServiceAccount,
} from '@kubernetes/client-node'
import type { KubeObject, Wire } from './types.ts'

/** One kind of the API. The type parameter is what its objects look like, so calls that take it are typed by it. */
export interface ResourceType<T extends KubeObject = KubeObject> {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never set; carries the object's type. */
  readonly object?: T
}

export type Pod = Wire<V1Pod>
export type Service = Wire<V1Service>
export type Deployment = Wire<V1Deployment>
export type ReplicaSet = Wire<V1ReplicaSet>
export type Job = Wire<V1Job>
export type EndpointSlice = Wire<V1EndpointSlice>
export type KubeEvent = Wire<CoreV1Event>
export type Lease = Wire<V1Lease>
export type ConfigMap = Wire<V1ConfigMap>
export type ServiceAccount = Wire<V1ServiceAccount>
export type Role = Wire<V1Role>
export type RoleBinding = Wire<V1RoleBinding>
export type PodDisruptionBudget = Wire<V1PodDisruptionBudget>
export type NetworkPolicy = Wire<V1NetworkPolicy>
export type Namespace = Wire<V1Namespace>
export type Node = Wire<V1Node>
export type ResourceQuota = Wire<V1ResourceQuota>
export type CustomResourceDefinition = Wire<V1CustomResourceDefinition>

/** A namespaced resource; with it a custom resource is named: `resource<ModelThing>('example.org', 'v1', 'things', 'Thing')`. */
export const resource = <T extends KubeObject = KubeObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
  scope: 'Namespaced' | 'Cluster' = 'Namespaced',
): ResourceType<T> => ({ group, version, plural, kind, namespaced: scope === 'Namespaced' })

export const pods = resource<Pod>('', 'v1', 'pods', 'Pod')
export const services = resource<Service>('', 'v1', 'services', 'Service')
export const configmaps = resource<ConfigMap>('', 'v1', 'configmaps', 'ConfigMap')
export const serviceaccounts = resource<ServiceAccount>('', 'v1', 'serviceaccounts', 'ServiceAccount')
/** Core events: the ones that every kubectl shows, with a count for repeats. */
export const events = resource<KubeEvent>('', 'v1', 'events', 'Event')
export const namespaces = resource<Namespace>('', 'v1', 'namespaces', 'Namespace', 'Cluster')
export const nodes = resource<Node>('', 'v1', 'nodes', 'Node', 'Cluster')
export const resourcequotas = resource<ResourceQuota>('', 'v1', 'resourcequotas', 'ResourceQuota')
export const deployments = resource<Deployment>('apps', 'v1', 'deployments', 'Deployment')
export const replicasets = resource<ReplicaSet>('apps', 'v1', 'replicasets', 'ReplicaSet')
export const jobs = resource<Job>('batch', 'v1', 'jobs', 'Job')
export const endpointslices = resource<EndpointSlice>('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice')
export const roles = resource<Role>('rbac.authorization.k8s.io', 'v1', 'roles', 'Role')
export const rolebindings = resource<RoleBinding>('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding')
export const poddisruptionbudgets = resource<PodDisruptionBudget>(
  'policy',
  'v1',
  'poddisruptionbudgets',
  'PodDisruptionBudget',
)
export const networkpolicies = resource<NetworkPolicy>('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy')
export const leases = resource<Lease>('coordination.k8s.io', 'v1', 'leases', 'Lease')
export const customresourcedefinitions = resource<CustomResourceDefinition>(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
  'Cluster',
)

/** `apps/v1`, or `v1` for the core group. */
export const apiVersionOf = ({ group, version }: ResourceType): string =>
  group === '' ? version : `${group}/${version}`

/** `deployments.apps`, as kubectl and RBAC messages name it. */
export const resourceName = ({ group, plural }: ResourceType): string => (group === '' ? plural : `${plural}.${group}`)

/** The path of a collection, an object or a subresource below the server's address. */
export const pathOf = (
  type: ResourceType,
  namespace: string | undefined,
  name?: string,
  subresource?: 'status' | 'scale' | 'log',
): string => {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`
  const scope = type.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  if (name === undefined) return `${root}${scope}/${type.plural}`
  if (type.namespaced && namespace === undefined) {
    throw new TypeError(`${type.kind} ${name} needs a namespace: ${resourceName(type)} are namespaced`)
  }
  const object = `${root}${scope}/${type.plural}/${encodeURIComponent(name)}`
  return subresource === undefined ? object : `${object}/${subresource}`
}
