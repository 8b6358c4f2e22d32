// What the routers' figures say about a revision. Pure. It needs evidence to pass: no request is never a Pass, and
// figures that are not whole decide nothing.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { isUncounted } from './decision.ts'
import type { Calls, Observed } from './observed.ts'
import type { Traffic } from './traffic.ts'

export interface Verdict {
  readonly kind: 'Pass' | 'Fail' | 'Inconclusive' | 'NoTraffic' | 'NoFigures'
  /** One sentence with the figures. */
  readonly message: string
}

const defaultErrorFloor = '0.5%'
const defaultMinSamples = 200
const none: Calls = { requests: 0, failures: 0 }

/** Normal quantile of the one-sided bound below: one false alarm in 2000 single looks. */
const certainty = 3.29

/**
 * The share of failed requests against the floor, in the traffic setting that is in force. It fails as soon as more
 * have failed than the floor allows among the least number of samples, and it is certain that the share is above the
 * floor: gross harm shows after a few requests, bad luck does not. Multiplying all figures by the same number never
 * turns a Fail into a Pass.
 */
export const judge = (
  spec: ModelDeploymentSpec,
  seen: Observed,
  traffic: Traffic | undefined,
  revision: string,
): Verdict => {
  if (isUncounted(spec))
    return { kind: 'Inconclusive', message: 'In traffic.mode Gateway nobody counts what requests come to.' }
  const { evidence } = seen
  if (evidence === undefined || traffic === undefined || evidence.epoch !== traffic.epoch)
    return { kind: 'NoFigures', message: 'The routers have not been measured since the weights changed.' }
  const { errorFloor = defaultErrorFloor, minSamples = defaultMinSamples } = spec.rollout.analysis ?? {}
  const floor = Number(errorFloor.replace('%', '')) / 100
  const { requests, failures } = evidence.calls[revision] ?? none
  const figures = `${failures} of ${requests} requests to ${revision} failed (${shareOf(failures, requests)}; the floor is ${errorFloor})`
  if (failures > floor * Math.max(minSamples, requests) && lowestShare(failures, requests) > floor)
    return { kind: 'Fail', message: `${figures}.` }
  if (evidence.missing !== undefined) return { kind: 'NoFigures', message: evidence.missing }
  const asked = Object.values(evidence.calls).some((calls) => calls.requests > 0)
  if (!asked) return { kind: 'NoTraffic', message: 'Nobody sent a request to either revision.' }
  if (requests < minSamples)
    return { kind: 'Inconclusive', message: `${figures}, and ${minSamples} requests are needed to judge it.` }
  if (failures > floor * requests)
    return { kind: 'Inconclusive', message: `${figures}, which may still be bad luck: more requests will tell.` }
  return { kind: 'Pass', message: `${figures}.` }
}

/** The lower end of Wilson's interval: the share is hardly below it. */
const lowestShare = (failures: number, requests: number): number => {
  if (requests === 0) return 0
  const [share, z2n] = [failures / requests, certainty ** 2 / requests]
  const half = certainty * Math.sqrt((share * (1 - share)) / requests + z2n / (4 * requests))
  return (share + z2n / 2 - half) / (1 + z2n)
}

const shareOf = (failures: number, requests: number): string =>
  requests === 0 ? '0%' : `${Number(((failures / requests) * 100).toPrecision(3))}%`
