// The states of a candidate, one small function each: what it waits for, and where it goes from there. Pure.
import { isReason } from '../api/conditions.ts'
import { parseDuration } from '../api/duration.ts'
import type { Candidate, StablePointer } from '../api/modeldeployment.ts'
import {
  type Situation,
  type Decision,
  move,
  reject,
  entered,
  provisionMs,
  pointerFacts,
  calm,
  at,
  isPast,
  without,
  withoutDeadline,
} from './decision.ts'
import type { Observed, PodCount, Trouble } from './observed.ts'
import { cut } from './text.ts'

export const step = (situation: Situation, persisted: Candidate): Decision => {
  const { seen, spec, now } = situation
  // Users are on it already: what the spec has come to ask for since waits until they have arrived.
  if (seen.refusal !== undefined && !hasTraffic(seen, persisted))
    return { kind: 'Stay', candidate: withoutDeadline(persisted) }
  const candidate = { deadlineAt: at(now + provisionMs(spec)), ...persisted }
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

/** Whether the Service sends users to the candidate. */
export const hasTraffic = (seen: Observed, { state, revision }: Candidate): boolean =>
  state === 'Promoting' && seen.service.revision === revision

const retryDelaysMs = [5_000, 15_000, 60_000, 300_000]

const pending = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, seen, now } = situation
  const kept = seen.revisions.find((r) => r.name === candidate.revision)
  if (kept !== undefined) {
    if (spec.rollout.paused) return { kind: 'Stay', candidate: withoutDeadline(calm(candidate)) }
    const provisioned = { ...pointerFacts(kept), attempt: candidate.attempt, ...entered('Provisioning', spec, now) }
    return move(
      situation,
      provisioned,
      'Provisioning',
      `${kept.name} (${kept.version}, ${kept.digest}) is resolved; its pods are starting.`,
    )
  }
  if (seen.trouble?.fatal === true) return reject(situation, candidate, seen.trouble)
  if (candidate.retryAt !== undefined) return retry(situation, candidate, candidate.retryAt)
  const { resolution } = seen
  if (resolution.kind !== 'Failed') return waitOrGiveUp(situation, candidate)
  const { reason, message, retryable } = resolution
  if (!retryable || isPast(candidate.deadlineAt, now))
    return reject(situation, candidate, { reason, message, fatal: true })
  const delay = retryDelaysMs[Math.min(candidate.attempt - 1, retryDelaysMs.length - 1)] ?? 0
  return { kind: 'Stay', candidate: { ...candidate, retryAt: at(now + delay), reason, message: cut(message) } }
}

/**
 * A store that does not answer is tried again by itself, at growing distances, until the deadline. Why is in the
 * status: the Job of the last try may be gone by then.
 */
const retry = (situation: Situation, candidate: Candidate, retryAt: string): Decision => {
  const { now } = situation
  const { reason = '', message = 'the fetch failed' } = candidate
  if (isPast(candidate.deadlineAt, now))
    return reject(situation, candidate, {
      reason: isReason(reason) ? reason : 'ModelUnreachable',
      message,
      fatal: true,
    })
  if (!isPast(retryAt, now)) return { kind: 'Stay', candidate }
  const again = { ...without(candidate, 'retryAt'), attempt: candidate.attempt + 1 }
  return move(
    situation,
    again,
    'Resolving',
    `${candidate.revision} is fetched again, attempt ${again.attempt}; before: ${message}`,
  )
}

const provisioning = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, seen, now } = situation
  if (seen.trouble?.fatal === true) return reject(situation, candidate, seen.trouble)
  if (!seen.revisions.some((r) => r.name === candidate.revision)) {
    const { revision, hash, attempt } = candidate
    return move(
      situation,
      { revision, hash, attempt: attempt + 1, ...entered('Pending', spec, now) },
      'Resolving',
      `ModelRevision ${revision} was deleted: its model is fetched and read again.`,
    )
  }
  const pods = countOf(seen, candidate.revision)
  if (pods?.current === true && pods.ready >= spec.replicas) {
    if (spec.rollout.paused) return { kind: 'Stay', candidate: withoutDeadline(calm(candidate)) }
    const promoted = { ...calm(candidate), ...entered('Promoting', spec, now) }
    return move(
      situation,
      promoted,
      'Promoting',
      `All ${spec.replicas} pods of ${candidate.revision} answer; the Service moves to it.`,
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
  const wanted = spec.replicas
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
  if (trouble !== undefined) return { ...candidate, reason: trouble.reason, message: cut(trouble.message) }
  return candidate.state === 'Pending' && candidate.attempt > 1 ? candidate : calm(candidate)
}

const countOf = (seen: Observed, revision: string): PodCount | undefined =>
  seen.pods.find((p) => p.revision === revision)
