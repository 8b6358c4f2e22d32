// What a candidate waits for where nothing is wrong, in one word and one sentence. Pure.
import type { Reason } from '../api/conditions.ts'
import { type Situation, readyOf } from './decision.ts'
import { percent, stepOf } from './steps.ts'
import { acknowledgements, allRequests, isAcknowledged, sharesOff } from './traffic.ts'
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
  const { total, acked } = acknowledgements(seen, traffic)
  const routers = `${acked} of ${total} routers have applied epoch ${traffic?.epoch ?? 0}.`
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
        message: `${name} has passed at ${share}; the gate waits for the command promote.`,
      }
    case 'Analyse': {
      if (!isAcknowledged(seen, traffic)) return { reason: 'Shifting', message: routers }
      const off = sharesOff(seen, traffic)
      if (off !== undefined) return { reason: 'SharesOff', message: `${name} is held at ${share}: ${off}` }
      const { kind } = judge(spec, seen, traffic, revision)
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
