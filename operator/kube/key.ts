// Keys: how an object is named in stores and queues, `namespace/name`, or `name` for cluster-scoped objects.
import type { KubeObject, ObjectMeta, OwnerReference } from './types.ts'

/** `namespace/name`, or just the name where there is no namespace. */
export const keyFor = (namespace: string | undefined, name: string): string =>
  namespace === undefined || namespace === '' ? name : `${namespace}/${name}`

/** The key of an object. */
export const keyOf = ({ metadata }: { readonly metadata: ObjectMeta }): string =>
  keyFor(metadata.namespace, metadata.name)

/** The parts of a key; namespace is undefined for a cluster-scoped object. */
export const splitKey = (key: string): { readonly namespace: string | undefined; readonly name: string } => {
  const slash = key.indexOf('/')
  return slash < 0
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

/** The owner that controls an object: at most one by the API's own rule. */
export const controllerOf = ({ metadata }: KubeObject): OwnerReference | undefined =>
  metadata.ownerReferences?.find((reference) => reference.controller === true)
