// What the state machine may know about the world: plain facts, gathered by modeldeployment/observe.ts.
import type { Reason } from '../api/conditions.ts'
import type { AppliedShares } from '../api/routerstate.ts'

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
  /**
   * The number of the rollout that its Deployment is stamped with (annotation `slipway.dev/rollout`). A candidate gets
   * no request before its own number is seen here: that write has ended every deletion that was planned earlier.
   */
  readonly stamp?: number
}

/** One router pod that is not terminating; or a route at one of its Gateways, which is as good as a router. */
export interface RouterFacts {
  readonly name: string
  /** It is a route at a Gateway. */
  readonly isRoute?: true
  /**
   * The epoch that its Envoy has applied for this object, or that its Gateway has accepted; unset before the first, and
   * while it cannot be asked.
   */
  readonly epoch?: number
  /** What that epoch asked of it; unset of a router that does not say, and is believed by its epoch alone. */
  readonly applied?: AppliedShares
  /** The revision that it sends most requests to; unset while nobody knows. Only a lost status is mended by it. */
  readonly serving?: string
  /** How many ready endpoints of that revision it sees; unset while nobody knows. */
  readonly reaches?: number
}

/** Finished requests of users to one revision, summed over all routers. Copies for the shadow are none of them. */
export interface Calls {
  readonly requests: number
  /** Those that the revision is to blame for: 5xx, timeouts, failed connections, resets, overflows, failed gRPC calls. */
  readonly failures: number
}

/** What a check outside of the state machine found about one attempt of one revision; `undefined` while it runs. */
export interface CheckResult {
  readonly revision: string
  readonly attempt: number
  /** `Error`: it could not be carried out, which says nothing about the revision. */
  readonly verdict: 'Pass' | 'Fail' | 'Inconclusive' | 'NoTraffic' | 'Error'
  /** One sentence with the figures. */
  readonly message: string
}

/** What a verdict may be made of. Figures of another epoch than the persisted one are not looked at. */
export interface Evidence {
  /** The traffic epoch that `calls` are counted in, from the moment at which every router had applied it. */
  readonly epoch: number
  /** By name of the revision; a revision that is not in here got no request. */
  readonly calls: Readonly<Record<string, Calls>>
  /**
   * When the count began, in milliseconds since the epoch: with the setting, or later when the operator was started
   * again, which forgets the figures. Unset: with the setting. No request since then says nothing before a step's time.
   */
  readonly since?: number
  /** Why the figures are not whole, in a sentence: a router that cannot be asked. Never Pass, never Fail. */
  readonly missing?: string
  readonly golden?: CheckResult
  readonly shadow?: CheckResult
}

/** Whether users get the shares that were asked for, by what routers counted. */
export interface Shares {
  /** The traffic epoch that was counted in. */
  readonly epoch: number
  readonly asAsked: boolean
  /** One sentence with the figures. */
  readonly message: string
}

/** The order that a person wrote into the annotation, as it was read. */
export type Command =
  | { readonly kind: 'Malformed'; readonly id: string; readonly op: string; readonly message: string }
  | {
      readonly kind: 'Order'
      readonly id: string
      readonly op: string
      /** The name of the ModelRevision that it is about. */
      readonly candidate: string
      readonly reason: string
      readonly by: string
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
  /**
   * The revision that the Service selects, and how many endpoints of each revision it really lists as ready. In mode
   * Router the Service selects routers: `revision` is unset then. In mode Gateway the endpoints are those of the routes.
   */
  readonly service: { readonly revision?: string; readonly readyEndpoints: Readonly<Record<string, number>> }
  /** Router pods that are not terminating, and routes, in any order; unset in mode Direct, which has none. */
  readonly routers?: readonly RouterFacts[]
  /** Unset in mode Direct, and before anything was measured. */
  readonly evidence?: Evidence
  /** Unset while too few requests have come to tell, and where shares of requests say nothing: sticky users. */
  readonly shares?: Shares
  readonly command?: Command
  /** Set when this spec must not go forward at all; the serving revision is kept as it is. */
  readonly refusal?: {
    readonly reason: Reason
    readonly message: string
    /** It goes by itself: nobody has to do anything. */
    readonly passing?: boolean
  }
}
