// Kills without warning: SIGKILL to a process where the node is ours, else its pod deleted by force.
import { readdir, readFile } from 'node:fs/promises'
import type { Cluster } from './cluster.ts'
import type { Shell } from './shell.ts'

interface Pods {
  readonly items: readonly {
    readonly metadata: { readonly name: string }
    readonly status: {
      /** Native sidecars are among them. */
      readonly initContainerStatuses?: readonly ContainerStatus[]
      readonly containerStatuses?: readonly ContainerStatus[]
    }
  }[]
}

interface ContainerStatus {
  readonly name: string
  readonly containerID?: string
  readonly state?: { readonly running?: object }
}

const namespace = 'slipway-system'
const selector = 'app.kubernetes.io/component=operator'

/**
 * Kills every operator process that runs; returns when the signal is sent. With `podToo` its pod goes as well, as when
 * a node dies: another pod takes over when the lease has run out. Without, the kubelet starts the container again, each
 * time after a longer pause.
 */
export const killOperator = async ({ owned, shell }: Cluster, podToo: boolean): Promise<void> => {
  if (owned) await killProcesses(shell)
  if (podToo || !owned) {
    await shell.kubectl(['delete', 'pod', '-n', namespace, '-l', selector, '--grace-period=0', '--force'])
  }
}

/**
 * Kills what runs in one container, or in all of a pod's. Where the node is not ours its pod is deleted by force, which
 * is the same signal a little later.
 *
 * @returns when the first signal was sent and when the last had been, in milliseconds since the epoch
 */
export const killPod = async (
  { owned, shell }: Cluster,
  where: string,
  name: string,
  container?: string,
): Promise<{ readonly from: number; readonly until: number }> => {
  if (!owned) {
    const from = Date.now()
    await shell.kubectl(['delete', 'pod', name, '-n', where, '--grace-period=0', '--force'])
    return { from, until: Date.now() }
  }
  const pod = await shell.json<Pods['items'][number]>(['get', 'pod', name, '-n', where])
  const pids = await pidsIn(running(pod, container))
  if (pids.length === 0) throw new Error(`nothing runs in ${where}/${name} ${container ?? ''}`)
  const from = Date.now()
  for (const pid of pids) killOne(pid)
  return { from, until: Date.now() }
}

const killProcesses = async (shell: Shell): Promise<void> => {
  const { items } = await shell.json<Pods>(['get', 'pods', '-n', namespace, '-l', selector])
  for (const pid of await pidsIn(items.flatMap((pod) => running(pod)))) killOne(pid)
}

/** With process 1 of a container go all others in it, some of them before their turn comes here. */
const killOne = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The ids of a pod's containers that run. */
const running = ({ status }: Pods['items'][number], container?: string): string[] =>
  [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].flatMap(
    ({ name, containerID, state }) =>
      state?.running === undefined || containerID === undefined || (container !== undefined && name !== container)
        ? []
        : [containerID.replace(/^\w+:\/\//, '')],
  )

/** Processes of this host whose control group is one of these containers'. */
const pidsIn = async (containerIds: readonly string[]): Promise<number[]> => {
  const found: number[] = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    // A process may end between the listing and the look.
    const groups = await readFile(`/proc/${entry}/cgroup`, 'utf8').catch(() => '')
    if (containerIds.some((id) => groups.includes(id))) found.push(Number(entry))
  }
  return found
}
