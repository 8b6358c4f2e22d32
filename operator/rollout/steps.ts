// The steps that a spec asks for, and how many pods each needs. Pure.
import { parseDuration } from '../api/duration.ts'
import type { Candidate, ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { Rollout } from './decision.ts'
import { allRequests } from './traffic.ts'

export interface Step {
  /** The share of requests in thousandths; 1000 is the last step, after which the candidate becomes stable. */
  readonly weight: number
  readonly minDurationMs: number
  readonly gate: 'Auto' | 'Manual'
}

const defaultSteps = [{ weight: 5 }, { weight: 25 }, { weight: 50 }] as const
const defaultMinDuration = '1m'

/**
 * The shares one after the other, the last of them 1000. Strategies other than Canary have only that one. When nobody
 * lists 100, it is held for as long as the step before it.
 */
export const stepsOf = ({ rollout }: ModelDeploymentSpec): readonly [...Step[], Step] => {
  if (rollout.strategy !== 'Canary') return [{ weight: allRequests, minDurationMs: 0, gate: 'Auto' }]
  const listed = (rollout.steps ?? defaultSteps).map((step): Step => ({
    weight: thousandths(step.weight),
    minDurationMs: parseDuration(('minDuration' in step ? step.minDuration : undefined) ?? defaultMinDuration),
    gate: ('gate' in step ? step.gate : undefined) ?? 'Auto',
  }))
  const before = listed.filter((step) => step.weight < allRequests)
  const last = listed.find((step) => step.weight >= allRequests)
  const minDurationMs = before.at(-1)?.minDurationMs ?? parseDuration(defaultMinDuration)
  return [...before, last ?? { weight: allRequests, minDurationMs, gate: 'Auto' }]
}

/**
 * The step that a candidate is in. A list edited meanwhile counts from the next step on: a weight that it no longer
 * has is held for a minute and goes on by itself.
 */
export const stepOf = (spec: ModelDeploymentSpec, weight: number): Step =>
  stepsOf(spec).find((step) => step.weight === weight) ?? {
    weight,
    minDurationMs: parseDuration(defaultMinDuration),
    gate: 'Auto',
  }

/** The first step above this weight, with its index. */
export const stepAbove = (
  spec: ModelDeploymentSpec,
  weight: number,
): { readonly step: Step; readonly index: number } => {
  const steps = stepsOf(spec)
  const index = steps.findIndex((step) => step.weight > weight)
  const step = steps[index]
  return step === undefined ? { step: stepOf(spec, allRequests), index: steps.length - 1 } : { step, index }
}

/** A weight as users write it, 5 or "0.5%", in thousandths. */
export const thousandths = (weight: number | string): number =>
  Math.round((typeof weight === 'number' ? weight : Number(weight.replace('%', ''))) * 10)

/** Thousandths as people read them: 5 is 0.5%. */
export const percent = (weight: number): string => `${weight / 10}%`

/** Pods of a revision that serves all users: never fewer than when the rollout began, or a shrunk stable takes it all back. */
export const fullSize = (spec: ModelDeploymentSpec, candidate: Candidate | undefined): number =>
  spec.replicas === 0 ? 0 : Math.max(spec.replicas, candidate?.stableReplicas ?? 0)

/** Pods that a candidate needs for a share of requests; with capacity Borrow, never more than leave stable one. */
export const podsFor = (spec: ModelDeploymentSpec, rollout: Rollout, candidate: Candidate, weight: number): number => {
  const size = fullSize(spec, candidate)
  const needed = Math.max(1, Math.ceil((size * weight) / allRequests))
  return borrows(spec, rollout) ? Math.max(1, Math.min(needed, size - 1)) : needed
}

/** Whether the old pods stop before the new ones start. */
export const stopsStableFirst = ({ rollout }: ModelDeploymentSpec): boolean =>
  rollout.strategy === 'Recreate' || rollout.capacity === 'Recreate'

export const borrows = ({ rollout: { capacity, strategy } }: ModelDeploymentSpec, { stable }: Rollout): boolean =>
  capacity === 'Borrow' && strategy !== 'Recreate' && stable !== undefined
