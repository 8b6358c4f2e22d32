// status.traffic, and whether the shares that users got are those that were asked for. Pure. What is written here moves
// only with an epoch, an acknowledgement or a judgement: a settled object is never written again.
import type { Reason } from '../api/conditions.ts'
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Observed } from '../rollout/observed.ts'
import { acknowledgements } from '../rollout/traffic.ts'
import { enoughRequests, shareInWords, sharesOff } from '../routers/shares.ts'
import type { Routing } from './routing.ts'
import { sentence } from './sentence.ts'

type Traffic = NonNullable<ModelDeploymentStatus['traffic']>

/**
 * The setting with the port, who has applied it, and what was measured. `routers` stays as it is once all have
 * applied the epoch: routers come and go later, and that is no news about this setting.
 */
export const withRouters = (
  deployment: ModelDeployment,
  setting: Traffic,
  seen: Observed,
  { port, measured }: Routing,
): Traffic => {
  const before = deployment.status?.traffic
  const same = before?.epoch === setting.epoch ? before : undefined
  const { total, acked } = acknowledgements(seen, setting)
  // Routes come and go only with a change of the spec, which is news.
  const alike = deployment.spec.traffic.mode !== 'Gateway' || same?.routers?.total === total
  const settled =
    alike && same?.routers !== undefined && same.routers.total > 0 && same.routers.acked === same.routers.total
  const shares = (same && measured) ?? same?.measured
  return {
    epoch: setting.epoch,
    ...(port !== undefined && { port }),
    weights: setting.weights,
    ...(setting.mirror && { mirror: setting.mirror }),
    routers: settled && same.routers !== undefined ? same.routers : { total, acked },
    ...(shares && { measured: [...shares] }),
  }
}

/** What the rollout is told of the shares; undefined while nobody can tell. */
export const sharesSeen = (deployment: ModelDeployment, measured: Routing['measured']): Observed['shares'] => {
  const { spec, status } = deployment
  const setting = status?.traffic
  const counted = measured ?? setting?.measured
  // A sticky user is drawn once and sends as much as they like: shares of requests are no proof then.
  if (setting === undefined || counted === undefined || spec.traffic.sticky !== undefined) return undefined
  const off = sharesOff(setting.weights, counted)
  const message = off.length === 0 ? 'Users get the shares that were asked for.' : `${off.join('; ')}.`
  return { epoch: setting.epoch, asAsked: off.length === 0, message }
}

/** The condition TrafficVerified of an object in mode Router, read from what its status says. */
export const verifiedOf = (
  traffic: Traffic | undefined,
  /** What stands in the way of the routers. */
  problem?: string,
): readonly [status: 'True' | 'False' | 'Unknown', reason: Reason, message: string] => {
  if (traffic === undefined || traffic.weights.length === 0)
    return ['Unknown', 'NotMeasured', 'No version gets requests yet.']
  const { epoch, routers, weights, measured } = traffic
  if (routers === undefined || routers.total === 0 || routers.acked < routers.total) {
    const { acked, total } = routers ?? { acked: 0, total: 0 }
    const why = problem === undefined ? '' : ` ${sentence(problem)}`
    return ['Unknown', 'AwaitingRouters', `${acked} of ${total} routers have applied epoch ${epoch}.${why}`]
  }
  if (measured === undefined) {
    const message = `All ${routers.total} routers have applied epoch ${epoch}; fewer than the ${enoughRequests(weights)} requests that a judgement needs have come since.`
    return ['Unknown', 'TooFewRequests', message]
  }
  const off = sharesOff(weights, measured)
  if (off.length > 0) return ['False', 'SharesOff', `In epoch ${epoch} ${off.join('; ')}.`]
  const shares = measured.map((share) => `${share.revision} got ${shareInWords(share)}`)
  return ['True', 'Verified', `In epoch ${epoch} ${shares.join('; ')}, as asked.`]
}

/** The same of an object in mode Gateway, where nobody counts: what its routes ask for, and whether that is accepted. */
export const unverifiedOf = (
  traffic: Traffic | undefined,
  /** What a Gateway has against a route, or why nothing is heard of it. */
  problem?: string,
): readonly [status: 'Unknown', reason: Reason, message: string] => {
  const nobody = 'In traffic.mode Gateway nobody counts what users get.'
  if (traffic === undefined || traffic.weights.length === 0) return ['Unknown', 'NotMeasured', nobody]
  const { epoch, routers = { acked: 0, total: 0 } } = traffic
  if (isAccepted(traffic)) return ['Unknown', 'NotMeasured', `${nobody} Every route is accepted with epoch ${epoch}.`]
  const why = problem === undefined ? '' : ` ${sentence(problem)}`
  return [
    'Unknown',
    'RouteNotAccepted',
    `${nobody} ${routers.acked} of ${routers.total} routes are accepted with epoch ${epoch}.${why}`,
  ]
}

/** Whether every route has been accepted with this setting. */
export const isAccepted = ({ routers }: Traffic): boolean =>
  routers !== undefined && routers.total > 0 && routers.acked === routers.total
