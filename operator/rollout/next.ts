// The state machine of a rollout: one pure step from (spec, status, observed, now) to the next status.
// It never acts: what the persisted status implies is done elsewhere, after the status has been written.
import { isReason, rejectionClass, type Reason } from '../api/conditions.ts'
import { parseDuration } from '../api/duration.ts'
import type {
  Candidate,
  ModelDeploymentSpec,
  ModelDeploymentStatus,
  Rejection,
  StablePointer,
} from '../api/modeldeployment.ts'
import type { Observed, PodCount, RevisionFacts, Trouble } from './observed.ts'

/** The part of the status that a rollout owns; conditions and counts are derived from it elsewhere. */
export type Rollout = Pick<ModelDeploymentStatus, 'stable' | 'previous' | 'candidate' | 'rejected' | 'history'>

/** One transition: it goes to the history and becomes an Event, with the same words. */
export interface Transition {
  readonly from: string
  readonly to: string
  readonly reason: Reason
  readonly message: string
  readonly revision?: string
}

export interface Next {
  readonly rollout: Rollout
  readonly transitions: readonly Transition[]
  /** When time alone will change the outcome, in milliseconds since the epoch. */
  readonly wakeAt?: number
}

/** How many history entries and rejections a status keeps. */
export const historyLimit = 20
const rejectedLimit = 20
/** 20 + 20 messages of this length keep a status far below what etcd takes. */
const messageLimit = 1024
const retryDelaysMs = [5_000, 15_000, 60_000, 300_000]

interface Situation {
  readonly spec: ModelDeploymentSpec
  readonly rollout: Rollout
  readonly seen: Observed
  readonly now: number
}

/** What one state decides: stay (perhaps with a new candidate record), or move on. */
type Decision =
  | { readonly kind: 'Stay'; readonly candidate: Candidate; readonly wakeAt?: number }
  | { readonly kind: 'Move'; readonly rollout: Rollout; readonly transition: Transition }

/**
 * One step. Calling it again with its own result and the same observation changes nothing more, or goes one
 * state further; it never goes back. Same inputs give the same answer.
 *
 * @param now milliseconds since the epoch
 */
export const next = (spec: ModelDeploymentSpec, persisted: Rollout, seen: Observed, now: number): Next => {
  const rollout = withExpiry(persisted, spec)
  const situation: Situation = { spec, rollout, seen, now }
  const moved = supersede(situation) ?? release(situation) ?? begin(situation)
  if (moved !== undefined) return written(situation, moved)
  if (rollout.candidate === undefined) return { rollout, transitions: [], ...wake(rollout.previous?.expiresAt) }
  const decision = step(situation, rollout.candidate)
  if (decision.kind === 'Move') return written(situation, decision)
  const wakeAt = decision.wakeAt ?? earliest(decision.candidate.deadlineAt, rollout.previous?.expiresAt)
  return {
    rollout: { ...rollout, candidate: decision.candidate },
    transitions: [],
    ...(wakeAt === undefined ? {} : { wakeAt }),
  }
}

/** The rejection that holds back the hash, unless the retry token has changed since. */
export const rejectionOf = (rollout: Rollout, hash: string, retryToken: string): Rejection | undefined =>
  rollout.rejected?.find((r) => r.hash === hash && r.retryToken === retryToken)

// --- transitions that do not depend on the candidate's state

/**
 * The spec now asks for something else. A candidate that already gets the traffic finishes its swap first
 * (late-change rule); any other is dropped without blame.
 */
const supersede = ({ rollout, seen }: Situation): Decision | undefined => {
  const { candidate } = rollout
  if (candidate === undefined) return undefined
  if (seen.target.kind === 'Revision' && seen.target.hash === candidate.hash) return undefined
  if (candidate.state === 'Promoting' && seen.service.revision === candidate.revision) return undefined
  return {
    kind: 'Move',
    rollout: without(rollout, 'candidate'),
    transition: {
      from: candidate.state,
      to: 'Idle',
      reason: 'Superseded',
      revision: candidate.revision,
      message: `${candidate.revision} was dropped in ${candidate.state}: the spec now asks for ${
        seen.target.kind === 'Revision' ? seen.target.revision : 'a revision that is not kept'
      }.`,
    },
  }
}

