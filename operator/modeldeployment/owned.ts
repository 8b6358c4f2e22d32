// Whose an object is. Pure.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { KubeObject } from '../kube/types.ts'

/** Whether it is a child of exactly this object, not of an earlier one of its name. */
export const isOwned = (child: KubeObject, owner: ModelDeployment): boolean =>
  child.metadata.ownerReferences?.some((o) => o.controller === true && o.uid === owner.metadata.uid) ?? false
