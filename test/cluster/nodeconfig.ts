// The configuration files of one node, as pure functions of where it lives. Each departure from a default says why.
import type { ClusterAddresses, NodeAddresses } from './addresses.ts'
import { keyPair } from './certificates.ts'

/** Where a node keeps what. */
export interface NodePaths {
  readonly folder: string
  readonly containerd: string
  readonly containerdRoot: string
  readonly cni: string
  readonly kubelet: string
  /** On the host; the node sees it as /var/lib/kubelet. */
  readonly kubeletRoot: string
  readonly kubeconfig: string
  readonly podLogs: string
  readonly kubeProxy: string
  readonly kubeProxyKubeconfig: string
  readonly resolvConf: string
  readonly ready: string
}

/**
 * What a node's process 1 does before it waits ($1: the file that says it is done, $2: the pause program,
 * $3: what becomes /var/lib/kubelet). Its own
 * /run and /var/log keep sockets, locks, network namespaces and log links of the node off the host. kubelet sets
 * five kernel settings that are the whole machine's: it finds them set, in files laid over the real ones.
 */
export const NODE_INIT = `
mount --make-rshared /
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /var/log
mount -t tmpfs -o mode=0755 tmpfs /var/lib/cni
mount --bind "$3" /var/lib/kubelet
mkdir -p /run/lock /run/settings
for setting in vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1 \\
    kernel.keys.root_maxkeys=1000000 kernel.keys.root_maxbytes=25000000; do
  name=\${setting%=*}
  echo "\${setting#*=}" > "/run/settings/$name"
  mount --bind "/run/settings/$name" "/proc/sys/$(echo "$name" | tr . /)"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe br_netfilter
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
echo done > "$1"
exec "$2"
`

export interface ContainerdSettings {
  readonly paths: NodePaths
  readonly sandboxImage: string
  readonly mirrors: string
  readonly cniPlugins: string
  readonly snapshotter: 'overlayfs' | 'native'
}

/** containerd's configuration, version 2. */
export function containerdConfiguration(settings: ContainerdSettings): string {
  const { paths, sandboxImage, mirrors, cniPlugins, snapshotter } = settings
  const text = (value: string): string => JSON.stringify(value)
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  // restrict_oom_score_adj: where the machine lacks CAP_SYS_RESOURCE, lowering a sandbox's score fails every pod.
  return `version = 2
root = ${text(paths.containerdRoot)}
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[${cri}]
  sandbox_image = ${text(sandboxImage)}
  restrict_oom_score_adj = true
[${cri}.containerd]
  snapshotter = ${text(snapshotter)}
  discard_unpacked_layers = true
  default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
[${cri}.cni]
  bin_dir = ${text(cniPlugins)}
  conf_dir = ${text(paths.cni)}
[${cri}.registry]
  config_path = ${text(mirrors)}
`
}

/** The pods' network on one node: a bridge, addresses from the node's range, no address translation. */
export function cniConfiguration(node: NodeAddresses): object {
  const ipam = {
    type: 'host-local',
    ranges: [[{ subnet: node.podCidr }]],
    dataDir: '/run/cni-addresses',
  }
  return {
    cniVersion: '0.4.0',
    name: 'slipway',
    plugins: [
      { type: 'bridge', bridge: 'cni0', isDefaultGateway: true, hairpinMode: true, ipMasq: false, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }
}

/** kubelet's configuration. */
export function kubeletConfiguration(
  dir: string,
  addresses: ClusterAddresses,
  node: NodeAddresses,
  paths: NodePaths,
): object {
  const serving = keyPair(dir, node.name)
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: node.address,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: keyPair(dir, 'ca').certificate },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: serving.certificate,
    tlsPrivateKeyFile: serving.key,
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${node.cgroup}`,
    clusterDNS: [addresses.dnsService],
    clusterDomain: 'cluster.local',
    resolvConf: paths.resolvConf,
    podLogsDir: paths.podLogs,
    volumePluginDir: `${paths.folder}/volume-plugins`,
    failSwapOn: false,
    // The machine's disk and memory are shared with everything else on it: a full disk must not empty the node.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    serializeImagePulls: false,
    registryPullQPS: 0,
    // Tests change many pods at once; the defaults (50 and 100) are for thousands of nodes on one API server.
    kubeAPIQPS: 200,
    kubeAPIBurst: 400,
  }
}

/** kube-proxy's configuration. Connection tracking limits are the whole machine's, so they are left alone. */
export function kubeProxyConfiguration(addresses: ClusterAddresses, paths: NodePaths): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: paths.kubeProxyKubeconfig },
    mode: 'iptables',
    clusterCIDR: addresses.podCidr,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  }
}