/** How long the previous revision is kept follows the spec, also when it is edited while it is kept. */
const withExpiry = (rollout: Rollout, spec: ModelDeploymentSpec): Rollout => {
  const { stable, previous } = rollout
  if (stable === undefined || previous === undefined) return rollout
  const expiresAt = at(Date.parse(stable.promotedAt) + parseDuration(spec.rollout.keepPreviousFor))
  return { ...rollout, previous: { ...previous, expiresAt } }
}

/** The previous revision has been kept warm for long enough. */
const release = ({ rollout, now }: Situation): Decision | undefined => {
  const { previous, candidate } = rollout
  if (previous?.expiresAt === undefined || now < Date.parse(previous.expiresAt)) return undefined
  if (candidate?.hash === previous.hash) return undefined
  return {
    kind: 'Move',
    rollout: without(rollout, 'previous'),
    transition: {
      from: 'Observing',
      to: 'Idle',
      reason: 'PreviousReleased',
      revision: previous.revision,
      message: `${previous.revision} was kept warm until ${previous.expiresAt} and is now scaled down; its revision stays.`,
    },
  }
}

/** A new target and nobody in its way: it becomes the candidate. */
const begin = ({ spec, rollout, seen, now }: Situation): Decision | undefined => {
  if (rollout.candidate !== undefined || seen.refusal !== undefined || spec.rollout.paused) return undefined
  if (seen.target.kind !== 'Revision' || seen.target.hash === rollout.stable?.hash) return undefined
  const { hash, revision } = seen.target
  const token = spec.rollout.retryToken
  if (rejectionOf(rollout, hash, token) !== undefined) return undefined
  const before = rollout.rejected?.find((r) => r.hash === hash)
  const warm = rollout.previous?.hash === hash
  const kept = seen.revisions.find((r) => r.name === revision)
  const attempt = (before?.attempt ?? 0) + 1
  const candidate: Candidate =
    kept === undefined
      ? { revision, hash, attempt, ...entered('Pending', spec, now) }
      : { ...pointerFacts(kept), attempt, ...entered('Provisioning', spec, now) }
  return {
    kind: 'Move',
    rollout: { ...rollout, candidate },
    transition: {
      from: 'Idle',
      to: candidate.state,
      reason: kept === undefined ? 'Resolving' : 'Provisioning',
      revision,
      message:
        kept === undefined
          ? `${revision} is a new version: its model is being fetched and read.`
          : `${revision} (${kept.version}) is a kept revision${warm ? ' that is still warm' : ''}: it needs no new fetch to be checked.`,
    },
  }
}

// --- one function a state

const step = (situation: Situation, candidate: Candidate): Decision => {
  if (situation.seen.refusal !== undefined) return { kind: 'Stay', candidate }
  switch (candidate.state) {
    case 'Pending':
      return pending(situation, candidate)
    case 'Provisioning':
      return provisioning(situation, candidate)
    case 'Promoting':
      return promoting(situation, candidate)
    default:
      // A later release can leave a state behind that this one does not know; it starts over, safely, at weight 0.
      return move(
        situation,
        { ...candidate, ...entered('Pending', situation.spec, situation.now) },
        'Resolving',
        'The rollout starts over.',
      )
  }
}

const pending = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, seen, now } = situation
  const kept = seen.revisions.find((r) => r.name === candidate.revision)
  if (kept !== undefined) {
    if (spec.rollout.paused) return { kind: 'Stay', candidate: calm(candidate) }
    const provisioned = { ...pointerFacts(kept), attempt: candidate.attempt, ...entered('Provisioning', spec, now) }
    return move(
      situation,
      provisioned,
      'Provisioning',
      `${kept.name} (${kept.version}, ${kept.digest}) is resolved; its pods are starting.`,
    )
  }
  if (seen.trouble?.fatal === true) return reject(situation, candidate, seen.trouble)
  const { resolution } = seen
  if (resolution.kind === 'Failed') {
    if (!resolution.retryable) return reject(situation, candidate, { ...resolution, fatal: true })
    const { reason, message } = resolution
    return retryLater(situation, candidate, { reason, message })
  }
  return waitOrGiveUp(situation, candidate)
}

