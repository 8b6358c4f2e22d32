// What the state machine may know about the world: plain facts, gathered by modeldeployment/observe.ts.
import type { Reason } from '../api/conditions.ts'

/** An immutable revision that exists, by the facts that a rollout needs of it. */
export interface RevisionFacts {
  readonly name: string
  readonly hash: string
  readonly version: string
  readonly digest: string
  readonly image: string
}

/** What the object asks for right now: a revision's hash, or a rollback target that nobody kept. */
export type Target =
  | { readonly kind: 'Revision'; readonly hash: string; readonly revision: string }
  | { readonly kind: 'Missing'; readonly message: string }

/** What became of the candidate's resolve Job (of its current attempt). */
export type Resolution =
  | { readonly kind: 'Running' }
  | { readonly kind: 'Resolved'; readonly digest: string; readonly version: string }
  | { readonly kind: 'Failed'; readonly reason: Reason; readonly message: string; readonly retryable: boolean }

/** Pods of one revision, as its Deployment counts them. `current` is false until the Deployment's controller has seen its spec. */
export interface PodCount {
  readonly revision: string
  readonly total: number
  readonly ready: number
  readonly current: boolean
}

/** Why pods are not ready, in one sentence. `fatal`: waiting will not mend it. */
export interface Trouble {
  readonly reason: Reason
  readonly message: string
  readonly fatal: boolean
}

/** Everything the state machine looks at besides spec and status. Times are milliseconds since the epoch. */
export interface Observed {
  readonly target: Target
  /** The hash of the spec as written, which `target` differs from while spec.rollback.to is set. */
  readonly specHash: string
  /** Revisions that exist, newest first. */
  readonly revisions: readonly RevisionFacts[]
  readonly resolution: Resolution
  readonly pods: readonly PodCount[]
  /** What keeps the candidate from going on; never what ails the serving revision, which a new version may mend. */
  readonly trouble?: Trouble
  /** What keeps pods of the serving revision from being ready. */
  readonly servingTrouble?: Trouble
  /** The revision that the Service selects, and how many endpoints of each revision it really lists as ready. */
  readonly service: { readonly revision?: string; readonly readyEndpoints: Readonly<Record<string, number>> }
  /** Set when this spec must not go forward at all; the serving revision is kept as it is. */
  readonly refusal?: {
    readonly reason: Reason
    readonly message: string
    /** It goes by itself: nobody has to do anything. */
    readonly passing?: boolean
  }
}
