// Pending: the model is fetched and read by a Job, before any pod starts. The same in every traffic mode. Pure.
import { isReason } from '../../api/conditions.ts'
import type { Candidate } from '../../api/modeldeployment.ts'
import {
  type Situation,
  type Decision,
  move,
  reject,
  carried,
  entered,
  pointerFacts,
  calm,
  at,
  isPast,
  without,
  withoutDeadline,
} from '../decision.ts'
import type { Trouble } from '../observed.ts'
import { cut } from '../text.ts'

const retryDelaysMs = [5_000, 15_000, 60_000, 300_000]

/** Resolved by a Job, or kept already: a ModelRevision exists, and its pods can be made. */
export const pending = (situation: Situation, candidate: Candidate, isHeld: boolean): Decision => {
  const { spec, seen, now } = situation
  const kept = seen.revisions.find((r) => r.name === candidate.revision)
  if (kept !== undefined) {
    if (isHeld) return { kind: 'Stay', candidate: withoutDeadline(calm(candidate)) }
    const provisioned = { ...carried(candidate), ...pointerFacts(kept), ...entered('Provisioning', spec, now) }
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

/** Still within the deadline it waits, and says for what; after it the candidate is rejected for that. */
export const waitOrGiveUp = (situation: Situation, candidate: Candidate): Decision => {
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
export const explained = (candidate: Candidate, trouble: Trouble | undefined): Candidate => {
  if (trouble !== undefined) return { ...candidate, reason: trouble.reason, message: cut(trouble.message) }
  return candidate.state === 'Pending' && candidate.attempt > 1 ? candidate : calm(candidate)
}
