// The addresses and names of a node cluster, all derived from its index, so that several run side by side.

/** How many node clusters one machine can hold at once. */
export const MAX_CLUSTERS = 10
export const MAX_NODES = 9

export interface NodeAddresses {
  readonly name: string
  readonly address: string
  readonly podCidr: string
  /** The host's end of its cable; taking it down cuts the node off. */
  readonly link: string
  /** Its zone label, for topology spread. */
  readonly zone: string
  readonly cgroup: string
}

export interface ClusterAddresses {
  readonly index: number
  readonly bridge: string
  /** The host's address on the bridge: API server, registry and DNS listen here. */
  readonly host: string
  readonly hostCidr: string
  readonly podCidr: string
  readonly serviceCidr: string
  readonly apiPort: number
  readonly registry: string
  readonly dnsPort: number
  /** The Service address that pods ask for names. */
  readonly dnsService: string
  readonly nodes: readonly NodeAddresses[]
}

/** The name by which pods and manifests call the cluster's own registry. */
export const REGISTRY_NAME = 'slipway.local:5000'

/** Index 0 is the default cluster's: host 10.250.0.1, nodes 10.250.0.2 and on, pods 10.244/16, Services 10.96/16. */
export function clusterAddresses(name: string, index: number, nodeCount: number): ClusterAddresses {
  if (!Number.isInteger(index) || index < 0 || index >= MAX_CLUSTERS) throw new RangeError(`no cluster index ${index}`)
  const network = `10.250.${index}`
  const pods = `10.${244 - index}`
  const services = `10.${96 + index}`
  return {
    index,
    bridge: `slipway${index}`,
    host: `${network}.1`,
    hostCidr: `${network}.1/24`,
    podCidr: `${pods}.0.0/16`,
    serviceCidr: `${services}.0.0/16`,
    apiPort: 6443,
    registry: `${network}.1:5000`,
    dnsPort: 10053,
    dnsService: `${services}.0.10`,
    nodes: Array.from({ length: nodeCount }, (_, position) => ({
      name: `node-${position + 1}`,
      address: `${network}.${position + 2}`,
      podCidr: `${pods}.${position + 1}.0/24`,
      link: `slipway${index}n${position + 1}`,
      zone: `zone-${position + 1}`,
      cgroup: `slipway-${name}-node-${position + 1}`,
    })),
  }
}
