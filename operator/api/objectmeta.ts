// The part of Kubernetes' object metadata that this project reads. Not part of our schema: the API server owns it.

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** @see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ Times are RFC 3339. */
export interface ObjectMeta {
  name: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  finalizers?: string[]
  ownerReferences?: OwnerReference[]
}

/** The API group and version of both kinds. */
export const group = 'slipway.dev'
export const version = 'v1alpha1'
export const apiVersion = `${group}/${version}` as const