/** A store that does not answer is tried again by itself, at growing distances, until the deadline. */
const retryLater = (
  situation: Situation,
  candidate: Candidate,
  failure: { reason: Reason; message: string },
): Decision => {
  const { now } = situation
  if (isPast(candidate.deadlineAt, now)) return reject(situation, candidate, { ...failure, fatal: true })
  if (candidate.retryAt === undefined) {
    const delay = retryDelaysMs[Math.min(candidate.attempt - 1, retryDelaysMs.length - 1)] ?? 0
    const retryAt = at(now + delay)
    return { kind: 'Stay', candidate: { ...candidate, retryAt, ...failure }, wakeAt: now + delay }
  }
  if (!isPast(candidate.retryAt, now))
    return { kind: 'Stay', candidate: { ...candidate, ...failure }, wakeAt: Date.parse(candidate.retryAt) }
  const again = { ...without(candidate, 'retryAt'), attempt: candidate.attempt + 1 }
  return move(
    situation,
    again,
    'Resolving',
    `${candidate.revision} is fetched again, attempt ${again.attempt}; before: ${failure.message}`,
  )
}

const provisioning = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, seen, now } = situation
  if (seen.trouble?.fatal === true) return reject(situation, candidate, seen.trouble)
  const pods = countOf(seen, candidate.revision)
  if (pods !== undefined && isFullyReady(pods)) {
    if (spec.rollout.paused) return { kind: 'Stay', candidate: calm(candidate) }
    const promoted = { ...calm(candidate), ...entered('Promoting', spec, now) }
    return move(
      situation,
      promoted,
      'Promoting',
      `All ${pods.wanted} pods of ${candidate.revision} answer; the Service moves to it.`,
    )
  }
  const ready = pods?.ready ?? 0
  if (ready > (candidate.readyReplicas ?? 0)) {
    const deadlineAt = at(now + provisionMs(spec))
    return { kind: 'Stay', candidate: { ...candidate, readyReplicas: ready, progressAt: at(now), deadlineAt } }
  }
  return waitOrGiveUp(situation, candidate)
}

/** The swap: once the Service lists ready endpoints of the candidate, one status write makes it stable. */
const promoting = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  const { stable } = rollout
  const pods = countOf(seen, candidate.revision)
  const wanted = pods?.wanted ?? 1
  if (stable !== undefined && wanted > 0 && pods?.ready === 0) {
    // Users are on their way to pods that have just died; the old ones are still there.
    const message = `All ${wanted} pods of ${candidate.revision} stopped answering while the Service moved: ${seen.trouble?.message ?? 'no pod reported a cause'}`
    return reject(situation, candidate, { reason: seen.trouble?.reason ?? 'NotReady', message, fatal: true })
  }
  const listed = seen.service.readyEndpoints[candidate.revision] ?? 0
  if (seen.service.revision !== candidate.revision || (listed === 0 && wanted > 0))
    return waitOrGiveUp(situation, candidate)
  const keepMs = parseDuration(spec.rollout.keepPreviousFor)
  const promoted: StablePointer = {
    revision: candidate.revision,
    hash: candidate.hash,
    version: candidate.version ?? '',
    digest: candidate.digest ?? '',
    image: candidate.image ?? '',
    promotedAt: at(now),
  }
  return {
    kind: 'Move',
    rollout: {
      ...without(rollout, 'candidate', 'previous'),
      stable: promoted,
      ...(stable === undefined || keepMs === 0 ? {} : { previous: { ...stable, expiresAt: at(now + keepMs) } }),
      rejected: (rollout.rejected ?? []).filter((r) => r.hash !== candidate.hash),
    },
    transition: {
      from: 'Promoting',
      to: stable === undefined ? 'Idle' : 'Observing',
      reason: 'RolledOut',
      revision: candidate.revision,
      message:
        `${promoted.version} (${candidate.revision}) serves all users` +
        (stable === undefined
          ? '.'
          : `; ${stable.version} (${stable.revision}) is kept warm for ${spec.rollout.keepPreviousFor}.`),
    },
  }
}

