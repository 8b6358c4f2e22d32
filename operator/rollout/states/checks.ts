// What holds in every state of a candidate that may have users: what ends it, and what holds it. Pure.
// Neither a pause nor a gate keeps it from being taken back.
import { parseDuration } from '../../api/duration.ts'
import { isReason } from '../../api/conditions.ts'
import type { Candidate, ModelDeploymentSpec } from '../../api/modeldeployment.ts'
import { type Situation, at, isPast, isStamped, podsOf, readyOf } from '../decision.ts'
import type { Observed, Trouble } from '../observed.ts'
import { stepOf } from '../steps.ts'
import { allRequests } from '../traffic.ts'
import { judge } from '../verdict.ts'

/** Whether only a person, or another spec, lets it go forward. */
export const isHeld = ({ spec, seen }: Situation, candidate: Candidate): boolean =>
  spec.rollout.paused || candidate.pausedBy !== undefined || seen.refusal !== undefined || candidate.substep === 'Gate'

/** Pods that no user waits for, and that start by themselves when there is room: no deadline counts that time. */
export const awaitsRoom = ({ seen }: Situation, { state }: Candidate): boolean =>
  (state === 'Pending' || state === 'Provisioning') && seen.trouble?.reason === 'InsufficientCapacity'

/** Its pods for this step are ready, and its Deployment carries the number of this rollout. */
export const isProvisioned = (seen: Observed, candidate: Candidate): boolean => {
  const pods = podsOf(seen, candidate.revision)
  return pods?.current === true && pods.ready >= (candidate.replicas ?? 1) && isStamped(seen, candidate)
}

/** Why it must be taken back whatever it waits for, if it must. */
export const failureOf = (situation: Situation, candidate: Candidate): Trouble | undefined => {
  const { spec, rollout, seen } = situation
  const { revision } = candidate
  if (seen.trouble?.fatal === true) return seen.trouble
  if (readyOf(seen, revision) === 0) {
    const cause = seen.trouble?.message ?? 'no pod reported a cause'
    return {
      reason: seen.trouble?.reason ?? 'NotReady',
      message: `No pod of ${revision} is ready: ${cause}`,
      fatal: true,
    }
  }
  const verdict = judge(spec, seen, rollout.traffic, revision)
  if (verdict.kind === 'Fail') return { reason: 'TooManyErrors', message: verdict.message, fatal: true }
  return overdue(situation, candidate)
}

/** The whole rollout took too long. */
export const overdue = ({ spec, now }: Situation, { revision, endsBy }: Candidate): Trouble | undefined =>
  isPast(endsBy, now)
    ? {
        reason: 'DeadlineExceeded',
        message: `${revision} was not rolled out within ${spec.rollout.deadlines.total} (spec.rollout.deadlines.total).`,
        fatal: true,
      }
    : undefined

/** The step took too long: for what it says it waits for. */
export const tooLate = (
  { spec, seen }: Situation,
  candidate: Candidate,
  waitsFor: Pick<Trouble, 'reason' | 'message'>,
): Trouble => {
  const { reason, message } = seen.trouble ?? waitsFor
  return {
    reason: isReason(reason) ? reason : 'DeadlineExceeded',
    message: `${candidate.revision} was not done with its step within ${spec.rollout.deadlines.step} (spec.rollout.deadlines.step): ${message}`,
    fatal: true,
  }
}

/** Deadlines that are missing: of a new state, and of one that somebody held until now. */
export const withDeadlines = (spec: ModelDeploymentSpec, candidate: Candidate, now: number): Candidate => ({
  deadlineAt: at(now + stateMs(spec, candidate)),
  endsBy: at(now + parseDuration(spec.rollout.deadlines.total)),
  ...candidate,
})

/** How long a state may last. The least time of a step comes on top of its deadline: it would never pass otherwise. */
export const stateMs = (spec: ModelDeploymentSpec, { state, stepWeight = allRequests }: Candidate): number => {
  const { provision, step } = spec.rollout.deadlines
  switch (state) {
    case 'Pending':
    case 'Provisioning':
      return parseDuration(provision)
    case 'Shadowing':
      return parseDuration(spec.rollout.shadow?.maxDuration ?? '15m')
    case 'Canary':
    case 'Promoting':
      return parseDuration(step) + stepOf(spec, stepWeight).minDurationMs
    default:
      return parseDuration(step)
  }
}
