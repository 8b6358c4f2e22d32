// The goals by name, what was measured, and whether it was met. Pure.
import { columns, p99, quantile } from '../figures.ts'

export { p99, quantile }

/** What a goal is: the gate that must hold, and the aim. */
interface Target {
  readonly op: '<='
  readonly gate: number
  readonly aim: number
}

const atMost = (gate: number, aim: number): Target => ({ op: '<=', gate, aim })

/** @see the table of the issue: 2 cores, 5,000 ModelDeployments, a real API server */
export const targets = {
  cold_start_to_synced_s: atMost(5, 3),
  synced_to_reconciled_s: atMost(2, 1),
  rss_steady_mib: atMost(220, 160),
  rss_peak_mib: atMost(260, 200),
  rss_vs_go: atMost(1.5, 1),
  cold_start_vs_go: atMost(1.5, 1),
  noop_reconcile_cpu_us: atMost(200, 100),
  change_to_applied_p99_ms: atMost(500, 150),
  user_change_during_restart_p99_ms: atMost(1000, 100),
  loop_lag_p99_ms: atMost(50, 20),
  loop_lag_max_ms: atMost(250, 150),
  failover_clean_s: atMost(3, 1),
  failover_kill_s: atMost(20, 17),
  fault_recovery_s: atMost(35, 31),
  writes_after_convergence: atMost(0, 0),
  soak_rss_slope_pct_per_h: atMost(5, 0),
} as const satisfies Readonly<Record<string, Target>>

export type GoalName = keyof typeof targets

/** A goal as the JSON has it. `value` is the median of the samples, `low` and `high` their least and greatest. */
export interface Goal {
  readonly name: GoalName
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  readonly op: '<='
  readonly target: number
  readonly aim: number
  readonly met: boolean
  readonly reason?: string
}

export const goal = (name: GoalName, samples: readonly number[], reason = 'nothing was measured'): Goal => {
  const { op, gate, aim } = targets[name]
  const sorted = samples.toSorted((a, b) => a - b)
  const [low, high] = [sorted[0], sorted.at(-1)]
  const value = quantile(sorted, 0.5)
  if (low === undefined || high === undefined || value === undefined) {
    return { name, value: null, low: null, high: null, op, target: gate, aim, met: false, reason }
  }
  return { name, value, low, high, op, target: gate, aim, met: value <= gate }
}

/** Goals as a table for people. */
export const tableOf = (goals: readonly Goal[]): string => {
  const show = (value: number | null): string => (value === null ? '-' : String(Math.round(value * 1000) / 1000))
  const rows = [
    ['goal', 'value', 'low', 'high', 'gate', 'aim', 'met'],
    ...goals.map(({ name, value, low, high, target, aim, met, reason }) => [
      name,
      show(value),
      show(low),
      show(high),
      `<= ${target}`,
      `<= ${aim}`,
      met ? 'yes' : `no${reason === undefined ? '' : `: ${reason}`}`,
    ]),
  ]
  return columns(rows)
}
