// The flags of the control plane's programs, as pure functions of where the cluster lives.
import { join } from 'node:path'
import { keyPair } from './certificates.ts'

/** Where a control plane lives and how it is reached. */
export interface ControlPlanePlan {
  /** The cluster's folder. */
  readonly dir: string
  /** The address that the API server listens on; nothing listens on any other, except etcd on loopback. */
  readonly address: string
  readonly ports: { readonly api: number; readonly etcd: number; readonly etcdPeer: number }
  /** The range of Service addresses; its first address is the API server's own Service. */
  readonly serviceCidr: string
  /** False on loopback, where no node could follow the `kubernetes` Service to the API server. */
  readonly hasNodes: boolean
}

export const auditLogPath = (dir: string): string => join(dir, 'audit.log')
export const kubeconfigPath = (dir: string): string => join(dir, 'kubeconfig')

/** The flags of etcd. Its data need not survive a crash of the machine, so it does not wait for the disk. */
export function etcdFlags({ dir, ports }: ControlPlanePlan): string[] {
  const client = `http://127.0.0.1:${ports.etcd}`
  const peer = `http://127.0.0.1:${ports.etcdPeer}`
  return [
    '--name=etcd',
    `--data-dir=${join(dir, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=etcd=${peer}`,
    '--unsafe-no-fsync',
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=30m',
    '--log-level=warn',
  ]
}

/** The flags of the API server: authorization as on real clusters, every request in the audit log. */
export function apiserverFlags(plan: ControlPlanePlan): string[] {
  const { dir, address, ports } = plan
  const serving = keyPair(dir, 'apiserver')
  const kubelet = keyPair(dir, 'apiserver-kubelet-client')
  const serviceAccount = keyPair(dir, 'service-account')
  const authority = keyPair(dir, 'ca').certificate
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    `--secure-port=${ports.api}`,
    `--endpoint-reconciler-type=${plan.hasNodes ? 'lease' : 'none'}`,
    `--client-ca-file=${authority}`,
    `--tls-cert-file=${serving.certificate}`,
    `--tls-private-key-file=${serving.key}`,
    `--kubelet-client-certificate=${kubelet.certificate}`,
    `--kubelet-client-key=${kubelet.key}`,
    `--kubelet-certificate-authority=${authority}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${serviceAccount.key}`,
    `--service-account-signing-key-file=${serviceAccount.key}`,
    `--service-cluster-ip-range=${plan.serviceCidr}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    '--profiling=false',
    `--audit-policy-file=${join(dir, 'audit-policy.json')}`,
    `--audit-log-path=${auditLogPath(dir)}`,
    '--audit-log-mode=blocking',
    '--audit-log-maxsize=1024',
    '--audit-log-maxbackup=1',
  ]
}

/** The flags of the controller manager. Node loss is noticed sooner than by default, so that tests need not wait. */
export function controllerManagerFlags({ dir }: ControlPlanePlan): string[] {
  const authority = keyPair(dir, 'ca')
  return [
    `--kubeconfig=${join(dir, 'kube-controller-manager.kubeconfig')}`,
    `--service-account-private-key-file=${keyPair(dir, 'service-account').key}`,
    `--root-ca-file=${authority.certificate}`,
    '--use-service-account-credentials=true',
    `--cluster-signing-cert-file=${authority.certificate}`,
    `--cluster-signing-key-file=${authority.key}`,
    '--leader-elect=false',
    '--secure-port=0',
    '--profiling=false',
    '--node-monitor-grace-period=20s',
    // The default of 20 requests a second is shared by all controllers and slows small clusters down.
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ]
}

/** The flags of the scheduler. */
export function schedulerFlags({ dir }: ControlPlanePlan): string[] {
  return [
    `--kubeconfig=${join(dir, 'kube-scheduler.kubeconfig')}`,
    '--leader-elect=false',
    '--secure-port=0',
    '--profiling=false',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ]
}

/** One line a request, when it is answered, with who, what and the result, but no bodies. */
export const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
}

/** The first usable address of a range: `10.96.0.0/16` gives `10.96.0.1`. */
export function addressIn(cidr: string, host: number): string {
  const [base] = cidr.split('/')
  const parts = (base ?? '').split('.').map(Number)
  parts[3] = (parts[3] ?? 0) + host
  return parts.join('.')
}
