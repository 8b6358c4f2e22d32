// The programs that come from the distribution: which are needed, which are missing, and how they get here. Installs
// only as root; starts no service.
import { accessSync, constants, rmSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { run } from './commands.ts'
import { type Report, step } from './report.ts'

/** A Debian package and the files, by any of these names, that show it is there. */
export interface Package {
  readonly name: string
  readonly provides: readonly string[]
}

const command = (name: string, provides = name): Package => ({ name, provides: [provides] })

export const CONTROL_PLANE_PACKAGES: readonly Package[] = [
  command('etcd-server', 'etcd'),
  command('openssl'),
  command('util-linux', 'setpriv'),
  { name: 'ca-certificates', provides: ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'] },
]

export const NODE_PACKAGES: readonly Package[] = [
  command('containerd'),
  command('runc'),
  { name: 'containernetworking-plugins', provides: ['/usr/lib/cni/bridge', '/opt/cni/bin/bridge'] },
  command('buildah'),
  command('debootstrap'),
  command('docker-registry'),
  command('iptables'),
  command('conntrack'),
  command('ipset'),
  command('socat'),
  command('ethtool'),
  command('kmod', 'modprobe'),
  command('iproute2', 'ip'),
]

/** For what only PyPI has; brings Python where there is none. */
export const pip: Package = { name: 'python3-pip', provides: ['pip3', 'pip'] }

/** Programs of administrators live in sbin, which is not on everybody's PATH. */
export function searchPath(environment: NodeJS.ProcessEnv = process.env): string[] {
  return [...(environment['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
}

/** Whether this machine has a program (a name) or a file (a path). */
function isProvided(provided: string): boolean {
  return provided.startsWith('/') ? exists(provided) : findProgram(provided) !== undefined
}

/** The full path of a program, or undefined. A path is checked, a name is searched for. */
export function findProgram(name: string, path: readonly string[] = searchPath()): string | undefined {
  const candidates = name.startsWith('/') ? [name] : path.filter(Boolean).map((folder) => join(folder, name))
  return candidates.find((candidate) => isAllowed(candidate, constants.X_OK))
}

/** The packages of which nothing is found; `find` says whether a program or file is there. */
export function missingPackages(
  packages: readonly Package[],
  find: (provided: string) => boolean = isProvided,
): string[] {
  return packages.filter(({ provides }) => !provides.some(find)).map(({ name }) => name)
}

/**
 * Installs what is missing with apt-get.
 * @throws when something is missing and this is not root, naming the packages and the command
 */
export async function installPackages(packages: readonly Package[], report: Report): Promise<void> {
  const missing = missingPackages(packages)
  if (missing.length === 0) return
  const install = ['install', '-y', '--no-install-recommends', ...missing]
  if (process.getuid?.() !== 0 || !findProgram('apt-get')) {
    throw new Error(`these packages are missing: ${missing.join(', ')}. Run: sudo apt-get ${install.join(' ')}`)
  }
  const environment = { DEBIAN_FRONTEND: 'noninteractive' }
  const allowServices = forbidServices()
  try {
    await step(report, 'reading the package lists', () => run('apt-get', ['update'], { environment }))
    await step(report, `installing ${missing.join(', ')}`, () => run('apt-get', install, { environment }))
  } finally {
    allowServices()
  }
  const still = missingPackages(packages)
  if (still.length > 0) throw new Error(`apt-get installed them, yet these are not found: ${still.join(', ')}`)
}

/**
 * Unpacks Debian packages into a folder, without root and without installing anything. Done once; later calls return
 * the folder at once.
 */
export async function unpackPackages(names: readonly string[], folder: string, report: Report): Promise<string> {
  if (exists(folder)) return folder
  if (!findProgram('apt-get')) {
    throw new Error(`${names.join(', ')} cannot be fetched: this machine has no apt-get. Install it and try again.`)
  }
  const unpacking = `${folder}.unpacking`
  await rm(unpacking, { recursive: true, force: true })
  await mkdir(unpacking, { recursive: true })
  await step(report, `fetching ${names.join(', ')} (unpacked into the cache, nothing is installed)`, async () => {
    await run('apt-get', ['download', ...names], { cwd: unpacking })
    for (const file of await readdir(unpacking)) {
      if (!file.endsWith('.deb')) continue
      await run('dpkg-deb', ['-x', file, '.'], { cwd: unpacking })
      await rm(join(unpacking, file))
    }
  })
  await rename(unpacking, folder)
  return folder
}

/** Debian starts a service on installation unless this program says no (101). Returns how to take it away again. */
function forbidServices(): () => void {
  const policy = '/usr/sbin/policy-rc.d'
  if (exists(policy)) return () => {}
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  return () => rmSync(policy)
}

const exists = (path: string): boolean => isAllowed(path, constants.F_OK)

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
