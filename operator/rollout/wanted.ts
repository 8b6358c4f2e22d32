// What must be running for a rollout, read from its persisted status: how many pods of which revision, and which
// Deployments may go. Pure; it must never let pods go that some router may still send requests to.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { Rollout } from './decision.ts'
import type { Observed } from './observed.ts'

/** Pods that must run, whatever runs now. */
export interface WantedPods {
  readonly revision: string
  readonly replicas: number
  /** What the Deployment is to be stamped with (`slipway.dev/rollout`); unset: without a stamp. */
  readonly stamp?: number
}

/** The pods that the persisted rollout calls for. A Deployment of a revision that is not in here goes by `mayRemove`. */
export const wantedPods = (spec: ModelDeploymentSpec, rollout: Rollout, _seen: Observed): readonly WantedPods[] => {
  const { stable, previous, candidate } = rollout
  const running = [stable, previous, candidate?.state === 'Pending' ? undefined : candidate].flatMap(
    (r) => r?.revision ?? [],
  )
  return Array.from(new Set(running), (revision) => ({ revision, replicas: spec.replicas }))
}

/** Whether nobody needs the Deployment of this revision any more, and no router can be sending it anything. */
export const mayRemove = (spec: ModelDeploymentSpec, rollout: Rollout, seen: Observed, revision: string): boolean => {
  const { stable, previous, candidate } = rollout
  if ([stable, previous, candidate].some((r) => r?.revision === revision)) return false
  if (seen.service.revision === revision) return false
  return spec.traffic.mode === 'Direct'
}
