// From samples to goals, and to a page for people. Pure.
import { goal, p99, quantile, tableOf, type Goal, type GoalName } from './goals.ts'
import type { ColdStart } from './measure.ts'
import type { Samples } from './phases.ts'

/** @param missing why there is no peer, where there is none */
export const goalsOf = (samples: Samples, missing: string): Goal[] => {
  const { start, resync, changes, restart, failover, faults } = samples
  const own = start?.slipway ?? []
  const of = (value: (sample: ColdStart) => number): number[] => own.map(value)
  const ratios = (value: (sample: ColdStart) => number): number[] =>
    (start?.peer ?? []).map((other, index) => value(own[index] ?? other) / value(other))
  const notHere = 'not measured in this run'
  const values: Readonly<Record<GoalName, readonly number[]>> = {
    cold_start_to_synced_s: of((s) => s.coldStartSeconds),
    synced_to_reconciled_s: of((s) => s.reconciledSeconds),
    rss_steady_mib: of((s) => s.rssMib),
    rss_peak_mib: of((s) => s.peakMib),
    rss_vs_go: ratios((s) => s.rssMib),
    cold_start_vs_go: ratios((s) => s.coldStartSeconds),
    noop_reconcile_cpu_us: resync === undefined ? [] : [resync.slipway.cpuMicros],
    change_to_applied_p99_ms: changes === undefined ? [] : [p99(changes.slipway)],
    user_change_during_restart_p99_ms: (restart?.slipway ?? []).map(p99),
    loop_lag_p99_ms: of((s) => s.lagP99Ms),
    loop_lag_max_ms: of((s) => s.lagMaxMs),
    failover_clean_s: failover?.clean ?? [],
    failover_kill_s: failover?.killed ?? [],
    fault_recovery_s: faults === undefined ? [] : [Math.max(...Object.values(faults.recovered))],
    writes_after_convergence: resync === undefined ? [] : [resync.slipway.writes],
    soak_rss_slope_pct_per_h: [],
  }
  return Object.entries(values).map(([name, measured]) => {
    if (name === 'soak_rss_slope_pct_per_h')
      return goal(name, measured, 'npm run soak -- --json FILE, then --with FILE')
    return goal(name as GoalName, measured, name.endsWith('_vs_go') && missing !== '' ? missing : notHere)
  })
}

export const pageOf = (goals: readonly Goal[], samples: Samples): string =>
  [tableOf(goals), ...sideBySide(samples)].join('\n\n')

const sideBySide = ({ start, resync, changes, restart, faults }: Samples): string[] => {
  const rows: string[] = []
  const pair = (what: string, ours: number, peer: number | undefined, unit: string): void => {
    const other =
      peer === undefined ? 'peer -' : `peer ${round(peer)} ${unit}`.padEnd(20) + `ratio ${round(ours / peer)}`
    rows.push(`${what.padEnd(24)} ours ${`${round(ours)} ${unit}`.padEnd(16)} ${other}`)
  }
  const medianOf = (program: readonly ColdStart[] | undefined, field: keyof ColdStart): number | undefined =>
    median((program ?? []).map((sample) => sample[field]))
  for (const [field, unit] of coldStartFields) {
    const ours = medianOf(start?.slipway, field)
    if (ours !== undefined) pair(field, ours, medianOf(start?.peer, field), unit)
  }
  if (resync) pair('no-op reconcile', resync.slipway.cpuMicros, resync.peer?.cpuMicros, 'µs')
  if (changes) pair('change to applied, p99', p99(changes.slipway), changes.peer && p99(changes.peer), 'ms')
  if (restart) {
    const [ours, peer] = [restart.slipway, restart.peer].map((restarts) => median(restarts.map(p99)))
    pair('change at a restart, p99', ours ?? 0, peer, 'ms')
  }
  if (faults) {
    const each = Object.entries(faults.recovered).map(([name, seconds]) => `${name} ${round(seconds)} s`)
    rows.push(`recovery after ${faults.seconds} s: ${each.join(', ')}`)
  }
  return rows.length === 0 ? [] : [rows.join('\n')]
}

const median = (values: readonly number[]): number | undefined =>
  quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  )

const coldStartFields = [
  ['coldStartSeconds', 's'],
  ['reconciledSeconds', 's'],
  ['cpuSeconds', 's'],
  ['rssMib', 'MiB'],
  ['peakMib', 'MiB'],
] as const

const round = (value: number): number => Math.round(value * 100) / 100
