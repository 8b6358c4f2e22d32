// The wires of a node cluster: a bridge on the host and one cable a node. Changes nothing else on the host: no
// firewall rule, no forwarding; nothing routes pods to the outside.
import type { ClusterAddresses, NodeAddresses } from './addresses.ts'
import { run, tryRun } from './commands.ts'

/** A bridge of the host, and the folder of the cluster that made it, if one did. */
interface Bridge {
  readonly name: string
  readonly owner?: string
}

/**
 * The bridge with the host's address on it, marked with its cluster's folder.
 * @throws when the address is in use by something else
 */
export async function createBridge(addresses: ClusterAddresses, dir: string): Promise<void> {
  const { bridge, host, hostCidr } = addresses
  const taken = (await list(['address'])).find(({ addr_info: infos }) => infos?.some(({ local }) => local === host))
  if (taken) {
    const owner = taken.ifalias ? `the cluster in ${taken.ifalias}` : 'something else'
    throw new Error(`the address ${host} is in use by ${owner} (interface ${taken.ifname})`)
  }
  await ip([
    `link add ${bridge} type bridge`,
    `link set ${bridge} alias ${dir}`,
    `address add ${hostCidr} dev ${bridge}`,
    `link set ${bridge} up`,
  ])
}

/** All bridges of the host. */
export async function findBridges(): Promise<Bridge[]> {
  const links = await list(['link', 'show', 'type', 'bridge'])
  return links.map(({ ifname: name, ifalias: owner }) => ({ name, ...(owner ? { owner } : {}) }))
}

/**
 * Plugs a node in: its `eth0`, its routes to the other nodes' pods, the host's route to its pods. Service addresses are
 * reached from the host through the first node.
 * @param pid process 1 of the node, as the host counts
 */
export async function connectNode(addresses: ClusterAddresses, node: NodeAddresses, pid: number): Promise<void> {
  const { bridge, host, nodes, serviceCidr } = addresses
  await ip([
    `link add ${node.link} type veth peer name eth0 netns ${pid}`,
    `link set ${node.link} master ${bridge} up`,
    `route add ${node.podCidr} via ${node.address} dev ${bridge}`,
    ...(node === nodes[0] ? [`route add ${serviceCidr} via ${node.address} dev ${bridge}`] : []),
  ])
  const inside = [
    'link set lo up',
    `address add ${node.address}/24 dev eth0`,
    'link set eth0 up',
    `route add default via ${host}`,
    ...nodes.filter((other) => other !== node).map((other) => `route add ${other.podCidr} via ${other.address}`),
  ]
  await run('nsenter', ['--target', String(pid), '--net', 'ip', '-batch', '-'], { input: `${inside.join('\n')}\n` })
}

/** Removes the bridge, the cables and with them the routes. Harmless when there are none. */
export async function removeNetwork({ bridge, nodes }: ClusterAddresses): Promise<void> {
  // A cable goes with its node's namespace, but the kernel takes its time over that.
  for (const link of [...nodes.map((node) => node.link), bridge]) {
    if (await linkExists(link)) await tryRun('ip', ['link', 'delete', link])
    if (await linkExists(link)) throw new Error(`the network link ${link} cannot be deleted`)
  }
}

/** Whether the host has a link of this name. */
export const linkExists = (name: string): Promise<boolean> => tryRun('ip', ['link', 'show', 'dev', name])

interface Link {
  readonly ifname: string
  readonly ifalias?: string
  readonly addr_info?: readonly { readonly local?: string }[]
}

async function list(args: readonly string[]): Promise<Link[]> {
  const links: Link[] = JSON.parse((await run('ip', ['-j', '-details', ...args])) || '[]')
  return links
}

async function ip(commands: readonly string[]): Promise<void> {
  await run('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` })
}
