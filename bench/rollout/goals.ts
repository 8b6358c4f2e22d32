// The goals by name, what was measured, and whether it was met. Pure.
import { ascending, columns, round } from '../figures.ts'

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
export const worst: Fold = (sorted) => sorted.at(-1) ?? NaN

export const goal = (name: GoalName, fold: Fold, samples: readonly number[], reason = 'nothing was measured'): Goal => {
  const { op, target } = targets[name]
  const sorted = ascending(samples)
  const [low, high] = [sorted[0], sorted.at(-1)]
  if (low === undefined || high === undefined)
    return { name, value: null, low: null, high: null, op, target, met: false, reason }
  const value = fold(sorted)
  return { name, value, low, high, op, target, met: value <= target }
}

/** Goals as a table for people. */
export const tableOf = (goals: readonly Goal[]): string => {
  const show = (value: number | null): string => (value === null ? '-' : String(round(value)))
  return columns([
    ['goal', 'value', 'low', 'high', 'target', 'met'],
    ...goals.map(({ name, value, low, high, target, met, reason }) => [
      name,
      show(value),
      show(low),
      show(high),
      `<= ${target}`,
      met ? 'yes' : `no${reason === undefined ? '' : `: ${reason}`}`,
    ]),
  ])
}
