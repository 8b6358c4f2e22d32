// RollingBack and Superseding: nobody is sent to the candidate any more, every router says so, and only then it ends.
// Pure. What has no share and no copies ends at once; its pods are guarded by wanted.ts all the same.
import { rejectionClass } from '../../api/conditions.ts'
import type { Candidate } from '../../api/modeldeployment.ts'
import {
  type Decision,
  type Rollout,
  type Situation,
  at,
  carried,
  isStamped,
  move,
  nextNumber,
  placeOf,
  readyOf,
  reject,
  rejectionOf,
  without,
  withoutDeadline,
} from '../decision.ts'
import type { Trouble } from '../observed.ts'
import { stopsStableFirst } from '../steps.ts'
import { cut } from '../text.ts'
import { allRequests, isAcknowledged, newSetting, weightOf, type Traffic } from '../traffic.ts'

export type Outcome = NonNullable<Candidate['outcome']>

export const isLeaving = (candidate: Candidate): boolean =>
  candidate.state === 'RollingBack' || candidate.state === 'Superseding'

/** Everything to stable and nothing copied; without a stable, nothing to anybody. */
export const homeSetting = ({ rollout, seen }: Situation): Traffic =>
  newSetting(rollout.traffic, seen, rollout.stable === undefined ? {} : { [rollout.stable.revision]: allRequests })

export const isHome = ({ traffic, stable }: Rollout): boolean => {
  if (traffic === undefined) return stable === undefined
  if (traffic.mirror !== undefined) return false
  return stable === undefined
    ? traffic.weights.length === 0
    : traffic.weights.length === 1 && weightOf(traffic, stable.revision) === allRequests
}

/** The candidate is taken back and remembered as rejected. */
export const fail = (
  situation: Situation,
  candidate: Candidate,
  { reason, message }: Pick<Trouble, 'reason' | 'message'>,
  by?: string,
): Decision =>
  leave(situation, candidate, {
    rejected: true,
    reason,
    message: cut(message),
    class: rejectionClass(reason),
    ...(by !== undefined && { by }),
  })

/** The candidate is taken back without blame. */
export const drop = (situation: Situation, candidate: Candidate, message: string): Decision =>
  leave(situation, candidate, { rejected: false, reason: 'Superseded', message: cut(message) })

/** The candidate is taken back without blame, and begins again for as long as the spec asks for it. */
export const startOver = (situation: Situation, candidate: Candidate, message: string): Decision =>
  leave(situation, candidate, {
    rejected: false,
    reason: 'PodsLost',
    message: cut(`${message.replace(/[.]?$/, '.')} It starts over.`),
  })

const leave = (situation: Situation, candidate: Candidate, outcome: Outcome): Decision => {
  const { rollout, now } = situation
  if (isHome(rollout)) return end(situation, candidate, outcome)
  const { reason, message, rejected, by } = outcome
  const left: Candidate = {
    ...without(withoutDeadline(carried(candidate)), 'pausedBy', 'stableDownAt'),
    state: rejected ? 'RollingBack' : 'Superseding',
    enteredAt: at(now),
    outcome,
  }
  const home = rollout.stable === undefined ? 'no revision' : rollout.stable.revision
  const words = isStopped(situation) ? `${home} starts again.` : `Requests go to ${home} now.`
  const decision = move(situation, left, reason as Trouble['reason'], `${message} ${words}`, homeward(situation))
  return by === undefined || decision.kind !== 'Move'
    ? decision
    : { ...decision, transition: { ...decision.transition, by } }
}

/**
 * Whether stable gets nothing so that its pods could be stopped, be it that nobody does or the candidate gets all already;
 * somebody may still be about to stop them.
 */
const isStopped = ({ spec, rollout: { stable, traffic } }: Situation): boolean =>
  stable !== undefined &&
  (traffic?.weights.length === 0 || (stopsStableFirst(spec) && weightOf(traffic, stable.revision) === 0))

/**
 * Requests go to stable at once. Where it was being stopped, its Deployment is stamped anew first: a scale-down that
 * was planned before can then no longer be carried out.
 */
