// Kills the operator without warning: SIGKILL to its process where the node is ours, else its pod deleted by force.
import { readdir, readFile } from 'node:fs/promises'
import type { Cluster } from './cluster.ts'
import type { Shell } from './shell.ts'

interface Pods {
  readonly items: readonly {
    readonly metadata: { readonly name: string }
    readonly status: {
      readonly containerStatuses?: readonly {
        readonly containerID?: string
        readonly state?: { readonly running?: object }
      }[]
    }
  }[]
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

const killProcesses = async (shell: Shell): Promise<void> => {
  const { items } = await shell.json<Pods>(['get', 'pods', '-n', namespace, '-l', selector])
  const ids = items.flatMap((pod) =>
    (pod.status.containerStatuses ?? []).flatMap(({ containerID, state }) =>
      state?.running === undefined || containerID === undefined ? [] : [containerID.replace(/^\w+:\/\//, '')],
    ),
  )
  for (const pid of await pidsIn(ids)) process.kill(pid, 'SIGKILL')
}

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
