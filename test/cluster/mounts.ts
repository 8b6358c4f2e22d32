// Mounts of clusters on the host: the empty folders that nodes mount over, and the check that deleting a cluster's
// folder enters no mount.
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDir, withLock } from './cache.ts'
import { run } from './commands.ts'
import { type Report } from './report.ts'

/** Paths that kubelet and the network plugins insist on; each node mounts its own over them. */
const MOUNT_POINTS = ['/var/lib/cni', '/var/lib/kubelet']

/** Makes the folders that nodes mount over where the host has none, and remembers which. */
export async function createMountPoints(): Promise<void> {
  await withLock(lockFile(), async () => {
    const made = await readMade()
    for (const path of MOUNT_POINTS) {
      if (existsSync(path)) continue
      await mkdir(path, { recursive: true })
      made.push(path)
    }
    await writeFile(listFile(), JSON.stringify(made))
  })
}

/** Removes those that were made and that no node uses any more. Whatever others put there stays. */
export async function removeMountPoints(): Promise<void> {
  await withLock(lockFile(), async () => {
    const made = await readMade()
    if (made.length === 0) return
    // Removing a folder that is mounted over in another namespace would unmount it there.
    const used = await mountedAnywhere()
    const kept = []
    for (const path of made) {
      if (used.has(path)) kept.push(path)
      else await removeIfEmpty(path)
    }
    if (kept.length === 0) await rm(listFile(), { force: true })
    else await writeFile(listFile(), JSON.stringify(kept))
  })
}

/** Unmounts what is mounted below a folder, children first. */
export async function unmountBelow(dir: string, report: Report): Promise<void> {
  for (const target of (await mountsBelow(dir)).toReversed()) {
    report(`  unmounting ${target}`)
    await run('umount', [target])
  }
}

/** Mount points of this process's namespace below a folder, parents first. */
export async function mountsBelow(dir: string): Promise<string[]> {
  return mountPoints(await readFile('/proc/self/mountinfo', 'utf8')).filter((target) => target.startsWith(`${dir}/`))
}

const listFile = (): string => join(cacheDir(), 'mount-points.json')
const lockFile = (): string => join(cacheDir(), 'mount-points.lock')

async function readMade(): Promise<string[]> {
  return existsSync(listFile()) ? (JSON.parse(await readFile(listFile(), 'utf8')) as string[]) : []
}

/** @see proc(5): field 5 of mountinfo is the mount point */
function mountPoints(mountinfo: string): string[] {
  return mountinfo
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
}

async function mountedAnywhere(): Promise<Set<string>> {
  const processes = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
  // A process that ends meanwhile has no mounts any more.
  const read = processes.map((pid) => readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => ''))
  return new Set((await Promise.all(read)).flatMap(mountPoints))
}

async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
