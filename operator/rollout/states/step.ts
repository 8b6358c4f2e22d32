// Canary and Promoting: pods for a share of users, the share itself, the evidence, the gate. Pure.
// The share of a candidate rises only here, and only after the step before has passed or a person has let it pass.
import type { Candidate } from '../../api/modeldeployment.ts'
import type { Reason } from '../../api/conditions.ts'
import {
  type Decision,
  type Situation,
  at,
  calm,
  carried,
  isPast,
  isStamped,
  isUncounted,
  move,
  readyOf,
  without,
} from '../decision.ts'
import { percent, podsFor, stepAbove, stepOf, stopsStableFirst, type Step } from '../steps.ts'
import { acknowledgements, allRequests, appliedInWords, isAcknowledged, newSetting, sharesOff } from '../traffic.ts'
import { judge } from '../verdict.ts'
import { isHeld, isProvisioned, stateMs, tooLate } from './checks.ts'
import { fail, isAskedElsewhere } from './leaving.ts'
import { takenBack } from './lost.ts'
import { explained } from './pending.ts'
import { swap } from './swap.ts'

/** Goes to a step: at once to its share where the pods are enough already. `why` says what the step before has shown. */
export const takeStep = (
  situation: Situation,
  candidate: Candidate,
  { step, index }: { readonly step: Step; readonly index: number },
  why: string,
  reason?: Reason,
): Decision => {
  const { spec, rollout, seen, now } = situation
  const last = step.weight >= allRequests
  const taken: Candidate = {
    ...carried(candidate),
    state: last ? 'Promoting' : 'Canary',
    substep: 'Scale',
    ...(last ? {} : { step: index }),
    stepWeight: step.weight,
    replicas: Math.max(last ? 0 : (candidate.replicas ?? 0), podsFor(spec, rollout, candidate, step.weight)),
    enteredAt: at(now),
  }
  const timed = { ...taken, deadlineAt: at(now + stateMs(spec, taken)) }
  if (isProvisioned(seen, timed)) return shiftTo(situation, timed, why, reason)
  return move(
    situation,
    timed,
    reason ?? (last ? 'Promoting' : 'Scaling'),
    `${why} ${timed.revision} needs ${timed.replicas ?? 0} pods for ${percent(step.weight)}.`,
  )
}

/** Writes the epoch with the share of the step. */
const shiftTo = (situation: Situation, candidate: Candidate, why: string, reason?: Reason): Decision => {
  const { rollout, seen } = situation
  const { stable } = rollout
  const weight = candidate.stepWeight ?? allRequests
  const weights =
    stable === undefined || weight >= allRequests
      ? { [candidate.revision]: allRequests }
      : { [stable.revision]: allRequests - weight, [candidate.revision]: weight }
  const traffic = newSetting(rollout.traffic, seen, weights)
  return move(
    situation,
    { ...calm(candidate), substep: 'Shift' },
    reason ?? (weight >= allRequests ? 'Promoting' : 'Shifting'),
    `${why} Routers take over epoch ${traffic.epoch}: ${percent(weight)} to ${candidate.revision}.`,
    { traffic },
  )
}

/** Canary and Promoting, by substep. */
export const inStep = (situation: Situation, candidate: Candidate): Decision => {
  const ending = takenBack(situation, candidate)
  if (ending !== undefined) return ending
  const emergency = preferHealthy(situation, candidate)
  if (emergency !== undefined) return emergency
  switch (candidate.substep) {
    case 'Shift':
      return shifting(situation, candidate)
    case 'Analyse':
      return analysing(situation, candidate)
    case 'Gate':
      return { kind: 'Stay', candidate }
    default:
      return scaling(situation, candidate)
  }
}

