// What `status` shows: each cluster, its nodes and its processes, as data and as a table.
import { clusterAddresses, REGISTRY_NAME } from './addresses.ts'
import { ApiClient } from './api.ts'
import { kubeconfigOf, nodeConditions, troubleOf } from './lifecycle.ts'
import { childOf } from './node.ts'
import { isAlive, readRecords } from './processes.ts'
import { clusterDir, clusterNames, type ClusterState, readState } from './state.ts'

export interface NodeStatus {
  readonly name: string
  readonly address: string
  /** `Ready`, or why not. */
  readonly condition: string
  /** The host's end of its cable: `ip link set LINK down` cuts it off. */
  readonly link: string
  /** Process 1 of the node as the host counts: `nsenter --target PID --net --mount --pid` enters it. */
  readonly pid?: number
}

export interface ClusterStatus {
  readonly name: string
  readonly kind: ClusterState['kind']
  readonly kubernetesVersion: string
  /** `up`, or why not. */
  readonly condition: string
  readonly server: string
  readonly kubeconfig: string
  readonly dir: string
  readonly registry?: { readonly push: string; readonly pull: string }
  readonly nodes: readonly NodeStatus[]
  readonly processes: readonly { readonly name: string; readonly pid: number; readonly alive: boolean }[]
}

/** Looks at all clusters of this cache. */
export async function describeClusters(): Promise<ClusterStatus[]> {
  const states = await Promise.all((await clusterNames()).map(readState))
  return Promise.all(states.filter((state) => state !== undefined).map(describeCluster))
}

/** One line a cluster and one a node, for people. */
export function renderTable(clusters: readonly ClusterStatus[]): string {
  if (clusters.length === 0) return 'No cluster is up. npm run cluster -- up\n'
  const rows = [['CLUSTER', 'KUBERNETES', 'SERVER', 'CONDITION']]
  for (const { name, kubernetesVersion, server, condition, nodes } of clusters) {
    rows.push([name, kubernetesVersion, server, condition])
    for (const node of nodes) rows.push([`  ${node.name}`, '', node.address, node.condition])
  }
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
  const paths = clusters.map(({ name, kubeconfig }) => `${name}: ${kubeconfig}`)
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n\n${paths.join('\n')}\n`
}

async function describeCluster(state: ClusterState): Promise<ClusterStatus> {
  const { name, kind, kubernetesVersion, server } = state
  const dir = clusterDir(name)
  const records = readRecords(dir)
  const trouble = troubleOf(state)
  const addresses = kind === 'nodes' ? clusterAddresses(name, state.index, state.nodes) : undefined
  const conditions = addresses && !trouble ? await askNodes(dir, server) : new Map<string, string>()
  const nodes = (addresses?.nodes ?? []).map(async (node): Promise<NodeStatus> => {
    const unshare = records.find((record) => record.name === node.name && isAlive(record))
    const pid = unshare && (await childOf(unshare.pid))
    const condition = conditions.get(node.name) ?? 'unknown'
    return { name: node.name, address: node.address, condition, link: node.link, ...(pid ? { pid } : {}) }
  })
  return {
    name,
    kind,
    kubernetesVersion,
    condition: trouble ?? 'up',
    server,
    kubeconfig: kubeconfigOf(name),
    dir,
    ...(addresses ? { registry: { push: addresses.registry, pull: REGISTRY_NAME } } : {}),
    nodes: await Promise.all(nodes),
    processes: records.map((record) => ({ name: record.name, pid: record.pid, alive: isAlive(record) })),
  }
}

async function askNodes(dir: string, server: string): Promise<Map<string, string>> {
  const api = new ApiClient(dir, server)
  try {
    return await nodeConditions(api)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return new Map([['', why]])
  } finally {
    await api.close()
  }
}
