// The shapes that every Kubernetes object shares, as they are on the wire (JSON: times are strings). Types only.

/** @see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

/** Metadata as read or written. Times are RFC 3339; managedFields never reach the cache. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly OwnerReference[]
  readonly managedFields?: readonly object[]
}

/** Any object of the API. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
}

/** An object as we want it; what it says beside metadata is its own business. */
export interface Desired extends KubeObject {
  readonly spec?: unknown
  readonly data?: unknown
  readonly status?: unknown
}

/** @see https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly lastTransitionTime: string
  readonly observedGeneration?: number
}

/**
 * A type of @kubernetes/client-node as it is on the wire: Date becomes string, and apiVersion, kind and metadata are
 * always there (list items get them from the resource type when they are read).
 */
export type Wire<T> = Plain<Omit<T, 'apiVersion' | 'kind' | 'metadata'>> & KubeObject

type Plain<T> = 0 extends 1 & T
  ? unknown
  : T extends Date
    ? string
    : T extends readonly (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Field in keyof T]: Plain<T[Field]> }
        : T