const scaling = (situation: Situation, persisted: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  // An autoscaler may ask for more while everybody's pods start.
  const replicas =
    persisted.state === 'Promoting' ? podsFor(spec, rollout, persisted, allRequests) : (persisted.replicas ?? 1)
  const candidate = { ...persisted, replicas }
  const { revision } = candidate
  if (isProvisioned(seen, candidate)) {
    if (isHeld(situation, candidate)) return { kind: 'Stay', candidate: calm(candidate) }
    return shiftTo(situation, candidate, `${replicas} pods of ${revision} are ready.`)
  }
  const message = `${readyOf(seen, revision)} of ${replicas} pods are ready.`
  if (isPast(candidate.deadlineAt, now))
    return fail(situation, candidate, tooLate(situation, candidate, { reason: 'DeadlineExceeded', message }))
  return { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
}

const shifting = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  const weight = candidate.stepWeight ?? allRequests
  if (isAcknowledged(seen, rollout.traffic)) {
    if (candidate.state === 'Promoting' && !isBaked(situation, candidate)) return swapOrStay(situation, candidate, '')
    return move(
      situation,
      { ...calm(candidate), substep: 'Analyse', ackedAt: at(now) },
      'Analysing',
      analysingWords(situation, candidate, weight),
    )
  }
  const message = appliedInWords(spec, seen, rollout.traffic)
  if (isPast(candidate.deadlineAt, now))
    return fail(situation, candidate, tooLate(situation, candidate, { reason: 'RoutersNotAcknowledged', message }))
  return { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
}

const analysingWords = ({ spec, rollout, seen }: Situation, { revision }: Candidate, weight: number): string => {
  const { total, acked } = acknowledgements(seen, rollout.traffic)
  const least = `${stepOf(spec, weight).minDurationMs / 1000} s`
  return isUncounted(spec)
    ? `${acked} of ${total} routes ask for ${percent(weight)} to ${revision}; it stays for at least ${least}.`
    : `${acked} of ${total} routers send ${percent(weight)} to ${revision}; it is judged for at least ${least}.`
}

/** Whether 100 % is held for a while before the swap: not for a revision that has served everybody before. */
const isBaked = ({ spec, rollout }: Situation, candidate: Candidate): boolean =>
  spec.rollout.strategy === 'Canary' &&
  rollout.stable !== undefined &&
  candidate.back !== true &&
  rollout.previous?.hash !== candidate.hash

const analysing = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  if (candidate.state === 'Promoting' && isAskedElsewhere(situation, candidate))
    return swapOrStay(situation, candidate, 'The spec already asks for another version.')
  const step = stepOf(spec, candidate.stepWeight ?? allRequests)
  const since = Date.parse(candidate.ackedAt ?? candidate.enteredAt)
  const stay: Decision = { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
  if (isHeld(situation, candidate) || now < since + step.minDurationMs) return stay
  const late = isPast(candidate.deadlineAt, now)
  if (!isAcknowledged(seen, rollout.traffic))
    return late
      ? fail(
          situation,
          candidate,
          tooLate(situation, candidate, {
            reason: 'RoutersNotAcknowledged',
            message: appliedInWords(spec, seen, rollout.traffic),
          }),
        )
      : stay
  if (!isProvisioned(seen, candidate)) {
    const message = `${readyOf(seen, candidate.revision)} of ${candidate.replicas ?? 0} pods are ready.`
    return late ? fail(situation, candidate, tooLate(situation, candidate, { reason: 'NotReady', message })) : stay
  }
  // What is judged at other shares than those asked for is judged for another step.
  const off = sharesOff(seen, rollout.traffic)
  if (off !== undefined)
    return late && spec.rollout.onMetricsError === 'Rollback'
      ? fail(situation, candidate, tooLate(situation, candidate, { reason: 'SharesOff', message: off }))
      : stay
  return judged(situation, candidate, step, late) ?? stay
}

/** What the evidence decides once everything is in place; undefined: it waits. */
const judged = (situation: Situation, candidate: Candidate, step: Step, late: boolean): Decision | undefined => {
  const { spec, rollout, seen, now } = situation
  const { onInconclusive, onMetricsError, onNoTraffic } = spec.rollout
  const verdict = judge(spec, seen, rollout.traffic, candidate.revision)
  switch (verdict.kind) {
    case 'Pass':
      return passed(situation, candidate, step, 'StepPassed', verdict.message)
    case 'NoTraffic':
      // Figures begin anew when the operator does: silence since then proves nothing before it has lasted for a step.
      return onNoTraffic === 'Proceed' && now >= (seen.evidence?.since ?? 0) + step.minDurationMs
        ? passed(situation, candidate, step, 'NoTraffic', `${verdict.message} spec.rollout.onNoTraffic is Proceed.`)
        : undefined
    case 'NoFigures':
      return late && onMetricsError === 'Rollback'
        ? fail(situation, candidate, tooLate(situation, candidate, { reason: 'MetricsMissing', ...messageOf(verdict) }))
        : undefined
    case 'Inconclusive':
      if (isUncounted(spec)) return unjudged(situation, candidate, step, late, verdict.message)
      if (!late || onInconclusive === 'Hold') return undefined
      return onInconclusive === 'Promote'
        ? passed(
            situation,
            candidate,
            step,
            'Inconclusive',
            `${verdict.message} spec.rollout.onInconclusive is Promote.`,
          )
        : fail(situation, candidate, tooLate(situation, candidate, { reason: 'Inconclusive', ...messageOf(verdict) }))
    default:
      return undefined
  }
}

/** Nobody counts, and no time will bring evidence: what the policy says of such a step happens without waiting for any. */
const unjudged = (
  situation: Situation,
  candidate: Candidate,
  step: Step,
  late: boolean,
  message: string,
): Decision | undefined => {
  switch (situation.spec.rollout.onInconclusive) {
    case 'Promote':
      return passed(situation, candidate, step, 'Inconclusive', `${message} spec.rollout.onInconclusive is Promote.`)
    case 'Rollback':
      // Until then a person may look for himself, and promote it.
      return late
        ? fail(situation, candidate, tooLate(situation, candidate, { reason: 'Inconclusive', message }))
        : undefined
    default:
      return passed(situation, candidate, { ...step, gate: 'Manual' }, 'Inconclusive', message)
  }
}

const messageOf = ({ message }: { readonly message: string }) => ({ message })

const passed = (situation: Situation, candidate: Candidate, step: Step, reason: Reason, why: string): Decision =>
  step.gate === 'Manual'
    ? move(
        situation,
        { ...without(calm(candidate), 'deadlineAt', 'endsBy'), substep: 'Gate' },
        'AwaitingPromotion',
        `${why} The gate at ${percent(step.weight)} waits for the command promote.`,
      )
    : beyond(situation, candidate, why, reason)

/** The step is over: the next one, or the swap. */
export const beyond = (situation: Situation, candidate: Candidate, why: string, reason?: Reason): Decision =>
  candidate.state === 'Promoting'
    ? swap(situation, candidate, why)
    : takeStep(situation, candidate, stepAbove(situation.spec, candidate.stepWeight ?? 0), why, reason)

const swapOrStay = (situation: Situation, candidate: Candidate, why: string): Decision =>
  isHeld(situation, candidate) || !isAcknowledged(situation.seen, situation.rollout.traffic)
    ? { kind: 'Stay', candidate }
    : swap(situation, candidate, why)

/** How long stable may have no ready pod before a checked candidate takes over; research/rollouts.md 6.2. */
export const stableDownMs = 60_000

/** Remembers since when stable has had no ready pod. */
export const watchStable = ({ rollout, seen, now, spec }: Situation, candidate: Candidate): Candidate => {
  const { stable } = rollout
  if (stable === undefined || stopsStableFirst(spec) || readyOf(seen, stable.revision) > 0)
    return without(candidate, 'stableDownAt')
  return { stableDownAt: at(now), ...candidate }
}

/** Stable answers nobody, and this one has passed its checks: it takes all users now, and is judged there. */
const preferHealthy = (situation: Situation, candidate: Candidate): Decision | undefined => {
  const { spec, rollout, seen, now } = situation
  const { stable } = rollout
  if (spec.rollout.onStableUnhealthy !== 'PreferHealthy' || candidate.stableDownAt === undefined) return undefined
  if (stable === undefined || now < Date.parse(candidate.stableDownAt) + stableDownMs) return undefined
  if (candidate.state === 'Promoting' && candidate.substep !== 'Scale') return undefined
  if (!isStamped(seen, candidate) || spec.rollout.paused || candidate.pausedBy !== undefined) return undefined
  if (seen.refusal !== undefined) return undefined
  const taken: Candidate = {
    ...without(carried(candidate), 'stableDownAt'),
    state: 'Promoting',
    stepWeight: allRequests,
    replicas: podsFor(spec, rollout, candidate, allRequests),
    enteredAt: at(now),
  }
  return shiftTo(
    situation,
    { ...taken, deadlineAt: at(now + stateMs(spec, taken)) },
    `${stable.revision} has had no ready pod for ${stableDownMs / 1000} s, and ${candidate.revision} has passed its checks.`,
    'StableUnhealthy',
  )
}
