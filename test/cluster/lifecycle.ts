// Clusters that stay up until told otherwise: up, down and what they look like in between. `up` on one that is up and
// `down` on one that is not change nothing; `down` also clears what an interrupted or killed cluster left behind.
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ClusterAddresses, clusterAddresses, MAX_CLUSTERS, MAX_NODES } from './addresses.ts'
import { ApiClient, waitUntil } from './api.ts'
import { corednsPath, kubernetesPrograms, pausePath } from './binaries.ts'
import { withLock } from './cache.ts'
import { removeGroup } from './cgroups.ts'
import { launch, serverOf, startControlPlane } from './controlplane.ts'
import { DNS_USER, startDns } from './dns.ts'
import { type ControlPlanePlan, kubeconfigPath } from './flags.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { createMountPoints, removeMountPoints, unmountBelow } from './mounts.ts'
import { createBridge, findBridges, removeNetwork } from './network.ts'
import { nodeCertificate, startNode } from './node.ts'
import { CONTROL_PLANE_PACKAGES, findProgram, installPackages, NODE_PACKAGES } from './packages.ts'
import { type Daemon, findMarked, isAlive, readRecords, stopAll, whatEnded } from './processes.ts'
import { pushProgram, startRegistry, writeMirrors } from './registry.ts'
import { formatMs, type Report, step } from './report.ts'
import { clusterDir, clusterLock, clusterNames, type ClusterState, indexLock, readState, writeState } from './state.ts'
import { KUBERNETES_VERSION } from './version.ts'

export const DEFAULT_CLUSTER = 'default'

/** What to bring up. */
export interface UpOptions {
  readonly name: string
  readonly kind: ClusterState['kind']
  readonly nodes: number
  readonly report: Report
}

/** Brings a cluster up, or finds it up. Returns true when there was nothing to do. */
export async function up(options: UpOptions): Promise<boolean> {
  const { name, kind, nodes, report } = options
  if (kind === 'nodes' && (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)) {
    throw new Error(`a cluster has 1 to ${MAX_NODES} nodes, not ${nodes}`)
  }
  const waiting = (pid: number): void => report(`  process ${pid} works on this cluster; waiting for it`)
  return withLock(
    clusterLock(name),
    async () => {
      const state = await readState(name)
      if (state) {
        const trouble = troubleOf(state)
        if (!trouble && state.kind === kind && (kind === 'control-plane' || state.nodes === nodes)) return true
        if (!trouble) {
          const is = state.kind === 'nodes' ? `${state.nodes} node(s)` : 'a control plane only'
          throw new Error(`the cluster "${name}" is up with ${is}. Take it down first, or use another --name`)
        }
        report(`  the cluster "${name}" is not whole (${trouble}); it is cleared away and started again`)
      }
      await clear(name, report)
      const began = performance.now()
      if (kind === 'nodes') await startNodes(name, nodes, report)
      else await startBare(name, report)
      report(`  in all: ${formatMs(performance.now() - began)}`)
      return false
    },
    waiting,
  )
}

/** Takes a cluster down and removes all it left. Returns false when there was nothing. */
export async function down(name: string, report: Report): Promise<boolean> {
  if (!(await isThere(name))) return false
  await withLock(clusterLock(name), () => step(report, `the cluster "${name}" goes down`, () => clear(name, report)))
  return true
}

/** Why a cluster is not whole, or undefined when all its processes run. */
export function troubleOf(state: ClusterState): string | undefined {
  if (state.stage === 'starting') return 'it was interrupted on its way up'
  const dir = clusterDir(state.name)
  const records = readRecords(dir)
  const dead = records.filter((record) => !isAlive(record)).map((record) => record.name)
  if (dead.length > 0) return `not running: ${dead.join(', ')}`
  return records.length === 0 ? 'nothing is recorded as running' : undefined
}

async function startBare(name: string, report: Report): Promise<void> {
  const state: ClusterState = {
    name,
    kind: 'control-plane',
    stage: 'starting',
    kubernetesVersion: KUBERNETES_VERSION,
    server: '',
    index: -1,
    nodes: 0,
  }
  await writeState(state)
  const { server } = await startControlPlane({ dir: clusterDir(name), detached: true, report })
  await writeState({ ...state, stage: 'up', server })
}

async function startNodes(name: string, nodeCount: number, report: Report): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'nodes need root (namespaces, mounts, control groups). Without: npm run cluster -- up --control-plane',
    )
  }
  const dir = clusterDir(name)
  await installPackages([...CONTROL_PLANE_PACKAGES, ...NODE_PACKAGES], report)
  const state = await claimIndex(name, nodeCount)
  await createMountPoints()
  const addresses = clusterAddresses(name, state.index, nodeCount)
  const plan = planOf(dir, addresses)
  const server = serverOf(plan)
  await step(report, `network ${addresses.bridge} (${addresses.hostCidr})`, () => createBridge(addresses, dir))
  const daemons = await launch(plan, {
    controllers: true,
    scheduler: true,
    diesWithParent: false,
    report,
    certificates: [
      ...addresses.nodes.map(nodeCertificate),
      { name: 'kube-proxy', commonName: 'system:kube-proxy' },
      { name: 'coredns', commonName: DNS_USER },
    ],
  })
  const [kubelet = '', kubeProxy = ''] = await kubernetesPrograms(['kubelet', 'kube-proxy'], report)
  const pause = await pausePath(report)
  const coredns = await corednsPath(report)
  const api = new ApiClient(dir, server)
  try {
    const sandboxImage = await step(report, `image registry ${addresses.registry}`, async () => {
      daemons.push(await startRegistry(dir, addresses.registry, findProgram('docker-registry') ?? 'docker-registry'))
      return pushProgram(addresses.registry, 'pause', pause)
    })
    const mirrors = await writeMirrors(dir, addresses.registry)
    await step(report, `DNS for Services (${addresses.dnsService})`, async () => {
      await writeKubeconfig(join(dir, 'coredns.kubeconfig'), dir, server, 'coredns')
      daemons.push(await startDns(dir, addresses, coredns, api))
    })
    const programs = { kubelet, kubeProxy, pause }
    const surroundings = { dir, server, addresses, programs, sandboxImage, mirrors }
    for (const node of addresses.nodes) {
      await step(report, `${node.name} (${node.address}): containerd, kubelet, kube-proxy`, async () => {
        daemons.push(...(await startNode(surroundings, node)))
      })
    }
    await step(report, `${nodeCount === 1 ? 'the node is' : 'the nodes are'} Ready`, () =>
      nodesReady(api, addresses, daemons),
    )
  } finally {
    await api.close()
  }
  await writeState({ ...state, stage: 'up' })
}

