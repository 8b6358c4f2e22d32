// Takes a pod out of its Services: its condition Ready becomes False, as the control plane itself does when it gives a
// node up, only sooner. A kubelet that is alive after all puts it right again within ten seconds.
import type { KubeClient } from '../kube/client.ts'
import { pods, type Pod } from '../kube/resources.ts'
import type { Place } from './places.ts'

/** Also how anybody who reads the pod's conditions learns who did it. */
export const silentReason = 'NodeSilent'

/** An API server that takes longer is behind the same loss as we are, or will carry out what nobody wants any more. */
const timeoutMs = 1000

/**
 * @param isStillLost asked once the API server has answered: a cable that is plugged in again brings it back first, and a
 * judgement from before would take out whoever was never lost
 * @returns false when the pod is not what it was: another one, not ready, on its way out, or not lost any more
 * @throws StatusError, ConnectionError: a conflict too, when somebody else wrote the pod in the same moment
 */
export const takeOut = async (
  client: KubeClient,
  place: Place,
  isStillLost: () => Promise<boolean>,
  now: Date,
): Promise<boolean> => {
  const { namespace, pod: name, uid, node } = place
  const pod = await client.find(pods, namespace, name, { timeoutMs })
  if (pod === undefined || pod.metadata.uid !== uid || pod.metadata.deletionTimestamp !== undefined) return false
  if (!(await isStillLost())) return false
  const notReady = withoutReady(pod, node, now)
  if (notReady === undefined) return false
  await client.updateStatus(pods, notReady, { timeoutMs, unfenced: true })
  return true
}

/** The pod with Ready False; undefined when it is that already. Pure. */
export const withoutReady = (pod: Pod, node: string, now: Date): Pod | undefined => {
  const conditions = pod.status?.conditions ?? []
  if (!conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) return undefined
  const message = `Node ${node} does not answer the operator of Slipway, and other nodes do; it takes part again when its kubelet says so.`
  return {
    ...pod,
    status: {
      ...pod.status,
      conditions: conditions.map((condition) =>
        condition.type === 'Ready'
          ? {
              ...condition,
              status: 'False',
              reason: silentReason,
              message,
              lastTransitionTime: now.toISOString(),
            }
          : condition,
      ),
    },
  }
}
