// What `why` looks at: the object, all its pods, Events, and the last lines of the containers that fail. It reads only.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { isForbidden, isNotFound, StatusError } from '../operator/kube/errors.ts'
import { eventsOf, podsOf, type Cluster } from './cluster.ts'
import { failingContainers, type Clues, type LogTail } from './diagnosis.ts'

/** Of each failing container; and how many of them speak. */
const logLines = 5
const logLimit = 3

export const cluesOf = async (cluster: Cluster, deployment: ModelDeployment): Promise<Clues> => {
  const { name } = deployment.metadata
  const [pods, events] = await Promise.all([podsOf(cluster, name), eventsOf(cluster, name)])
  const failing = failingContainers(pods).slice(0, logLimit)
  const logs = await Promise.all(failing.map((container) => tailOf(cluster, container)))
  return { deployment, pods, events, logs }
}

const tailOf = async (
  { client, namespace }: Cluster,
  failing: { readonly pod: string; readonly container: string; readonly previous: boolean },
): Promise<LogTail> => {
  const { pod, container, previous } = failing
  try {
    const text = await client.logs(namespace, pod, { container, previous, tailLines: logLines })
    return { ...failing, lines: text.split('\n').filter((line) => line.trim() !== '') }
  } catch (error) {
    if (isForbidden(error)) return { ...failing, lines: [`(${error.message})`] }
    // The container has not started, its log is gone with its node, or the pod is: there is nothing to read.
    if (isNotFound(error) || (error instanceof StatusError && (error.code === 400 || error.code >= 500)))
      return { ...failing, lines: [] }
    throw error
  }
}
