// What a server's processes use, from /proc, and a CPU quota for them from a control group of their own. Linux only.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A process and all that it started. */
export function tree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(tree)]
}

/** CPU time of a process and its children so far, in microseconds; Linux counts it in hundredths of a second. */
export const cpuUs = (pid: number): number =>
  tree(pid).reduce((sum, each) => {
    const fields = read(`/proc/${each}/stat`).split(') ').at(-1)?.split(' ') ?? []
    return sum + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * 10_000
  }, 0)

/** Memory of a process and its children in MiB, pages that they share counted once. */
export const memoryMib = (pid: number): number =>
  tree(pid).reduce((sum, each) => {
    const kib = /^Pss:\s+(\d+)/m.exec(read(`/proc/${each}/smaps_rollup`))?.[1]
    return sum + Number(kib ?? 0) / 1024
  }, 0)

/** A process may end while it is looked at; then it uses nothing. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** A control group with a CPU quota. */
export interface Quota {
  /** What to write a pid into, to put it there. */
  readonly procs: string
  remove(): void
}

const root = '/sys/fs/cgroup'

/** @throws Error when this user may not make control groups */
export function cpuQuota(name: string, cpus: number): Quota {
  const version1 = existsSync(join(root, 'cpu/cpu.cfs_quota_us'))
  const folder = join(root, version1 ? 'cpu' : '', name)
  mkdirSync(folder, { recursive: true })
  if (version1) {
    writeFileSync(join(folder, 'cpu.cfs_period_us'), '100000')
    writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(Math.round(cpus * 100_000)))
  } else {
    writeFileSync(join(folder, 'cpu.max'), `${Math.round(cpus * 100_000)} 100000`)
  }
  return { procs: join(folder, 'cgroup.procs'), remove: () => rmdirSync(folder) }
}
