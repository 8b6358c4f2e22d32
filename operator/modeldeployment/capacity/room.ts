// Which room is left on which node for a pod that no node takes, in numbers. Pure. Whether a pod fits is the scheduler's
// word and nobody else's: this only says what it asks for and what there is.
import type { Node, Pod } from '../../kube/resources.ts'
import { amountsOf, inWords, listed, read, sorted, total, type Amounts, type PodResources } from './amounts.ts'
import { barred, type Placement } from './placement.ts'

/** The nodes of the cluster, and the pods that take room on them. */
export interface Occupancy {
  readonly nodes: readonly Node[]
  /** Those that are bound to a node and have not ended. */
  readonly pods: readonly Pod[]
}

/** How many nodes a message names. */
const namedNodes = 5

/**
 * One sentence each for what is asked, what is free where, and which nodes are out of the question.
 * @param waiting how many such pods no node has taken
 */
export const roomFor = (pod: PodResources & Placement, waiting: number, { nodes, pods }: Occupancy): string => {
  const asked: Amounts = { ...amountsOf(pod), pods: 1000n }
  const { pods: _one, ...wanted } = asked
  const asks = `${waiting === 1 ? '1 pod waits' : `${waiting} pods wait`} for room and ${waiting === 1 ? 'asks' : 'each asks'} for ${listed(wanted)}.`
  const open = nodes.filter((node) => barred(node, pod) === undefined)
  const shut = nodes.flatMap((node) => {
    const why = barred(node, pod)
    return why === undefined ? [] : [`${node.metadata.name} ${why}`]
  })
  const free = open.map((node) => freeOf(node, asked, pods))
  const sentences = [
    asks,
    ...(free.length > 0 ? [`Free: ${some(free)}.`] : []),
    ...(shut.length > 0 ? [`Not for it: ${some(shut)}.`] : []),
    ...(nodes.length === 0 ? ['The cluster has no node.'] : []),
  ]
  return sentences.join(' ')
}

/** What a node lacks for the pod, as `node-1 0.2 of 2 cpu`; all that is asked for where it lacks nothing. */
const freeOf = (node: Node, asked: Amounts, pods: readonly Pod[]): string => {
  const has = read(node.status?.allocatable ?? {})
  const there = pods.filter(({ spec }) => spec?.nodeName === node.metadata.name)
  const taken = total(there.map(({ spec }) => ({ ...amountsOf(spec ?? {}), pods: 1000n })))
  const left = (name: string): bigint => (has[name] ?? 0n) - (taken[name] ?? 0n)
  const lacking = sorted(asked).filter(([name, amount]) => left(name) < amount)
  const told = lacking.length > 0 ? lacking : sorted(asked)
  const words = told.map(([name]) =>
    // A device plugin that has gone leaves a zero behind.
    has[name] === undefined || has[name] === 0n
      ? `no ${name}`
      : `${inWords(name, left(name) < 0n ? 0n : left(name))} of ${inWords(name, has[name])} ${name}`,
  )
  return `${node.metadata.name} ${words.join(', ')}`
}

const some = (words: readonly string[]): string => {
  const named = words.slice(0, namedNodes).join('; ')
  const rest = words.length - namedNodes
  return rest > 0 ? `${named}; and ${rest} more nodes` : named
}
