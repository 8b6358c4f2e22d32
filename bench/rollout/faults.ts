// What goes wrong during a run: the operator killed, a router deleted, a node drained or cut off. Each returns when its
// harm is done; what must be put right again is put right by `mend`.
import { setTimeout as sleep } from 'node:timers/promises'
import { nodes } from '../../operator/kube/resources.ts'
import { pods } from '../../operator/kube/resources.ts'
import { run } from '../../test/cluster/commands.ts'
import { killOperator } from '../../test/kit/kill.ts'
import type { Scene } from './scene.ts'

export type Fault =
  | { readonly kind: 'kill the operator' }
  | { readonly kind: 'delete a router' }
  | { readonly kind: 'drain'; readonly node: string }

/** A fault and when it strikes, in milliseconds after the run began. */
export interface Planned {
  readonly afterMs: number
  readonly fault: Fault
}

/** A rollout takes some 15 s here; faults fall anywhere into it, or just after. */
const longestWaitMs = 20_000

/** One or two faults of a run; a drain comes by itself. */
export const faultsOf = (random: () => number, drained: string | undefined): Planned[] => {
  const afterMs = (): number => Math.round(random() * longestWaitMs)
  if (drained !== undefined) return [{ afterMs: afterMs(), fault: { kind: 'drain', node: drained } }]
  const kill: Planned = { afterMs: afterMs(), fault: { kind: 'kill the operator' } }
  const remove: Planned = { afterMs: afterMs(), fault: { kind: 'delete a router' } }
  const which = random()
  return which < 0.4 ? [kill] : which < 0.8 ? [remove] : [kill, remove]
}

export const inWords = (planned: readonly Planned[]): string =>
  planned
    .map(({ afterMs, fault }) => `${fault.kind}${fault.kind === 'drain' ? ` ${fault.node}` : ''} at ${afterMs} ms`)
    .join(', ')

/** Waits for its moment, and strikes. */
export const strike = async (scene: Scene, { afterMs, fault }: Planned, random: () => number): Promise<void> => {
  await sleep(afterMs)
  switch (fault.kind) {
    case 'kill the operator':
      // The pod goes too: the kubelet would wait the longer, the more often its container has died before.
      return killOperator(scene.world.cluster, true)
    case 'delete a router': {
      const routers = (await scene.pods('app.kubernetes.io/name=slipway-router')).filter(
        ({ metadata }) => metadata.deletionTimestamp === undefined,
      )
      const victim = routers[Math.floor(random() * routers.length)]
      if (victim !== undefined) await scene.client.delete(pods, scene.world.namespace, victim.metadata.name)
      return
    }
    case 'drain':
      return scene.drain(fault.node)
    default:
  }
}

/** Puts right what a run has broken, and waits until nothing of it is left. */
export const mend = async (scene: Scene, planned: readonly Planned[]): Promise<void> => {
  for (const { fault } of planned) if (fault.kind === 'drain') await scene.world.shell.kubectl(['uncordon', fault.node])
  await scene.world.shell.kubectl([
    'rollout',
    'status',
    '-n',
    'slipway-system',
    'deployment/slipway-operator',
    '--timeout=180s',
  ])
  await scene.routersReady()
}

/** Pulls a node's cable, or plugs it in again. */
export const setLink = (scene: Scene, name: string, state: 'up' | 'down'): Promise<string> => {
  const node = scene.addresses.nodes.find((one) => one.name === name)
  if (node === undefined) throw new Error(`there is no node ${name}`)
  return run('ip', ['link', 'set', node.link, state])
}

/** Waits until the cluster says that the node is Ready. */
export const nodeReady = async (scene: Scene, name: string): Promise<void> => {
  for (const deadline = Date.now() + 120_000; ; await sleep(500)) {
    const { status } = await scene.client.get(nodes, undefined, name)
    if (status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')) return
    if (Date.now() > deadline) throw new Error(`${name} is not Ready after 2 minutes`)
  }
}
