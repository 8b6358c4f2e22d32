// Who is sent how many requests: the numbered setting that the routers apply and acknowledge. Pure.
// An epoch only rises, also after the status was lost: routers refuse a lower one.
import type { ModelDeploymentSpec, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Observed, RouterFacts } from './observed.ts'

/** `status.traffic`; a rollout decides epoch, weights and mirror, the port and what was measured are added by others. */
export type Traffic = NonNullable<ModelDeploymentStatus['traffic']>

/** All requests, in the unit of a weight. */
export const allRequests = 1000

/** The share of one revision in thousandths, as it is wanted; what routers apply may still be the setting before. */
export const weightOf = (traffic: Traffic | undefined, revision: string): number =>
  traffic?.weights.find((w) => w.revision === revision)?.weight ?? 0

/** Whether a revision gets requests of users or copies of them, as it is wanted. */
export const isReached = (traffic: Traffic | undefined, revision: string): boolean =>
  weightOf(traffic, revision) > 0 || traffic?.mirror?.revision === revision

/** Who has applied the wanted setting. */
export const acknowledgements = (seen: Observed, traffic: Traffic | undefined): { total: number; acked: number } => {
  const routers = seen.routers ?? []
  return { total: routers.length, acked: routers.filter((r) => hasApplied(r, traffic)).length }
}

/** Who has applied the wanted setting, in a sentence. */
export const appliedInWords = (
  { traffic: { mode } }: Pick<ModelDeploymentSpec, 'traffic'>,
  seen: Observed,
  traffic: Traffic | undefined,
): string => {
  const { total, acked } = acknowledgements(seen, traffic)
  const epoch = traffic?.epoch ?? 0
  return mode === 'Gateway'
    ? `${acked} of ${total} routes are accepted with epoch ${epoch}.`
    : `${acked} of ${total} routers have applied epoch ${epoch}.`
}

/**
 * Whether every router has applied the wanted setting, so that none sends anything by an older one. Where no router is
 * seen nobody has acknowledged anything: that may as well be a cache that is not filled yet.
 */
export const isAcknowledged = (seen: Observed, traffic: Traffic | undefined): boolean => {
  const { total, acked } = acknowledgements(seen, traffic)
  return total > 0 && acked === total
}

const hasApplied = (router: RouterFacts, traffic: Traffic | undefined): boolean =>
  traffic !== undefined && router.epoch === traffic.epoch && !contradicts(router, traffic)

/** Whether a router goes by another setting of the same number: the status was lost and counted to it anew. */
export const contradicts = ({ epoch, applied }: RouterFacts, traffic: Traffic): boolean => {
  if (epoch !== traffic.epoch || applied === undefined) return false
  const asked = traffic.weights.filter(({ weight }) => weight > 0)
  const mirror = traffic.mirror?.perMille === 0 ? undefined : traffic.mirror?.revision
  return (
    applied.mirror !== mirror ||
    Object.keys(applied.weights).length !== asked.length ||
    asked.some(({ revision, weight }) => applied.weights[revision] !== weight)
  )
}

/**
 * That users are proved to get other shares than the setting in force asks for, in a sentence. Too few requests to tell
 * prove nothing. It may be taken back: shares are judged again whenever their number has doubled.
 */
export const sharesOff = ({ shares }: Observed, traffic: Traffic | undefined): string | undefined =>
  shares === undefined || shares.asAsked || shares.epoch !== traffic?.epoch ? undefined : shares.message

/** The setting with these shares, under a new number. Shares of zero are left out; without any, nobody is answered. */
export const newSetting = (
  before: Traffic | undefined,
  seen: Observed,
  weights: Readonly<Record<string, number>>,
  mirror?: Traffic['mirror'],
): Traffic => {
  const epochs = [before?.epoch ?? 0, ...(seen.routers ?? []).map((r) => r.epoch ?? 0)]
  return {
    ...(before?.port !== undefined && { port: before.port }),
    epoch: Math.max(...epochs) + 1,
    weights: Object.entries(weights)
      .filter(([, weight]) => weight > 0)
      .map(([revision, weight]) => ({ revision, weight })),
    ...(mirror && { mirror }),
  }
}
