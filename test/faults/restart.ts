// One program of the control plane ended and started again, as an upgrade or a crash does it. The folder of the control
// plane is the one that its kubeconfig lies in.
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, readRecords, startDaemon, stopProcesses } from '../cluster/processes.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import { eventually } from '../integration/operator/eventually.ts'
import { kubeconfig } from '../integration/kube/server.ts'

/**
 * Ends `name` (SIGTERM, after 2 s SIGKILL), leaves it away for `awayMs`, starts it with the same command and waits until
 * the API server is ready.
 */
export const restart = async (client: KubeClient, name: 'etcd' | 'kube-apiserver', awayMs: number): Promise<void> => {
  const dir = dirname(kubeconfig())
  const record = readRecords(dir).find((one) => one.name === name && isAlive(one))
  if (record === undefined) {
    throw new Error(`no ${name} of ours runs in ${dir}: these tests need a control plane that they started themselves`)
  }
  const [command = '', ...args] = (await readFile(`/proc/${record.pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  await stopProcesses([record], 2000)
  await sleep(awayMs)
  await startDaemon({ name, command, args, dir, diesWithParent: true })
  const asked = { verb: 'get', resource: 'readyz' }
  await eventually('the API server is ready', () =>
    client.transport.call({ method: 'GET', path: '/readyz', asked, timeoutMs: 2000 }).then(
      () => true,
      () => false,
    ),
  )
}
