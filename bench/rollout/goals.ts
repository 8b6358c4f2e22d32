// The goals by name, what was measured, and whether it was met. Pure.

interface Target {
  readonly op: '<='
  readonly target: number
}

const atMost = (target: number): Target => ({ op: '<=', target })

/** @see docs/rollouts.md; two nodes, mode Router, strategy Canary */
export const targets = {
  chaos_failed_requests: atMost(0),
  chaos_wrong_revision: atMost(0),
  chaos_unsettled: atMost(0),
  node_loss_recovered_s: atMost(5),
  rollback_ack_p99_s: atMost(2),
  fast_rollback_s: atMost(2),
  promotion_restarts: atMost(0),
  upgrade_restarts: atMost(0),
} as const satisfies Readonly<Record<string, Target>>

export type GoalName = keyof typeof targets

/** A goal as the JSON has it. `low` and `high` are the least and the greatest sample. */
export interface Goal extends Target {
  readonly name: GoalName
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  readonly met: boolean
  readonly reason?: string
}

/** How samples become one value. */
export type Fold = (sorted: readonly number[]) => number

export const sum: Fold = (samples) => samples.reduce((total, sample) => total + sample, 0)
export const median: Fold = (sorted) => quantile(sorted, 0.5)
export const p99: Fold = (sorted) => quantile(sorted, 0.99)
export const worst: Fold = (sorted) => sorted.at(-1) ?? NaN

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN

export const goal = (name: GoalName, fold: Fold, samples: readonly number[], reason = 'nothing was measured'): Goal => {
  const { op, target } = targets[name]
  const sorted = samples.toSorted((a, b) => a - b)
  const [low, high] = [sorted[0], sorted.at(-1)]
  if (low === undefined || high === undefined)
    return { name, value: null, low: null, high: null, op, target, met: false, reason }
  const value = fold(sorted)
  return { name, value, low, high, op, target, met: value <= target }
}

/** Goals as a table for people. */
export const tableOf = (goals: readonly Goal[]): string => {
  const show = (value: number | null): string => (value === null ? '-' : String(Math.round(value * 1000) / 1000))
  const rows = [
    ['goal', 'value', 'low', 'high', 'target', 'met'],
    ...goals.map(({ name, value, low, high, target, met, reason }) => [
      name,
      show(value),
      show(low),
      show(high),
      `<= ${target}`,
      met ? 'yes' : `no${reason === undefined ? '' : `: ${reason}`}`,
    ]),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}