const homeward = (situation: Situation): Partial<Rollout> => {
  const { stable } = situation.rollout
  if (stable === undefined || !isStopped(situation)) return { traffic: homeSetting(situation) }
  const isAnswered = situation.rollout.traffic?.weights.length !== 0
  const rollouts = nextNumber(situation)
  // The candidate is not to be asked any more either.
  const traffic = newSetting(situation.rollout.traffic, situation.seen, {})
  return { stable: { ...stable, rollout: rollouts }, rollouts, ...(isAnswered && { traffic }) }
}

export const leaving = (situation: Situation, candidate: Candidate): Decision => {
  const { rollout, seen } = situation
  const { stable } = rollout
  const stay: Decision = { kind: 'Stay', candidate }
  if (!isHome(rollout)) {
    // Without its record nobody writes its Deployment, neither the stamp nor a scale-down.
    const isKept = seen.revisions.some((r) => r.name === stable?.revision)
    if (stable !== undefined && isKept && !isStamped(seen, stable)) return stay
    const message = `Requests go to ${stable?.revision ?? 'no revision'} again.`
    return move(situation, candidate, 'RollingBack', message, { traffic: homeSetting(situation) })
  }
  if (rollout.traffic !== undefined && !isAcknowledged(seen, rollout.traffic)) return stay
  return end(situation, candidate, candidate.outcome ?? unknownOutcome)
}

/** A status edited by hand can lack it. */
const unknownOutcome: Outcome = { rejected: false, reason: 'Superseded', message: 'It was taken back.' }

const end = (situation: Situation, candidate: Candidate, { rejected, reason, message, by }: Outcome): Decision => {
  const { rollout } = situation
  if (rejected) return reject(situation, candidate, { reason: reason as Trouble['reason'], message, fatal: true }, by)
  return {
    kind: 'Move',
    rollout: without(rollout, 'candidate'),
    transition: {
      from: placeOf(rollout.candidate),
      to: 'Idle',
      reason: reason === 'PodsLost' ? reason : 'Superseded',
      revision: candidate.revision,
      message,
    },
  }
}

/**
 * The spec asks for something else than the candidate. One that every router sends everything to finishes its swap
 * first (late-change rule); so does a first version that answers, since nobody else could. Any other is taken back.
 */
export const supersede = (situation: Situation): Decision | undefined => {
  const { rollout, seen, spec } = situation
  const { candidate } = rollout
  if (candidate === undefined || isLeaving(candidate)) return undefined
  if (spec.replicas === 0)
    return drop(
      situation,
      candidate,
      `${candidate.revision} was dropped in ${placeOf(candidate)}: spec.replicas is 0, and nothing runs that could be checked.`,
    )
  if (!isAskedElsewhere(situation, candidate) || finishesFirst(situation, candidate)) return undefined
  const wanted = seen.target.kind === 'Revision' ? seen.target.revision : 'a revision that is not kept'
  return drop(
    situation,
    candidate,
    `${candidate.revision} was dropped in ${placeOf(candidate)}: the spec now asks for ${wanted}.`,
  )
}

/** Whether the spec asks for another revision. A step back holds for as long as what the spec asks for is rejected. */
export const isAskedElsewhere = ({ seen, rollout, spec }: Situation, candidate: Candidate): boolean => {
  const { target } = seen
  if (target.kind === 'Missing') return true
  if (target.hash === candidate.hash) return false
  return !(candidate.back === true && target.hash === rollout.stable?.hash && isRejected(rollout, target.hash, spec))
}

const isRejected = (rollout: Rollout, hash: string, spec: Situation['spec']): boolean =>
  rejectionOf(rollout, hash, spec) !== undefined

const finishesFirst = ({ rollout, seen }: Situation, candidate: Candidate): boolean => {
  if (candidate.state !== 'Promoting' || weightOf(rollout.traffic, candidate.revision) < allRequests) return false
  if (readyOf(seen, candidate.revision) === 0) return false
  if (rollout.stable === undefined) return true
  return candidate.substep !== 'Gate' && isAcknowledged(seen, rollout.traffic)
}
