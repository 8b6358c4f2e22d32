// One node: a process namespace that holds containerd, kubelet, kube-proxy and every pod, with its own mounts and
// network. Ending its process 1 ends all of that at once, which is what makes taking a node down safe.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterAddresses, NodeAddresses } from './addresses.ts'
import { waitUntil } from './api.ts'
import type { CertificateRequest } from './certificates.ts'
import { createGroup } from './cgroups.ts'
import { run } from './commands.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { connectNode } from './network.ts'
import {
  cniConfiguration,
  containerdConfiguration,
  kubeletConfiguration,
  kubeProxyConfiguration,
  type NodePaths,
  NODE_INIT,
} from './nodeconfig.ts'
import { searchPath } from './packages.ts'
import { type Daemon, startDaemon, whatEnded } from './processes.ts'

export interface NodePrograms {
  readonly kubelet: string
  readonly kubeProxy: string
  readonly pause: string
}

/** What a node needs from its cluster. */
export interface NodeSurroundings {
  readonly dir: string
  readonly server: string
  readonly addresses: ClusterAddresses
  readonly programs: NodePrograms
  readonly sandboxImage: string
  /** containerd's folder of registry mirrors. */
  readonly mirrors: string
}

/** The certificates of a node: one that is its identity as client and what its kubelet serves with. */
export function nodeCertificate(node: NodeAddresses): CertificateRequest {
  const names = [node.name, node.address]
  return { name: node.name, commonName: `system:node:${node.name}`, organization: 'system:nodes', names }
}

/** Starts a node. Returns its daemons; it is Ready some seconds later. */
export async function startNode(surroundings: NodeSurroundings, node: NodeAddresses): Promise<Daemon[]> {
  const { dir, programs } = surroundings
  const paths = nodePaths(dir, node)
  await createGroup(node.cgroup)
  await writeConfiguration(surroundings, node, paths)
  const init = await startInit(dir, node, programs.pause)
  const pid = await initPid(init)
  await connectNode(surroundings.addresses, node, pid)

  const inside = async (name: string, command: string, args: readonly string[]): Promise<Daemon> =>
    startDaemon({
      name: `${name}-${node.name}`,
      command: 'nsenter',
      args: ['--target', String(pid), '--mount', '--net', '--pid', '--', command, ...args],
      dir,
      diesWithParent: false,
      environment: { PATH: searchPath().join(':') },
    })
  const containerd = await inside('containerd', 'containerd', ['--config', paths.containerd])
  const socket = `/proc/${pid}/root/run/containerd/containerd.sock`
  await waitUntil(`containerd of ${node.name} listens`, async () => existsSync(socket), {
    failed: () => whatEnded([containerd]),
  })
  const kubelet = await inside('kubelet', programs.kubelet, [
    `--config=${paths.kubelet}`,
    `--kubeconfig=${paths.kubeconfig}`,
    `--cert-dir=${join(paths.folder, 'kubelet-pki')}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address}`,
    `--node-labels=topology.kubernetes.io/zone=${node.zone}`,
  ])
  const proxy = await inside('kube-proxy', programs.kubeProxy, [
    `--config=${paths.kubeProxy}`,
    `--hostname-override=${node.name}`,
  ])
  return [init, containerd, kubelet, proxy]
}

/** Process 1 of a node as the host counts, found through the process that made its namespaces. */
export async function childOf(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const child = Number.parseInt(children, 10)
  return Number.isInteger(child) ? child : undefined
}

export function nodePaths(dir: string, node: Pick<NodeAddresses, 'name'>): NodePaths {
  const folder = join(dir, node.name)
  const inFolder = (name: string): string => join(folder, name)
  return {
    folder,
    containerd: inFolder('containerd.toml'),
    containerdRoot: inFolder('containerd'),
    cni: inFolder('cni'),
    kubelet: inFolder('kubelet.json'),
    kubeletRoot: inFolder('kubelet'),
    kubeconfig: inFolder('kubeconfig'),
    podLogs: inFolder('pod-logs'),
    kubeProxy: inFolder('kube-proxy.json'),
    kubeProxyKubeconfig: inFolder('kube-proxy.kubeconfig'),
    resolvConf: inFolder('resolv.conf'),
    ready: inFolder('ready'),
  }
}

async function writeConfiguration(
  surroundings: NodeSurroundings,
  node: NodeAddresses,
  paths: NodePaths,
): Promise<void> {
  const { dir, server, addresses, sandboxImage, mirrors } = surroundings
  await mkdir(paths.cni, { recursive: true })
  await mkdir(paths.podLogs, { recursive: true })
  await mkdir(paths.kubeletRoot, { recursive: true })
  const cniPlugins = existsSync('/usr/lib/cni/bridge') ? '/usr/lib/cni' : '/opt/cni/bin'
  const snapshotter = await snapshotterFor(paths.folder)
  await writeFile(paths.containerd, containerdConfiguration({ paths, sandboxImage, mirrors, cniPlugins, snapshotter }))
  await writeFile(join(paths.cni, '10-slipway.conflist'), JSON.stringify(cniConfiguration(node)))
  await writeFile(paths.kubelet, JSON.stringify(kubeletConfiguration(dir, addresses, node, paths)))
  await writeFile(paths.kubeProxy, JSON.stringify(kubeProxyConfiguration(addresses, paths)))
  await writeFile(paths.resolvConf, `nameserver ${addresses.dnsService}\n`)
  await writeKubeconfig(paths.kubeconfig, dir, server, node.name)
  await writeKubeconfig(paths.kubeProxyKubeconfig, dir, server, 'kube-proxy')
}

/** Makes the namespaces and leaves one process in them that waits and reaps. */
async function startInit(dir: string, node: NodeAddresses, pause: string): Promise<Daemon> {
  const { ready, kubeletRoot } = nodePaths(dir, node)
  await rm(ready, { force: true })
  const namespaces = ['--mount', '--propagation', 'private', '--net', '--pid', '--fork', '--mount-proc']
  const init = await startDaemon({
    name: node.name,
    command: 'unshare',
    args: [...namespaces, '--kill-child=KILL', '--', 'sh', '-euc', NODE_INIT, 'sh', ready, pause, kubeletRoot],
    dir,
    diesWithParent: false,
  })
  await waitUntil(`${node.name} has its namespaces`, async () => existsSync(ready), { failed: () => whatEnded([init]) })
  return init
}

async function initPid(init: Daemon): Promise<number> {
  const pid = await childOf(init.record.pid)
  if (!pid) throw new Error(`${init.record.name} lost its first process; see ${init.log}`)
  return pid
}

/** overlayfs cannot stack on itself, so inside a container layers are plain copies. */
async function snapshotterFor(folder: string): Promise<'overlayfs' | 'native'> {
  const type = await run('stat', ['--file-system', '--format=%T', folder])
  return type.trim() === 'overlayfs' ? 'native' : 'overlayfs'
}
