// DNS for Services: CoreDNS on the host, which pods reach through the usual Service kube-dns. Names outside the cluster
// do not exist for pods: nothing routes them there.
import { writeFile } from 'node:fs/promises'
import { Resolver } from 'node:dns/promises'
import { join } from 'node:path'
import type { ClusterAddresses } from './addresses.ts'
import { type ApiClient, waitUntil } from './api.ts'
import { type Daemon, startDaemon, whatEnded } from './processes.ts'

/** The certificate user that CoreDNS reads Services as. */
export const DNS_USER = 'system:coredns'

/** Starts CoreDNS, makes the Service that leads to it, and waits until it resolves the API server's own Service. */
export async function startDns(
  dir: string,
  addresses: ClusterAddresses,
  program: string,
  api: ApiClient,
): Promise<Daemon> {
  for (const [path, object] of dnsObjects(addresses)) await api.apply(path, object)
  const corefile = join(dir, 'Corefile')
  await writeFile(corefile, renderCorefile(addresses, join(dir, 'coredns.kubeconfig')))
  const args = ['-conf', corefile]
  const daemon = await startDaemon({ name: 'coredns', command: program, args, dir, diesWithParent: false })
  const resolver = new Resolver({ timeout: 500, tries: 1 })
  resolver.setServers([`${addresses.host}:${addresses.dnsPort}`])
  const resolves = async (): Promise<boolean> =>
    (await resolver.resolve4('kubernetes.default.svc.cluster.local')).length === 1
  await waitUntil('CoreDNS resolves Services', resolves, { failed: () => whatEnded([daemon]) })
  return daemon
}

/** The Corefile: Services and reverse names from the API server; for all else NXDOMAIN. */
export function renderCorefile({ host, dnsPort }: ClusterAddresses, kubeconfig: string): string {
  return `cluster.local:${dnsPort} in-addr.arpa:${dnsPort} {
  bind ${host}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    ttl 5
  }
}
.:${dnsPort} {
  bind ${host}
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`
}

/** What makes CoreDNS reachable and lets it read: paths and objects to apply. */
export function dnsObjects({ host, dnsPort, dnsService }: ClusterAddresses): [path: string, object: object][] {
  const namespace = 'kube-system'
  const ports = [
    { name: 'dns', protocol: 'UDP', port: 53, targetPort: dnsPort },
    { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: dnsPort },
  ]
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
  return [
    [
      `/api/v1/namespaces/${namespace}/services/kube-dns`,
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'kube-dns', namespace, labels: { 'k8s-app': 'kube-dns' } },
        spec: { clusterIP: dnsService, ports },
      },
    ],
    [
      `${slices}/kube-dns`,
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'kube-dns', namespace, labels: { 'kubernetes.io/service-name': 'kube-dns' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: [host], conditions: { ready: true } }],
        ports: ports.map(({ name, protocol }) => ({ name, protocol, port: dnsPort })),
      },
    ],
    [
      `${rbac}/clusterroles/${DNS_USER}`,
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: DNS_USER },
        rules: [
          { apiGroups: [''], resources: ['services', 'pods', 'namespaces', 'endpoints'], verbs: ['list', 'watch'] },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
        ],
      },
    ],
    [
      `${rbac}/clusterrolebindings/${DNS_USER}`,
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: DNS_USER },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: DNS_USER },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: DNS_USER }],
      },
    ],
  ]
}
