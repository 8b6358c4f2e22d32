// What one step of a rollout can decide, and the few ways in which every state decides it. Pure.
import { rejectionClass, type Reason } from '../api/conditions.ts'
import { parseDuration } from '../api/duration.ts'
import type { Candidate, ModelDeploymentSpec, ModelDeploymentStatus, Rejection } from '../api/modeldeployment.ts'
import type { Observed, PodCount, RevisionFacts, Trouble } from './observed.ts'
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
  /** Who asked for it, when it was a command. */
  readonly by?: string
}

export interface Situation {
  readonly spec: ModelDeploymentSpec
  readonly rollout: Rollout
  readonly seen: Observed
  readonly now: number
}

/** What one step decides: stay (perhaps with a new candidate record), move on, or only answer a command. */
export type Decision =
  | { readonly kind: 'Stay'; readonly candidate: Candidate }
  | { readonly kind: 'Move'; readonly rollout: Rollout; readonly transition: Transition }
  | { readonly kind: 'Answer'; readonly rollout: Rollout }

/** How many history entries and rejections a status keeps. */
export const historyLimit = 20

const rejectedLimit = 20

/** Where a candidate is, in the words of the history and of the state diagram: `Canary.Shift`, `Provisioning`. */
export const placeOf = (candidate: Candidate | undefined): string =>
  candidate === undefined
    ? 'Idle'
    : candidate.substep === undefined
      ? candidate.state
      : `${candidate.state}.${candidate.substep}`

/** The candidate goes to another place. `rest` replaces further parts of the rollout in the same write. */
export const move = (
  { rollout }: Situation,
  candidate: Candidate,
  reason: Reason,
  message: string,
  rest: Partial<Rollout> = {},
): Decision => ({
  kind: 'Move',
  rollout: { ...rollout, ...rest, candidate },
  transition: {
    from: placeOf(rollout.candidate),
    to: placeOf(candidate),
    reason,
    message,
    revision: candidate.revision,
  },
})

/** The candidate ends as rejected, and is remembered. */
export const reject = (situation: Situation, candidate: Candidate, trouble: Trouble, by?: string): Decision => {
  const { rollout, spec, now } = situation
  return {
    kind: 'Move',
    rollout: {
      ...without(rollout, 'candidate'),
      rejected: remembered(rollout, candidate, trouble, spec.rollout.retryToken, now),
    },
    transition: {
      from: placeOf(candidate),
      to: 'Rejected',
      reason: trouble.reason,
      message: trouble.message,
      revision: candidate.revision,
      ...(by !== undefined && { by }),
    },
  }
}

/** The rejections with one more. */
export const remembered = (
  rollout: Rollout,
  revision: Pick<Candidate, 'hash' | 'revision' | 'version'> & Partial<Pick<Candidate, 'attempt'>>,
  trouble: Pick<Trouble, 'reason' | 'message'>,
  retryToken: string,
  now: number,
): Rejection[] => {
  const attempt = revision.attempt ?? 1
  const rejection: Rejection = {
    hash: revision.hash,
    revision: revision.revision,
    ...(revision.version === undefined ? {} : { version: revision.version }),
    attempt,
    class: rejectionClass(trouble.reason),
    reason: trouble.reason,
    message: cut(trouble.message),
    retryToken,
    at: at(now),
    ...(isNobodysFault(trouble.reason) && { retryAt: at(now + retryDelayMs(attempt)) }),
  }
  return [...(rollout.rejected ?? []).filter((r) => r.hash !== revision.hash), rejection].slice(-rejectedLimit)
}

/** Between attempts after a failure of the infrastructure; every further one waits as long as the last. */
const retryDelaysMs = [60_000, 300_000, 900_000, 3_600_000]

const retryDelayMs = (attempt: number): number => retryDelaysMs[attempt - 1] ?? retryDelaysMs.at(-1) ?? 0

/** Whether the infrastructure failed and not the revision. Pods that run and are not ready may be its own doing. */
const isNobodysFault = (reason: Reason): boolean => rejectionClass(reason) === 'Infra' && reason !== 'NotReady'

/** Whether a rejection that was the fault of the infrastructure has waited for long enough. */
export const isDueAgain = ({ retryAt }: Rejection, now: number): boolean => isPast(retryAt, now)

/** The rejection that holds back the hash: neither the retry token nor a command has asked for it again since. */
export const rejectionOf = (
  rollout: Pick<Rollout, 'rejected'>,
  hash: string,
  { model, rollout: { retryToken } }: ModelDeploymentSpec,
): Rejection | undefined =>
  rollout.rejected?.find(
    (r) =>
      r.hash === hash &&
      r.rearmed !== true &&
      r.retryToken === retryToken &&
      // What contract Any allows is no longer held back by the contract; that field is no part of the hash.
      !(r.reason === 'ContractIncompatible' && model.contract === 'Any'),
  )

export const entered = (state: Candidate['state'], spec: ModelDeploymentSpec, now: number) => ({
  state,
  enteredAt: at(now),
  deadlineAt: at(now + provisionMs(spec)),
})

/** What a candidate keeps when it starts over or goes on from where its model is known. */
export const carried = (candidate: Candidate) =>
  without(
    candidate,
    'reason',
    'message',
    'retryAt',
    'readyReplicas',
    'progressAt',
    'deadlineAt',
    'ackedAt',
    'substep',
    'step',
    'stepWeight',
  )

export const provisionMs = (spec: ModelDeploymentSpec): number => parseDuration(spec.rollout.deadlines.provision)

export const isDirect = (spec: ModelDeploymentSpec): boolean => spec.traffic.mode === 'Direct'

/** Whether nobody counts what requests come to: a Gateway shares them out, and tells nobody how they ended. */
export const isUncounted = (spec: ModelDeploymentSpec): boolean => spec.traffic.mode === 'Gateway'

export const pointerFacts = (revision: RevisionFacts) => ({
  revision: revision.name,
  hash: revision.hash,
  version: revision.version,
  digest: revision.digest,
  image: revision.image,
})

/** A number that no Deployment of this object was stamped with before, also when the status was lost. */
export const nextNumber = ({ rollout, seen }: Situation): number =>
  Math.max(rollout.rollouts ?? 0, rollout.stable?.rollout ?? 0, ...seen.pods.map((p) => p.stamp ?? 0)) + 1

/** Whether the Deployment carries the number: whatever was planned for it earlier can no longer be carried out. */
export const isStamped = (
  seen: Observed,
  { revision, rollout }: { readonly revision: string; readonly rollout?: number },
): boolean => rollout === undefined || podsOf(seen, revision)?.stamp === rollout

export const podsOf = (seen: Observed, revision: string): PodCount | undefined =>
  seen.pods.find((p) => p.revision === revision)

export const readyOf = (seen: Observed, revision: string | undefined): number =>
  revision === undefined ? 0 : (podsOf(seen, revision)?.ready ?? 0)

/**
 * The candidate while something else than its own progress holds it: a deadline counts time without progress, and
 * waiting for a person is none. It gets a new one when it goes on.
 */
export const withoutDeadline = (candidate: Candidate): Candidate => without(candidate, 'deadlineAt', 'endsBy')

export const calm = (candidate: Candidate): Candidate => without(candidate, 'reason', 'message')

export const at = (ms: number): string => new Date(ms).toISOString()

export const isPast = (instant: string | undefined, now: number): boolean =>
  instant !== undefined && now >= Date.parse(instant)

export const without = <T extends object, K extends keyof T>(object: T, ...keys: K[]): Omit<T, K> => {
  const copy = { ...object }
  for (const key of keys) delete copy[key]
  return copy
}
