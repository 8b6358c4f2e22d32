// What a candidate waits for where nothing is wrong, in one word and one sentence. Pure.
import type { Reason } from '../api/conditions.ts'
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { type Situation, isUncounted, readyOf } from './decision.ts'
import { percent, stepOf } from './steps.ts'
import { allRequests, appliedInWords, isAcknowledged, sharesOff } from './traffic.ts'
import { judge } from './verdict.ts'

/** Undefined without a candidate. The cause of trouble, if there is any, is in the candidate's own message. */
export const waitsFor = (
  situation: Pick<Situation, 'spec' | 'rollout' | 'seen'>,
): { readonly reason: Reason; readonly message: string } | undefined => {
  const { spec, rollout, seen } = situation
  const { candidate, traffic, stable } = rollout
  if (candidate === undefined) return undefined
  const { revision, replicas = spec.replicas, stepWeight = allRequests } = candidate
  const name = candidate.version === undefined ? revision : `${candidate.version} (${revision})`
  const share = percent(stepWeight)
  const routers = appliedInWords(spec, seen, traffic)
  const pods = `${readyOf(seen, revision)} of ${replicas} pods of ${name} are ready.`
  switch (candidate.state) {
    case 'Pending':
      return { reason: 'Resolving', message: `The model of ${revision} is being fetched and read.` }
    case 'Provisioning':
      return { reason: 'Provisioning', message: pods }
    case 'Validating':
      return {
        reason: 'Validating',
        message: `${name} is asked the golden requests.`,
      }
    case 'Shadowing':
      return {
        reason: 'Shadowing',
        message: candidate.substep === 'Shift' ? routers : `${name} gets copies.`,
      }
    case 'RollingBack':
    case 'Superseding': {
      const { message = '' } = candidate.outcome ?? {}
      const to = stable === undefined ? '' : ` to ${stable.revision}`
      return { reason: 'RollingBack', message: `${message} Requests go back${to}: ${routers}` }
    }
    default:
  }
  switch (candidate.substep) {
    case 'Scale':
      return { reason: 'Scaling', message: `${pods} They are for ${share} of the requests.` }
    case 'Gate':
      return {
        reason: 'AwaitingPromotion',
        message: isUncounted(spec)
          ? `${name} gets ${share} of the requests, and in traffic.mode Gateway nobody counts what they come to: it waits for the command promote.`
          : `${name} has passed at ${share}; the gate waits for the command promote.`,
      }
    case 'Analyse': {
      if (!isAcknowledged(seen, traffic)) return { reason: 'Shifting', message: routers }
      const off = sharesOff(seen, traffic)
      if (off !== undefined) return { reason: 'SharesOff', message: `${name} is held at ${share}: ${off}` }
      const { kind } = judge(spec, seen, traffic, revision)
      if (isUncounted(spec)) return { reason: 'Analysing', message: uncounted(spec, name, stepWeight) }
      const least = `at least ${stepOf(spec, stepWeight).minDurationMs / 1000} s`
      return {
        reason: kind === 'NoTraffic' ? 'NoTraffic' : kind === 'NoFigures' ? 'MetricsMissing' : 'Analysing',
        // No figures: they change with every request, and the status would be written as often.
        message: `${name} gets ${share} of the requests and is judged for ${least}.`,
      }
    }
    default:
      return {
        reason: stepWeight >= allRequests ? 'Promoting' : 'Shifting',
        message: `${share} to ${name}: ${routers}`,
      }
  }
}

/** What becomes of a step that nobody can judge. */
const uncounted = (spec: ModelDeploymentSpec, name: string, weight: number): string => {
  const least = `${stepOf(spec, weight).minDurationMs / 1000} s`
  const { onInconclusive, deadlines } = spec.rollout
  const then =
    onInconclusive === 'Promote'
      ? `goes on after ${least}, because spec.rollout.onInconclusive is Promote`
      : onInconclusive === 'Hold'
        ? `waits for the command promote after ${least}`
        : `is taken back after ${deadlines.step} unless a person promotes it, because spec.rollout.onInconclusive is Rollback`
  return `${name} gets ${percent(weight)} of the requests. In traffic.mode Gateway nobody counts what they come to: it ${then}.`
}
