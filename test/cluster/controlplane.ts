// A real control plane without root: etcd, kube-apiserver and, unless told otherwise, kube-controller-manager, on free
// ports, so that several run at once. What integration tests stand on. Nothing is scheduled: it has no nodes.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { ApiClient, waitUntil } from './api.ts'
import { kubernetesPrograms } from './binaries.ts'
import { cacheDir } from './cache.ts'
import { type CertificateRequest, createAuthority, createCertificates } from './certificates.ts'
import {
  addressIn,
  apiserverFlags as flagsOfApiserver,
  AUDIT_POLICY,
  auditLogPath,
  controllerManagerFlags,
  type ControlPlanePlan,
  etcdFlags,
  kubeconfigPath,
  schedulerFlags,
} from './flags.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { CONTROL_PLANE_PACKAGES, findProgram, installPackages, missingPackages, unpackPackages } from './packages.ts'
import {
  type Daemon,
  isAlive,
  parseRecord,
  type ProcessRecord,
  recordOf,
  startDaemon,
  stopAll,
  whatEnded,
} from './processes.ts'
import { type Report, silent, step, toStderr } from './report.ts'

export interface ControlPlaneOptions {
  /** Whether kube-controller-manager runs: garbage collection, Deployments, Jobs, namespaces. Default true. */
  readonly controllers?: boolean
  /** Where progress goes. By default only the first build, which takes minutes, is reported. */
  readonly report?: Report
  /** The folder to live in. By default a fresh one in the cache, removed by `stop()`. */
  readonly dir?: string
  /** True: the processes outlive this one. Default false: the kernel kills them with it, however it ends. */
  readonly detached?: boolean
  /** Flags for kube-apiserver beyond its own, such as a short `--min-request-timeout`. */
  readonly apiserverFlags?: readonly string[]
}

export interface ControlPlane {
  readonly kubeconfig: string
  /** JSON lines, one a request, level Metadata. */
  readonly auditLog: string
  /** Such as `https://127.0.0.1:40123`. */
  readonly server: string
  /** Where etcd answers: plain HTTP on loopback. */
  readonly etcd: string
  /** Holds everything: `logs/`, `pki/`, the audit log. */
  readonly dir: string
  readonly processes: readonly ProcessRecord[]
  /** Ends the processes and removes the folder. Harmless when called twice. */
  stop(): Promise<void>
}

/** Starts a control plane and waits until it answers, with the `default` service account in place. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { controllers = true, report = silent, detached = false, apiserverFlags = [] } = options
  await removeLeftovers()
  for (let attempt = 1; ; attempt++) {
    const dir = options.dir ?? (await newDirectory())
    const stop = async (): Promise<void> => {
      await stopAll(dir, 2000)
      await rm(dir, { recursive: true, force: true })
    }
    try {
      const plan = await planOnLoopback(dir)
      const diesWithParent = !detached
      const daemons = await launch(plan, { controllers, scheduler: false, diesWithParent, report, apiserverFlags })
      const processes = daemons.map(({ record }) => record)
      return {
        kubeconfig: kubeconfigPath(dir),
        auditLog: auditLogPath(dir),
        server: serverOf(plan),
        etcd: `http://127.0.0.1:${plan.ports.etcd}`,
        dir,
        processes,
        stop,
      }
    } catch (error) {
      await stop()
      // A port that was free when it was chosen can be somebody else's by the time it is used.
      if (attempt === 3 || !String(error).includes('address already in use')) throw error
    }
  }
}

export const serverOf = ({ address, ports }: ControlPlanePlan): string => `https://${address}:${ports.api}`

export interface LaunchOptions {
  readonly controllers: boolean
  readonly scheduler: boolean
  readonly diesWithParent: boolean
  readonly report: Report
  readonly apiserverFlags?: readonly string[]
  /** Certificates wanted beyond the control plane's own. */
  readonly certificates?: readonly CertificateRequest[]
}