// --- shared by the states

const waitOrGiveUp = (situation: Situation, candidate: Candidate): Decision => {
  const { seen, now, spec } = situation
  const waiting = explained(candidate, seen.trouble)
  if (!isPast(candidate.deadlineAt, now)) return { kind: 'Stay', candidate: waiting }
  const { reason = 'DeadlineExceeded', message = 'no pod reported a cause' } = waiting
  return reject(situation, candidate, {
    reason: isReason(reason) ? reason : 'DeadlineExceeded',
    message: `No progress within ${spec.rollout.deadlines.provision} (spec.rollout.deadlines.provision): ${message}`,
    fatal: true,
  })
}

/** What the candidate waits for. While a fetch is tried again, that is still what the last try failed of. */
const explained = (candidate: Candidate, trouble: Trouble | undefined): Candidate => {
  if (trouble !== undefined) return { ...candidate, reason: trouble.reason, message: trouble.message }
  return candidate.state === 'Pending' && candidate.attempt > 1 ? candidate : calm(candidate)
}

const reject = (situation: Situation, candidate: Candidate, trouble: Trouble): Decision => {
  const { rollout, spec, now } = situation
  const rejection = {
    hash: candidate.hash,
    revision: candidate.revision,
    ...(candidate.version === undefined ? {} : { version: candidate.version }),
    attempt: candidate.attempt,
    class: rejectionClass(trouble.reason),
    reason: trouble.reason,
    message: trouble.message.slice(0, messageLimit),
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

const move = ({ rollout }: Situation, candidate: Candidate, reason: Reason, message: string): Decision => ({
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

/** Appends the transition to the history in the same status as its effect (invariant I14). */
const written = ({ now }: Situation, decision: Decision): Next => {
  if (decision.kind === 'Stay') throw new Error('only a move is written to the history')
  const { rollout, transition } = decision
  const entry = { at: at(now), ...transition, message: transition.message.slice(0, messageLimit) }
  return {
    rollout: { ...rollout, history: [...(rollout.history ?? []), entry].slice(-historyLimit) },
    transitions: [transition],
  }
}

const entered = (state: Candidate['state'], spec: ModelDeploymentSpec, now: number) => ({
  state,
  enteredAt: at(now),
  deadlineAt: at(now + provisionMs(spec)),
})

const provisionMs = (spec: ModelDeploymentSpec): number => parseDuration(spec.rollout.deadlines.provision)

const pointerFacts = (revision: RevisionFacts) => ({
  revision: revision.name,
  hash: revision.hash,
  version: revision.version,
  digest: revision.digest,
  image: revision.image,
})

const countOf = (seen: Observed, revision: string): PodCount | undefined =>
  seen.pods.find((p) => p.revision === revision)
const isFullyReady = (pods: PodCount): boolean => pods.current && pods.ready >= pods.wanted
const calm = (candidate: Candidate): Candidate => without(candidate, 'reason', 'message')
const at = (ms: number): string => new Date(ms).toISOString()
const isPast = (instant: string | undefined, now: number): boolean =>
  instant !== undefined && now >= Date.parse(instant)
const wake = (instant: string | undefined) => (instant === undefined ? {} : { wakeAt: Date.parse(instant) })

const earliest = (...instants: (string | undefined)[]): number | undefined => {
  const known = instants.filter((i) => i !== undefined).map((i) => Date.parse(i))
  return known.length === 0 ? undefined : Math.min(...known)
}

const without = <T extends object, K extends keyof T>(object: T, ...keys: K[]): Omit<T, K> => {
  const copy = { ...object }
  for (const key of keys) delete copy[key]
  return copy
}
