// What goes wrong during a run: the operator killed, a router deleted, a node drained or cut off. Each returns when its
// harm is done; what must be put right again is put right by `mend`.
import { setTimeout as sleep } from 'node:timers/promises'
import { leases, nodes, pods, type Pod } from '../../operator/kube/resources.ts'
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

/** One or two faults of a run; a drain comes by itself. @param longestWaitMs they fall somewhere into this time */
export const faultsOf = (random: () => number, drained: string | undefined, longestWaitMs: number): Planned[] => {
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
  const link = scene.linkOf(name)
  if (link === undefined) throw new Error(`node ${name} has no cable that could be pulled here`)
  return run('ip', ['link', 'set', link, state])
}

/** Waits until the cluster says that the node is Ready. */
export const nodeReady = async (scene: Scene, name: string): Promise<void> => {
  for (const deadline = Date.now() + 120_000; ; await sleep(500)) {
    const { status } = await scene.client.get(nodes, undefined, name)
    if (status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')) return
    if (Date.now() > deadline) throw new Error(`${name} is not Ready after 2 minutes`)
  }
}

/** Has the operator on this node lead: the one that does hands over when it is told to end, until it is this one's turn. */
export const leadOn = async (scene: Scene, node: string): Promise<void> => {
  for (const deadline = Date.now() + 240_000; Date.now() < deadline; await sleep(500)) {
    const operators = (await scene.operators()).filter(isReady)
    const lease = await scene.client.find(leases, operatorNamespace, 'slipway-operator')
    const leader = operators.find(({ metadata }) => metadata.name === lease?.spec?.holderIdentity)
    const isElsewhere = operators.some(({ spec }) => spec?.nodeName !== leader?.spec?.nodeName)
    if (leader?.spec?.nodeName === node && isElsewhere) return
    // Two on one node: one of them goes, and comes back on the other.
    if (leader !== undefined && operators.length > 1) {
      await scene.client.delete(pods, operatorNamespace, leader.metadata.name)
      await sleep(2000)
    }
  }
  throw new Error(`after 4 minutes no operator leads on ${node}`)
}

/** Has at least one of these pods run on this node: others are deleted until the scheduler places one there. */
export const spread = async (scene: Scene, selector: string, node: string): Promise<void> => {
  for (const deadline = Date.now() + 240_000; Date.now() < deadline; await sleep(500)) {
    const all = (await scene.pods(selector)).filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    if (!all.every(isReady) || all.length === 0) continue
    if (all.some(({ spec }) => spec?.nodeName === node)) return
    await scene.client.delete(pods, scene.world.namespace, all[0]?.metadata.name ?? '')
    await sleep(1000)
  }
  throw new Error(`after 4 minutes no pod of ${selector} runs on ${node}`)
}

const operatorNamespace = 'slipway-system'

const isReady = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false)
