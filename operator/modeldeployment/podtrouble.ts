// What keeps pods from being ready, in the words of a pod or of whoever refuses it. Live reads, made only where some are not.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { KubeClient } from '../kube/client.ts'
import { pods, type Deployment } from '../kube/resources.ts'
import type { Trouble } from '../rollout/observed.ts'
import type { CapacityLook } from './capacity/look.ts'
import { roomFor } from './capacity/room.ts'
import { labelKeys } from './names.ts'
import { troubleOf, waitsForRoom, type PodView } from './trouble.ts'

/** How many pods are read. */
const podLimit = 20

/** What keeps the pods of one revision from being ready; pods are read only where some are not. */
export const troubleOfRevision = async (
  client: KubeClient,
  capacity: CapacityLook,
  deployment: ModelDeployment,
  workloads: readonly Deployment[],
  name: string | undefined,
): Promise<Trouble | undefined> => {
  const workload = workloads.find((w) => w.metadata.name === name)
  const asked = Math.min(deployment.spec.replicas, workload?.spec?.replicas ?? deployment.spec.replicas)
  if (workload === undefined || (workload.status?.readyReplicas ?? 0) >= asked) return undefined
  const failure = workload.status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True')
  if (failure !== undefined)
    return {
      // The words are those of the quota: asked, used and limited.
      reason: failure.message?.includes('exceeded quota') === true ? 'InsufficientCapacity' : 'PodRefused',
      message: `Pods of ${workload.metadata.name} are refused: ${failure.message ?? 'no reason was given'}`,
      fatal: false,
    }
  const found = await readPods(client, deployment, `${labelKeys.revision}=${workload.metadata.name}`)
  return numbered(troubleOf(found), found, capacity)
}

/** A shortage with what is asked and what is free; the scheduler's own words where this operator may not look at nodes. */
export const numbered = async (
  trouble: Trouble | undefined,
  found: readonly PodView[],
  capacity: CapacityLook,
): Promise<Trouble | undefined> => {
  if (trouble?.reason !== 'InsufficientCapacity') return trouble
  const waiting = found.filter(waitsForRoom)
  const [first] = waiting
  const occupancy = await capacity.now()
  if (occupancy === undefined || first?.spec === undefined) return trouble
  return { ...trouble, message: roomFor(first.spec, waiting.length, occupancy) }
}

/** Some of the pods that the labels select, for what they say of themselves. */
export const readPods = async (
  client: KubeClient,
  deployment: ModelDeployment,
  labelSelector: string,
): Promise<PodView[]> => {
  const page = await client.list(pods, { namespace: deployment.metadata.namespace, labelSelector, limit: podLimit })
  return page.items.map((pod) => pod as PodView)
}
