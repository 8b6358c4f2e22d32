/**
 * What the container may really use: CPU quota and memory limit from cgroup v1 or v2.
 * It must never report the machine's figures as the container's, which is how thread pools come to be eight times too large.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'

export interface CpuLimits {
  /** Cores this process may be scheduled on. */
  readonly cores: number
  /** Cores' worth of time the quota allows; undefined without a quota. May be a fraction. */
  readonly quota: number | undefined
}

/** Reads the CPU limits. `root` is where `/proc` and `/sys` are found. */
export function readCpuLimits(root = '/', cores = availableParallelism()): CpuLimits {
  const quotas = [
    ...filesUpwards(root, 'cpu', 'cpu.max').map(quotaOfVersion2),
    ...filesUpwards(root, 'cpu', 'cpu.cfs_quota_us').map((text, level) =>
      quotaOfVersion1(text, filesUpwards(root, 'cpu', 'cpu.cfs_period_us')[level]),
    ),
  ].filter((quota) => quota !== undefined)
  return { cores, quota: quotas.length === 0 ? undefined : Math.min(...quotas) }
}

/** The memory limit in bytes; undefined when there is none. */
export function readMemoryLimit(root = '/'): number | undefined {
  const limits = [
    ...filesUpwards(root, 'memory', 'memory.max'),
    ...filesUpwards(root, 'memory', 'memory.limit_in_bytes'),
  ]
    .map((text) => Number(text.trim()))
    // "max" is not a number; version 1 writes a number near 2^63 for "no limit".
    .filter((bytes) => Number.isFinite(bytes) && bytes > 0 && bytes < 2 ** 60)
  return limits.length === 0 ? undefined : Math.min(...limits)
}

/** How often and how long the kernel held this container back because its CPU quota was used up. */
export interface Throttling {
  /** Periods of the scheduler with a quota in force. */
  readonly periods: number
  /** Those of them in which the quota ran out. */
  readonly throttledPeriods: number
  readonly throttledSeconds: number
}

/**
 * A pod that is slow for this reason looks idle in every other figure.
 * @returns undefined where the kernel keeps no such figures for this container
 * @see https://docs.kernel.org/scheduler/sched-bwc.html#statistics
 */
export function readThrottling(root = '/'): Throttling | undefined {
  // The own group comes first; those above it count other containers too.
  const [text] = filesUpwards(root, 'cpu', 'cpu.stat')
  const values = new Map(
    (text ?? '').split('\n').map((line) => {
      const [name = '', value = ''] = line.split(' ')
      return [name, Number(value)]
    }),
  )
  const periods = values.get('nr_periods')
  if (periods === undefined) return undefined
  // Version 2 counts microseconds, version 1 nanoseconds.
  const micros = values.get('throttled_usec')
  const throttledSeconds = micros === undefined ? (values.get('throttled_time') ?? 0) / 1e9 : micros / 1e6
  return { periods, throttledPeriods: values.get('nr_throttled') ?? 0, throttledSeconds }
}

/** `"150000 100000"` → 1.5; `"max 100000"` → undefined. */
function quotaOfVersion2(text: string): number | undefined {
  const [quota, period] = text.trim().split(/\s+/).map(Number)
  return ratio(quota, period)
}

function quotaOfVersion1(quota: string, period: string | undefined): number | undefined {
  return ratio(Number(quota.trim()), Number(period?.trim()))
}

function ratio(quota: number | undefined, period: number | undefined): number | undefined {
  const value = (quota ?? Number.NaN) / (period ?? Number.NaN)
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/**
 * The contents of a control file in the process's own cgroup and all above it.
 * Inside a container the path of /proc/self/cgroup may be the host's; then only the mount's own root exists.
 */
function filesUpwards(root: string, controller: 'cpu' | 'memory', file: string): string[] {
  const found: string[] = []
  for (const { mount, path } of hierarchies(root, controller)) {
    let folder = path
    for (;;) {
      const text = read(join(root, 'sys/fs/cgroup', mount, folder, file))
      if (text !== undefined) found.push(text)
      if (folder === '/' || folder === '.') break
      folder = dirname(folder)
    }
  }
  return found
}

function hierarchies(root: string, controller: string): { mount: string; path: string }[] {
  const lines = (read(join(root, 'proc/self/cgroup')) ?? '0::/').trim().split('\n')
  return lines.flatMap((line) => {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === '') return [{ mount: '', path }]
    return controllers.split(',').includes(controller) ? [{ mount: controllers, path }] : []
  })
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // A file that is not there is how the kernel says "no such limit at this level".
    return undefined
  }
}
