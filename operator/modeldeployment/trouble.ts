// Why pods are not ready, in one sentence that names the pod, what was found and the fix. Pure: pods in, words out.
import { isReason, type Reason } from '../api/conditions.ts'
import type { Trouble } from '../rollout/observed.ts'
import type { Placement } from './capacity/placement.ts'
import { sentence } from './sentence.ts'
import { readTermination } from './termination.ts'

/** The fields of a pod that tell why it is not ready, as the API server sends them. */
export interface PodView {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string }
  readonly spec?: Placement & {
    readonly containers?: readonly ContainerSpec[]
    readonly initContainers?: readonly ContainerSpec[]
  }
  readonly status?: {
    readonly phase?: string
    readonly reason?: string
    readonly message?: string
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason?: string
      readonly message?: string
    }[]
    readonly initContainerStatuses?: readonly ContainerStatus[]
    readonly containerStatuses?: readonly ContainerStatus[]
  }
}

interface ContainerSpec {
  readonly name: string
  readonly image?: string
  readonly restartPolicy?: string
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string | number>>
    readonly limits?: Readonly<Record<string, string | number>>
  }
}

export interface ContainerStatus {
  readonly name: string
  readonly image?: string
  readonly imageID?: string
  readonly ready?: boolean
  readonly restartCount?: number
  readonly state?: ContainerState
  readonly lastState?: ContainerState
}

interface ContainerState {
  readonly waiting?: { readonly reason?: string; readonly message?: string }
  readonly running?: object
  readonly terminated?: { readonly exitCode?: number; readonly reason?: string; readonly message?: string }
}

/** A container that has crashed this often will not come right by waiting. */
const fatalRestarts = 3

const pullReasons = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'RegistryUnavailable',
])
const refusedReasons = new Set([
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'CreatePodSandboxError',
])

/** What to write elsewhere, and where, so that pods can run. */
export interface Fixes {
  readonly image: string
  readonly room: string
  readonly memory: string
}

const ofTheSpec: Fixes = {
  image: 'Correct spec.runtime.image',
  room: 'Lower spec.resources',
  memory: 'Raise spec.resources.limits.memory',
}

/** Routers are described by the chart's values, not by a ModelDeployment. */
export const ofTheChart: Fixes = {
  image: "Correct image or router.envoy.image in the chart's values",
  room: "Lower router.envoy.resources in the chart's values",
  memory: "Raise limits.memory under router in the chart's values",
}

/** The scheduler's words for a node that has too little of something left. @see NodeResourcesFit in kube-scheduler */
const lacksRoom = /Insufficient \S+|Too many pods/

/** A pod that waits because no node has room for it. */
export const waitsForRoom = (pod: PodView): boolean =>
  pod.metadata.deletionTimestamp === undefined &&
  (pod.status?.conditions ?? []).some(
    ({ type, status, message = '' }) => type === 'PodScheduled' && status === 'False' && lacksRoom.test(message),
  )

/** The most telling trouble among the pods: a fatal one first, else the first by pod name. */
export const troubleOf = (pods: readonly PodView[], fixes: Fixes = ofTheSpec): Trouble | undefined => {
  const troubles = pods
    .filter((pod) => pod.metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
    .flatMap((pod) => podTrouble(pod, fixes) ?? [])
  return troubles.find((t) => t.fatal) ?? troubles[0]
}

const podTrouble = (pod: PodView, fixes: Fixes): Trouble | undefined => {
  const scheduled = pod.status?.conditions?.find((c) => c.type === 'PodScheduled')
  if (scheduled?.status === 'False') {
    const why = scheduled.message ?? 'the scheduler gave no reason'
    if (lacksRoom.test(why))
      return trouble('InsufficientCapacity', `No node has room for pod ${pod.metadata.name}: ${sentence(why)}`)
    return trouble(
      'Unschedulable',
      `No node can take pod ${pod.metadata.name}: ${sentence(why)} ${fixes.room} or add nodes.`,
    )
  }
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  for (const container of containers) {
    const found = containerTrouble(pod, container, fixes)
    if (found !== undefined) return found
  }
  return undefined
}

const containerTrouble = (pod: PodView, container: ContainerStatus, fixes: Fixes): Trouble | undefined => {
  const { waiting } = container.state ?? {}
  const spec = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].find(
    (c) => c.name === container.name,
  )
  if (waiting?.reason !== undefined && pullReasons.has(waiting.reason)) {
    const image = spec?.image ?? container.image ?? ''
    const message = `Image "${image}" cannot be pulled: ${sentence(pullCause(waiting.message))} ${fixes.image}, or give the nodes access to it.`
    return { ...trouble('ImagePullFailed', message), fatal: waiting.reason === 'InvalidImageName' }
  }
  if (waiting?.reason !== undefined && refusedReasons.has(waiting.reason)) {
    return trouble(
      'PodRefused',
      `The kubelet cannot start container ${container.name} of pod ${pod.metadata.name}: ${sentence(waiting.message ?? waiting.reason)}`,
    )
  }
  const ended = container.state?.terminated ?? container.lastState?.terminated
  if (ended === undefined || ended.exitCode === 0 || container.ready === true) return undefined
  return endedTrouble(pod, container, spec, ended, fixes)
}

const endedTrouble = (
  pod: PodView,
  container: ContainerStatus,
  spec: ContainerSpec | undefined,
  ended: NonNullable<ContainerState['terminated']>,
  fixes: Fixes,
): Trouble => {
  const restarts = container.restartCount ?? 0
  const fatal = restarts >= fatalRestarts
  if (ended.reason === 'OOMKilled') {
    const limit = spec?.resources?.limits?.['memory']
    const message = `Container ${container.name} of pod ${pod.metadata.name} was killed because it used more memory than its limit of ${limit ?? 'the node'}. ${fixes.memory}.`
    return { ...trouble('InsufficientMemory', message), fatal }
  }
  const told = readTermination(ended.message)
  if (told?.ok === false) {
    return { reason: isReason(told.code) ? told.code : 'PodCrashed', message: told.message, fatal: !told.retryable }
  }
  const last = lastWords(ended.message)
  const message = `Container ${container.name} of pod ${pod.metadata.name} exited with code ${ended.exitCode ?? 'unknown'}${last === '' ? '.' : `: ${sentence(last)}`}`
  return { ...trouble('PodCrashed', message), fatal }
}

const trouble = (reason: Reason, message: string): Trouble => ({ reason, message, fatal: false })

/** The kubelet alternates between the cause and "Back-off pulling image …: ErrImagePull: cause"; only the cause is kept, so that the words do not flap. */
const pullCause = (message: string | undefined): string => {
  const text = message ?? 'the kubelet gave no reason'
  const marker = 'ErrImagePull: '
  const place = text.indexOf(marker)
  return place === -1 ? text : text.slice(place + marker.length)
}

/** The last line that a container wrote; of a JSON log line, its message. */
const lastWords = (log: string | undefined): string => {
  const line = (log ?? '').trim().split('\n').at(-1) ?? ''
  try {
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed) return String(parsed.message)
  } catch {
    // Not JSON: the line itself is what the container said.
  }
  return line
}
