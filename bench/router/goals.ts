// The goals of the router by name, what was measured, and whether it was met. Pure.
import { ascending, columns, median, round } from '../figures.ts'

interface Target {
  readonly op: '<=' | '>=' | '=' | 'reported'
  /** Null where the figure is only reported. */
  readonly target: number | null
}

const atMost = (target: number): Target => ({ op: '<=', target })
const reported: Target = { op: 'reported', target: null }
/** Nothing may be lost. */
const none: Target = { op: '=', target: 0 }

/** A straight line grows by as much over the second hundred as over the first; this much more is noise. */
const linear = atMost(1.5)

/** @see the table of the issue: a real node, real pods, the real Envoy */
export const targets = {
  share_inside_interval: { op: '>=', target: 15 },
  weight_changes_failed: none,
  weight_changes_after_ack: none,
  ack_p50_ms: atMost(200),
  ack_p99_ms: atMost(1000),
  hop_p50_ms: atMost(0.3),
  hop_c16_p50_ms: reported,
  hop_602kb_p50_ms: reported,
  hop_602kb_c16_p50_ms: reported,
  hop_cpu_us: reported,
  hop_602kb_cpu_us: reported,
  peer_shares: reported,
  mirror_independent: { op: '>=', target: 0.001 },
  mirror_dead_p99_ratio: atMost(1.1),
  scale_down_failed: none,
  pod_kill_failed: none,
  router_delete_failed: none,
  router_kill_failed: none,
  operator_down_failed: none,
  agent_rss_mib: atMost(80),
  router_200_models: linear,
} as const satisfies Readonly<Record<string, Target>>

export type GoalName = keyof typeof targets

/** A goal as the JSON has it. `value` is the median of the samples, `low` and `high` their least and greatest. */
export interface Goal extends Target {
  readonly name: GoalName
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  readonly met: boolean
  /** What the figure is of, or why there is none. */
  readonly reason?: string
}

export const goal = (name: GoalName, samples: readonly number[], reason?: string): Goal => {
  const { op, target } = targets[name]
  const sorted = ascending(samples)
  const [low, high] = [sorted[0], sorted.at(-1)]
  if (low === undefined || high === undefined) {
    return {
      name,
      value: null,
      low: null,
      high: null,
      op,
      target,
      met: false,
      reason: reason ?? 'nothing was measured',
    }
  }
  const value = median(samples)
  return { name, value, low, high, op, target, met: holds(value, { op, target }), ...(reason && { reason }) }
}

const holds = (value: number, { op, target }: Target): boolean => {
  if (target === null) return !Number.isNaN(value)
  if (op === '<=') return value <= target
  return op === '>=' ? value >= target : value === target
}

/** Goals as a table for people. */
export const tableOf = (goals: readonly Goal[]): string => {
  const show = (value: number | null): string => (value === null ? '-' : String(round(value, 4)))
  return columns([
    ['goal', 'value', 'low', 'high', 'target', 'met', ''],
    ...goals.map(({ name, value, low, high, op, target, met, reason = '' }) => [
      name,
      show(value),
      show(low),
      show(high),
      target === null ? op : `${op} ${target}`,
      met ? 'yes' : 'no',
      reason,
    ]),
  ])
}
