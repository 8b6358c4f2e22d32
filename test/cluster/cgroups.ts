// The control groups that nodes put their pods under, on hosts with cgroup v1 and v2. Touches only groups of the given
// name at the top of each hierarchy.
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = '/sys/fs/cgroup'

/** What pods are limited and counted by; `hugetlb` only where the kernel has it. */
const NEEDED = ['cpu', 'cpuset', 'memory', 'pids']

/**
 * A node stands for a machine: among the host's other processes, each of which weighs 1024 (v1) or 100 (v2), it must
 * not count as one process, or a busy host starves every pod for seconds.
 */
const nodeShares = [
  ['cpu.shares', '16384'],
  ['cpu.weight', '1600'],
] as const

/** True on a host where all controllers are in one hierarchy. */
export const isUnified = (root = ROOT): boolean => existsSync(join(root, 'cgroup.controllers'))

/** The folders of a group of this name that exist, one a hierarchy. */
export function groupFolders(name: string, root = ROOT): string[] {
  return hierarchies(root)
    .map((folder) => join(folder, name))
    .filter((folder) => existsSync(folder))
}

/** Makes a group in every hierarchy, ready for kubelet to make its own below. */
export async function createGroup(name: string, root = ROOT): Promise<void> {
  if (isUnified(root)) await delegate(root)
  for (const hierarchy of hierarchies(root)) {
    const folder = join(hierarchy, name)
    await mkdir(folder, { recursive: true })
    // cgroup v1: a new cpuset is empty, and nothing can run in it until it is filled.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if (!isUnified(root) && existsSync(join(folder, file))) {
        await writeFile(join(folder, file), await readFile(join(hierarchy, file)))
      }
    }
    for (const [file, share] of nodeShares) {
      if (existsSync(join(folder, file))) await writeFile(join(folder, file), share)
    }
  }
}

/** Removes a group and all below it; its processes must be dead or dying. Harmless when there is none. */
export async function removeGroup(name: string, root = ROOT): Promise<void> {
  for (const folder of groupFolders(name, root)) await removeTree(folder)
}

function hierarchies(root: string): string[] {
  if (isUnified(root)) return [root]
  if (!existsSync(root)) return []
  // Symbolic links such as cpu -> cpu,cpuacct name a hierarchy a second time.
  return readdirSync(root)
    .map((entry) => join(root, entry))
    .filter((path) => lstatSync(path).isDirectory())
}

async function delegate(root: string): Promise<void> {
  const available = (await readFile(join(root, 'cgroup.controllers'), 'utf8')).trim().split(' ')
  const missing = NEEDED.filter((controller) => !available.includes(controller))
  if (missing.length > 0) throw new Error(`this host offers no cgroup controller ${missing.join(', ')}; nodes need it`)
  const enabled = (await readFile(join(root, 'cgroup.subtree_control'), 'utf8')).trim().split(' ')
  const wanted = available.filter((name) => [...NEEDED, 'hugetlb'].includes(name) && !enabled.includes(name))
  if (wanted.length === 0) return
  await writeFile(join(root, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' ')).catch(
    (error: unknown) => {
      throw new Error(
        `the cgroup controllers ${wanted.join(', ')} cannot be enabled in ${root}: ${String(error)}. In a container, ` +
          'move its processes into a child group first; a virtual machine has no such trouble',
      )
    },
  )
}

/** Groups are removed from the leaves up; one whose last process is still being torn down is busy for a moment. */
async function removeTree(folder: string): Promise<void> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(join(folder, entry.name))
  }
  for (let attempt = 1; ; attempt++) {
    try {
      await rmdir(folder)
      return
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY' || attempt === 100) throw error
      await sleep(100)
    }
  }
}
