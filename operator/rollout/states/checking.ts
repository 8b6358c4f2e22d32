// Provisioning, Validating and Shadowing: pods of the candidate, and what they must show before any user is sent to
// them. Pure.
import type { Candidate } from '../../api/modeldeployment.ts'
import {
  type Decision,
  type Situation,
  at,
  calm,
  carried,
  entered,
  isPast,
  move,
  readyOf,
  withoutDeadline,
} from '../decision.ts'
import type { CheckResult } from '../observed.ts'
import { fullSize, podsFor, stepAbove, stepOf, stopsStableFirst } from '../steps.ts'
import { appliedInWords, allRequests, isAcknowledged, newSetting } from '../traffic.ts'
import { isHeld, isProvisioned, overdue, stateMs, tooLate } from './checks.ts'
import { drop, fail, isHome } from './leaving.ts'
import { takenBack } from './lost.ts'
import { explained } from './pending.ts'
import { takeStep } from './step.ts'

/** The first share that this rollout gives: that of the first step, or everybody at once. */
const firstStep = ({ spec, rollout }: Situation) =>
  rollout.stable === undefined || stopsStableFirst(spec)
    ? { step: stepOf(spec, allRequests), index: 0 }
    : stepAbove(spec, 0)

export const provisioning = (situation: Situation, persisted: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  const { revision } = persisted
  const failure = seen.trouble?.fatal === true ? seen.trouble : overdue(situation, persisted)
  if (failure !== undefined) return fail(situation, persisted, failure)
  if (!seen.revisions.some((r) => r.name === revision)) {
    const lost = `ModelRevision ${revision} was deleted: its model is fetched and read again.`
    // A fetch takes its time: where stable was stopped for it, stable answers meanwhile, and the rollout begins anew.
    if (!isHome(rollout)) return drop(situation, persisted, lost)
    return move(
      situation,
      { ...carried(persisted), attempt: persisted.attempt + 1, ...entered('Pending', spec, now) },
      'Resolving',
      lost,
    )
  }
  // A scale-down of stable that was planned before can still be carried out; on the way back stable is stamped anew.
  if (!stopsStableFirst(spec) && rollout.stable !== undefined && rollout.traffic?.weights.length === 0)
    return drop(
      situation,
      persisted,
      `${rollout.stable.revision} was stopped for ${revision}, and the spec does not ask for that any more: ${revision} begins again.`,
    )
  const replicas = podsFor(spec, rollout, persisted, firstStep(situation).step.weight)
  const candidate = { ...persisted, replicas }
  const held = isHeld(situation, candidate)
  const stopsFirst = stopsStableFirst(spec) && rollout.stable !== undefined
  if (stopsFirst && rollout.traffic?.weights.length !== 0) {
    const old = rollout.stable?.revision ?? ''
    if (!seen.revisions.some((r) => r.name === old))
      return fail(situation, candidate, {
        reason: 'RevisionMissing',
        message: `ModelRevision ${old} was deleted, so that ${old} could not be started again once it is stopped: use strategy BlueGreen or Canary with capacity Surge.`,
      })
    return held ? stay(candidate) : drain(situation, candidate)
  }
  if (isProvisioned(seen, candidate)) {
    if (held) return { kind: 'Stay', candidate: withoutDeadline(calm(candidate)) }
    const why = `All ${replicas} pods of ${revision} answer.`
    return spec.rollout.golden === undefined
      ? afterGolden(situation, candidate, why)
      : validate(situation, candidate, why)
  }
  const ready = readyOf(seen, revision)
  if (ready > (candidate.readyReplicas ?? 0)) {
    const deadlineAt = at(now + stateMs(spec, candidate))
    const progressed = { ...candidate, readyReplicas: ready, progressAt: at(now) }
    return { kind: 'Stay', candidate: held ? progressed : { ...progressed, deadlineAt } }
  }
  if (!isPast(candidate.deadlineAt, now)) return { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
  const { reason, message } = seen.trouble ?? {
    reason: 'DeadlineExceeded' as const,
    message: `${ready} of ${replicas} pods are ready, and no pod reported a cause.`,
  }
  return fail(situation, candidate, {
    reason,
    message: `No progress within ${spec.rollout.deadlines.provision} (spec.rollout.deadlines.provision): ${message}`,
  })
}

/** Explicit downtime: no router sends anything any more before the pods of stable stop. */
const drain = (situation: Situation, candidate: Candidate): Decision => {
  const { rollout, seen } = situation
  return move(
    situation,
    candidate,
    'Draining',
    `${rollout.stable?.revision ?? ''} stops before ${candidate.revision} starts, as the spec asks: nobody is answered until then.`,
    { traffic: newSetting(rollout.traffic, seen, {}) },
  )
}

const validate = (situation: Situation, candidate: Candidate, why: string): Decision => {
  const { spec, now } = situation
  const next: Candidate = { ...carried(candidate), state: 'Validating', enteredAt: at(now) }
  const timed = { ...next, deadlineAt: at(now + stateMs(spec, next)) }
  return move(situation, timed, 'Validating', `${why} They are asked the golden requests.`)
}

export const validating = (situation: Situation, candidate: Candidate): Decision => {
  const { seen, now } = situation
  const ending = takenBack(situation, candidate)
  if (ending !== undefined) return ending
  const result = resultFor(candidate, seen.evidence?.golden)
  if (result?.verdict === 'Fail') return fail(situation, candidate, { reason: 'GoldenFailed', message: result.message })
  if (result?.verdict === 'Pass')
    return isHeld(situation, candidate) ? stay(candidate) : afterGolden(situation, candidate, result.message)
  const message = result?.message ?? 'The golden requests have not been answered.'
  if (!isPast(candidate.deadlineAt, now)) return { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
  return fail(situation, candidate, tooLate(situation, candidate, { reason: 'DeadlineExceeded', message }))
}

const afterGolden = (situation: Situation, candidate: Candidate, why: string): Decision => {
  const { spec, rollout } = situation
  const { shadow } = spec.rollout
  const isShadowed =
    shadow !== undefined && shadow.enabled !== false && rollout.stable !== undefined && !stopsStableFirst(spec)
  return isShadowed ? mirrorTo(situation, candidate, why) : takeStep(situation, candidate, firstStep(situation), why)
}

/** A pod of the candidate gets the load of a pod of stable, in copies; nobody sees its answers. */
const mirrorTo = (situation: Situation, candidate: Candidate, why: string): Decision => {
  const { spec, rollout, seen, now } = situation
  const { revision, replicas = 1 } = candidate
  const perMille = Math.min(allRequests, Math.round((allRequests * replicas) / Math.max(1, fullSize(spec, candidate))))
  const next: Candidate = { ...carried(candidate), state: 'Shadowing', substep: 'Shift', enteredAt: at(now) }
  const traffic = newSetting(
    rollout.traffic,
    seen,
    { [rollout.stable?.revision ?? '']: allRequests },
    { revision, perMille },
  )
  return move(
    situation,
    { ...next, deadlineAt: at(now + stateMs(spec, next)) },
    'Shadowing',
    `${why} It gets copies of ${perMille / 10}% of the requests, epoch ${traffic.epoch}.`,
    { traffic },
  )
}

export const shadowing = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  const ending = takenBack(situation, candidate)
  if (ending !== undefined) return ending
  const late = isPast(candidate.deadlineAt, now)
  if (candidate.substep === 'Shift') {
    const message = appliedInWords(spec, seen, rollout.traffic)
    if (isAcknowledged(seen, rollout.traffic))
      return move(situation, { ...calm(candidate), substep: 'Analyse', ackedAt: at(now) }, 'Shadowing', message)
    if (late)
      return fail(situation, candidate, tooLate(situation, candidate, { reason: 'RoutersNotAcknowledged', message }))
    return { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
  }
  const result = resultFor(candidate, seen.evidence?.shadow)
  if (result?.verdict === 'Fail') return fail(situation, candidate, { reason: 'ShadowFailed', message: result.message })
  if (isHeld(situation, candidate)) return stay(candidate)
  const on = (message: string): Decision => takeStep(situation, candidate, firstStep(situation), message)
  if (result?.verdict === 'Pass') return on(result.message)
  if (!late) return { kind: 'Stay', candidate: explained(candidate, seen.trouble) }
  const { onInconclusive, onMetricsError, onNoTraffic } = spec.rollout
  const back = (reason: 'Inconclusive' | 'MetricsMissing', message: string): Decision =>
    fail(situation, candidate, tooLate(situation, candidate, { reason, message }))
  if (result?.verdict === 'NoTraffic')
    return onNoTraffic === 'Proceed' ? on(`${result.message} spec.rollout.onNoTraffic is Proceed.`) : stay(candidate)
  if (result?.verdict === 'Inconclusive' && onInconclusive === 'Promote')
    return on(`${result.message} spec.rollout.onInconclusive is Promote.`)
  if (result?.verdict === 'Inconclusive')
    return onInconclusive === 'Rollback' ? back('Inconclusive', result.message) : stay(candidate)
  return onMetricsError === 'Rollback'
    ? back('MetricsMissing', result?.message ?? 'No pair of answers was compared.')
    : stay(candidate)
}

const stay = (candidate: Candidate): Decision => ({ kind: 'Stay', candidate })

/** Only a result about this attempt of this revision counts; a late one of an earlier attempt does not. */
const resultFor = ({ revision, attempt }: Candidate, result: CheckResult | undefined): CheckResult | undefined =>
  result?.revision === revision && result.attempt === attempt ? result : undefined
