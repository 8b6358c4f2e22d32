// What must be running for a rollout, read from its persisted status: how many pods of which revision, and which
// Deployments may go. Pure; it must never let pods go that some router may still send requests to.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { type Rollout, isDirect, podsOf } from './decision.ts'
import type { Observed } from './observed.ts'
import { isLeaving } from './states/leaving.ts'
import { borrows, fullSize, stopsStableFirst } from './steps.ts'
import { isAcknowledged, isReached } from './traffic.ts'

/** Pods that must run, whatever runs now. */
export interface WantedPods {
  readonly revision: string
  readonly replicas: number
  /** What the Deployment is to be stamped with (`slipway.dev/rollout`); unset: without a stamp. */
  readonly stamp?: number
}

/** The pods that the persisted rollout calls for. A Deployment of a revision that is not in here goes by `mayRemove`. */
export const wantedPods = (spec: ModelDeploymentSpec, rollout: Rollout, seen: Observed): readonly WantedPods[] => {
  const { stable, previous, candidate } = rollout
  const list: WantedPods[] = []
  const add = (revision: string, replicas: number, stamp: number | undefined): void => {
    const same = list.findIndex((wanted) => wanted.revision === revision)
    const entry = { revision, replicas, ...(stamp !== undefined && { stamp }) }
    if (same < 0) list.push(entry)
    else list[same] = { ...entry, replicas: Math.max(replicas, list[same]?.replicas ?? 0) }
  }
  if (stable !== undefined) add(stable.revision, stableSize(spec, rollout, seen), stable.rollout)
  if (previous !== undefined) add(previous.revision, spec.replicas, previous.rollout)
  if (candidate !== undefined && candidate.state !== 'Pending')
    add(candidate.revision, candidateSize(spec, rollout, seen), candidate.rollout)
  return list
}

/** Stable keeps its size until nobody is sent to it any more; Borrow and Recreate, which say so, are the exceptions. */
const stableSize = (spec: ModelDeploymentSpec, rollout: Rollout, seen: Observed): number => {
  const { candidate } = rollout
  const size = fullSize(spec, candidate)
  if (isDirect(spec) || candidate === undefined || candidate.state === 'Pending' || isLeaving(candidate)) return size
  if (stopsStableFirst(spec)) return isDrained(rollout, seen, rollout.stable?.revision ?? '') ? 0 : size
  return borrows(spec, rollout) ? Math.min(size, Math.max(1, size - (candidate.replicas ?? 0))) : size
}

const candidateSize = (spec: ModelDeploymentSpec, rollout: Rollout, seen: Observed): number => {
  const { candidate, stable } = rollout
  if (isDirect(spec) || candidate === undefined) return spec.replicas
  if (isLeaving(candidate) && isDrained(rollout, seen, candidate.revision)) return 0
  // Pods that have come are not stopped again: whoever sees stable's still there may be late, and the candidate on its way
  // to its users.
  const waits =
    (podsOf(seen, candidate.revision)?.total ?? 0) === 0 &&
    candidate.state === 'Provisioning' &&
    stopsStableFirst(spec) &&
    stable !== undefined &&
    (!isDrained(rollout, seen, stable.revision) || (podsOf(seen, stable.revision)?.total ?? 0) > 0)
  return waits ? 0 : spec.replicas === 0 ? 0 : (candidate.replicas ?? fullSize(spec, candidate))
}

/** Whether every router has applied a setting in which this revision gets nothing. */
const isDrained = ({ traffic }: Rollout, seen: Observed, revision: string): boolean =>
  traffic !== undefined && !isReached(traffic, revision) && isAcknowledged(seen, traffic)

/** Whether nobody needs the Deployment of this revision any more, and no router can be sending it anything. */
export const mayRemove = (spec: ModelDeploymentSpec, rollout: Rollout, seen: Observed, revision: string): boolean => {
  const { stable, previous, candidate } = rollout
  if ([stable, previous, candidate].some((r) => r?.revision === revision)) return false
  if (seen.service.revision === revision) return false
  return isDirect(spec) || isDrained(rollout, seen, revision)
}