/** Makes certificates, starts the programs of a control plane in its folder and waits until it answers. */
export async function launch(plan: ControlPlanePlan, options: LaunchOptions): Promise<Daemon[]> {
  const { dir } = plan
  const { controllers, scheduler, report } = options
  const etcdPath = await findEtcd(report)
  const buildReport = report === silent ? toStderr : report
  const [apiserverPath = ''] = await kubernetesPrograms(['kube-apiserver'], buildReport)
  const [managerPath = ''] = controllers ? await kubernetesPrograms(['kube-controller-manager'], buildReport) : []
  const [schedulerPath = ''] = scheduler ? await kubernetesPrograms(['kube-scheduler'], buildReport) : []

  await step(report, 'certificates', () => prepare(plan, options.certificates ?? []))
  const daemons: Daemon[] = []
  const start = async (name: string, command: string, args: readonly string[]): Promise<void> => {
    daemons.push(await startDaemon({ name, command, args, dir, diesWithParent: options.diesWithParent }))
  }
  const failed = (): string | undefined => whatEnded(daemons)
  const api = new ApiClient(dir, serverOf(plan))
  const ok = async (path: string): Promise<boolean | string> => {
    const { status, text } = await api.send('GET', path)
    return status === 200 || `${status} ${text}`
  }
  try {
    await step(report, 'etcd and kube-apiserver answer', async () => {
      await start('etcd', etcdPath, etcdFlags(plan))
      await start('kube-apiserver', apiserverPath, [...flagsOfApiserver(plan), ...(options.apiserverFlags ?? [])])
      await waitUntil('kube-apiserver is ready', () => ok('/readyz'), { failed })
    })
    if (scheduler) await start('kube-scheduler', schedulerPath, schedulerFlags(plan))
    if (controllers) {
      await step(report, 'kube-controller-manager works', async () => {
        await start('kube-controller-manager', managerPath, controllerManagerFlags(plan))
        const account = '/api/v1/namespaces/default/serviceaccounts/default'
        await waitUntil('the default service account exists', () => ok(account), { failed })
      })
    }
    return daemons
  } finally {
    await api.close()
  }
}

async function prepare(plan: ControlPlanePlan, more: readonly CertificateRequest[]): Promise<void> {
  const { dir, address } = plan
  const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', '127.0.0.1', address]
  await createAuthority(dir)
  await createCertificates(dir, [
    { name: 'admin', commonName: 'admin', organization: 'system:masters' },
    { name: 'apiserver', commonName: 'kube-apiserver', names: [...names, addressIn(plan.serviceCidr, 1)] },
    { name: 'apiserver-kubelet-client', commonName: 'kube-apiserver', organization: 'system:masters' },
    { name: 'kube-controller-manager', commonName: 'system:kube-controller-manager' },
    { name: 'kube-scheduler', commonName: 'system:kube-scheduler' },
    ...more,
  ])
  await writeFile(join(dir, 'audit-policy.json'), JSON.stringify(AUDIT_POLICY))
  await writeKubeconfig(kubeconfigPath(dir), dir, serverOf(plan), 'admin')
  for (const user of ['kube-controller-manager', 'kube-scheduler']) {
    await writeKubeconfig(join(dir, `${user}.kubeconfig`), dir, serverOf(plan), user)
  }
}

/** The machine's etcd; else Debian's: installed as root, unpacked into the cache otherwise. */
async function findEtcd(report: Report): Promise<string> {
  if (process.getuid?.() === 0) await installPackages(CONTROL_PLANE_PACKAGES, report)
  const own = findProgram('etcd')
  if (own) return own
  await installPackages(
    CONTROL_PLANE_PACKAGES.filter(({ name }) => name !== 'etcd-server'),
    report,
  )
  const folder = await unpackPackages(missingPackages(CONTROL_PLANE_PACKAGES), join(cacheDir(), 'etcd'), report)
  return join(folder, 'usr', 'bin', 'etcd')
}

const OWNER_FILE = 'owner.json'
const testsDirectory = (): string => join(cacheDir(), 'control-planes')

/** A folder that names its owner, so that it can be told from one that was left behind. */
async function newDirectory(): Promise<string> {
  await mkdir(testsDirectory(), { recursive: true })
  const dir = await mkdtemp(join(testsDirectory(), 'cp-'))
  await writeFile(join(dir, OWNER_FILE), JSON.stringify(recordOf('owner', process.pid)))
  return dir
}

async function planOnLoopback(dir: string): Promise<ControlPlanePlan> {
  const ports = await freePorts()
  return { dir, address: '127.0.0.1', ports, serviceCidr: '10.96.0.0/16', hasNodes: false }
}

/** Ends and removes control planes whose owner is gone. */
async function removeLeftovers(): Promise<void> {
  await mkdir(testsDirectory(), { recursive: true })
  for (const name of await readdir(testsDirectory())) {
    const dir = join(testsDirectory(), name)
    const owner = parseRecord(await readFile(join(dir, OWNER_FILE), 'utf8').catch(() => ''))
    if (!owner || isAlive(owner)) continue
    await stopAll(dir, 0)
    await rm(dir, { recursive: true, force: true })
  }
}

/** Three free ports of loopback, found while all three are held, so that they differ. */
async function freePorts(): Promise<ControlPlanePlan['ports']> {
  const servers = [createServer(), createServer(), createServer()]
  const ports = await Promise.all(servers.map(listen))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  const [api = 0, etcd = 0, etcdPeer = 0] = ports
  return { api, etcd, etcdPeer }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : 0)
    })
  })
}
