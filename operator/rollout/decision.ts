// What one step of a rollout can decide, and the few ways in which every state decides it. Pure.
import { rejectionClass, type Reason } from '../api/conditions.ts'
import { parseDuration } from '../api/duration.ts'
import type { Candidate, ModelDeploymentSpec, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Observed, RevisionFacts, Trouble } from './observed.ts'
import { cut } from './text.ts'

/** The part of the status that a rollout owns; conditions and counts are derived from it elsewhere. */
export type Rollout = Pick<
  ModelDeploymentStatus,
  'stable' | 'previous' | 'candidate' | 'rejected' | 'history' | 'traffic' | 'rollouts' | 'lastCommand'
>

/** One transition: it goes to the history and becomes an Event, with the same words. */
export interface Transition {
  readonly from: string
  readonly to: string
  readonly reason: Reason
  readonly message: string
  readonly revision?: string
}

export interface Situation {
  readonly spec: ModelDeploymentSpec
  readonly rollout: Rollout
  readonly seen: Observed
  readonly now: number
}

/** What one state decides: stay (perhaps with a new candidate record), or move on. */
export type Decision =
  | { readonly kind: 'Stay'; readonly candidate: Candidate }
  | { readonly kind: 'Move'; readonly rollout: Rollout; readonly transition: Transition }

/** How many history entries and rejections a status keeps. */
export const historyLimit = 20

const rejectedLimit = 20

export const move = ({ rollout }: Situation, candidate: Candidate, reason: Reason, message: string): Decision => ({
  kind: 'Move',
  rollout: { ...rollout, candidate },
  transition: {
    from: rollout.candidate?.state ?? 'Idle',
    to: candidate.state,
    reason,
    message,
    revision: candidate.revision,
  },
})

export const reject = (situation: Situation, candidate: Candidate, trouble: Trouble): Decision => {
  const { rollout, spec, now } = situation
  const rejection = {
    hash: candidate.hash,
    revision: candidate.revision,
    ...(candidate.version === undefined ? {} : { version: candidate.version }),
    attempt: candidate.attempt,
    class: rejectionClass(trouble.reason),
    reason: trouble.reason,
    message: cut(trouble.message),
    retryToken: spec.rollout.retryToken,
    at: at(now),
  }
  const others = (rollout.rejected ?? []).filter((r) => r.hash !== candidate.hash)
  return {
    kind: 'Move',
    rollout: { ...without(rollout, 'candidate'), rejected: [...others, rejection].slice(-rejectedLimit) },
    transition: {
      from: candidate.state,
      to: 'Rejected',
      reason: trouble.reason,
      message: trouble.message,
      revision: candidate.revision,
    },
  }
}

export const entered = (state: Candidate['state'], spec: ModelDeploymentSpec, now: number) => ({
  state,
  enteredAt: at(now),
  deadlineAt: at(now + provisionMs(spec)),
})

export const provisionMs = (spec: ModelDeploymentSpec): number => parseDuration(spec.rollout.deadlines.provision)

export const pointerFacts = (revision: RevisionFacts) => ({
  revision: revision.name,
  hash: revision.hash,
  version: revision.version,
  digest: revision.digest,
  image: revision.image,
})

/**
 * The candidate while something else than its own progress holds it: a deadline counts time without progress, and
 * waiting for a person is none. It gets a new one when it goes on.
 */
export const withoutDeadline = (candidate: Candidate): Candidate => without(candidate, 'deadlineAt')

export const calm = (candidate: Candidate): Candidate => without(candidate, 'reason', 'message')

export const at = (ms: number): string => new Date(ms).toISOString()

export const isPast = (instant: string | undefined, now: number): boolean =>
  instant !== undefined && now >= Date.parse(instant)

export const without = <T extends object, K extends keyof T>(object: T, ...keys: K[]): Omit<T, K> => {
  const copy = { ...object }
  for (const key of keys) delete copy[key]
  return copy
}