/** The smallest index that no other cluster has; the default cluster's is always 0. */
async function claimIndex(name: string, nodes: number): Promise<ClusterState> {
  return withLock(indexLock(), async () => {
    const states = await Promise.all((await clusterNames()).map(readState))
    const bridges = (await findBridges()).map((bridge) => bridge.name)
    const taken = states.filter((state) => state?.kind === 'nodes').map((state) => `slipway${state?.index}`)
    const indexes = Array.from({ length: MAX_CLUSTERS }, (_, index) => index)
    const free = indexes.filter((index) => ![...bridges, ...taken].includes(`slipway${index}`))
    const index = name === DEFAULT_CLUSTER ? 0 : free.find((candidate) => candidate > 0)
    if (index === undefined) throw new Error(`${MAX_CLUSTERS} clusters are up; take one down first`)
    const server = serverOf(planOf(clusterDir(name), clusterAddresses(name, index, nodes)))
    const state: ClusterState = {
      name,
      kind: 'nodes',
      stage: 'starting',
      kubernetesVersion: KUBERNETES_VERSION,
      server,
      index,
      nodes,
    }
    await writeState(state)
    return state
  })
}

function planOf(dir: string, addresses: ClusterAddresses): ControlPlanePlan {
  return {
    dir,
    address: addresses.host,
    // The bridge's address belongs to this cluster alone, and etcd's ports are kept apart by the index.
    ports: {
      api: addresses.apiPort,
      etcd: 23790 + 2 * addresses.index,
      etcdPeer: 23791 + 2 * addresses.index,
    },
    serviceCidr: addresses.serviceCidr,
    hasNodes: true,
  }
}

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string }
    readonly status: { readonly conditions?: readonly { type: string; status: string; message: string }[] }
  }[]
}

/** What each node says of itself: `Ready`, or why not. */
export async function nodeConditions(api: ApiClient): Promise<Map<string, string>> {
  const { status, text } = await api.send('GET', '/api/v1/nodes')
  if (status !== 200) throw new Error(`the API server answered ${status}: ${text}`)
  const { items } = JSON.parse(text) as NodeList
  return new Map(
    items.map((node) => {
      const ready = node.status.conditions?.find(({ type }) => type === 'Ready')
      return [node.metadata.name, ready?.status === 'True' ? 'Ready' : `NotReady: ${ready?.message ?? 'no word yet'}`]
    }),
  )
}

async function nodesReady(api: ApiClient, addresses: ClusterAddresses, daemons: readonly Daemon[]): Promise<void> {
  const areReady = async (): Promise<boolean | string> => {
    const conditions = await nodeConditions(api)
    const waiting = addresses.nodes.filter(({ name }) => conditions.get(name) !== 'Ready')
    return waiting.length === 0 || waiting.map(({ name }) => `${name} ${conditions.get(name) ?? 'absent'}`).join('; ')
  }
  await waitUntil('the nodes are Ready', areReady, { timeoutMs: 120_000, failed: () => whatEnded(daemons) })
}

/** Ends and removes everything of a cluster, whatever state it is in. */
async function clear(name: string, report: Report): Promise<void> {
  const dir = clusterDir(name)
  const addresses = await findAddresses(name)
  await stopAll(dir, 500)
  if (addresses) {
    await removeNetwork(addresses)
    for (const node of addresses.nodes) await removeGroup(node.cgroup)
  }
  // Nodes mount in a namespace of their own; should anything be mounted here all the same, deleting must not enter it.
  await unmountBelow(dir, report)
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  if (addresses) await removeMountPoints()
}

/** True when a cluster of this name has a folder, or runs although its folder was deleted. */
async function isThere(name: string): Promise<boolean> {
  const dir = clusterDir(name)
  return existsSync(dir) || findMarked(dir).length > 0 || (await findAddresses(name)) !== undefined
}

/** The addresses of a node cluster by its state, or where that was deleted, by the bridge that names its folder. */
async function findAddresses(name: string): Promise<ClusterAddresses | undefined> {
  const state = await readState(name)
  if (state) return state.kind === 'nodes' ? clusterAddresses(name, state.index, state.nodes) : undefined
  if (!findProgram('ip')) return undefined
  const bridge = (await findBridges()).find(({ owner }) => owner === clusterDir(name))
  return bridge && clusterAddresses(name, Number(bridge.name.replace('slipway', '')), MAX_NODES)
}

export const kubeconfigOf = (name: string): string => kubeconfigPath(clusterDir(name))
