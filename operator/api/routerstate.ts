// What a router says of itself at `GET /state`: the wire between the agent in a router pod and the operator.
// All figures are counters since the start of that Envoy (`bootId`); whoever reads them takes differences.

/** The port of a router pod on which its agent answers `GET /state`, `/livez` and `/readyz`. */
export const agentPort = 9902

/** Where the listeners of a router's ModelDeployments may stand: below the kernel's ephemeral ports (32768 up). */
export const listenerPorts = { first: 20_000, last: 29_999 } as const

/** One latency bin of Envoy's own resolution (two significant digits): `count` requests took [fromMs, toMs). */
export interface LatencyBin {
  readonly fromMs: number
  readonly toMs: number
  readonly count: number
}

/** What one revision was sent and how it answered, seen from this router. */
export interface RevisionTraffic {
  /** The name of the ModelRevision. */
  readonly revision: string
  /** Its share in thousandths as Envoy applies it now; less than asked when it has no ready endpoint. */
  readonly weight: number
  readonly readyEndpoints: number
  /** Finished requests, those that Envoy itself answered for want of a healthy endpoint included. */
  readonly requests: {
    readonly completed: number
    readonly s2xx: number
    readonly s3xx: number
    readonly s4xx: number
    readonly s5xx: number
    readonly timeouts: number
    readonly connectFailures: number
    readonly resets: number
    readonly overflows: number
  }
  /**
   * How many of `requests.completed` named this revision, or a version that no other live revision has, whatever the
   * shares; absent of a shadow.
   */
  readonly named?: number
  /** gRPC calls by outcome; a failed call has HTTP status 200, so it is not in `s5xx`. */
  readonly grpc: { readonly success: number; readonly failure: number }
  readonly retries: number
  /** Endpoints put aside because connecting to them failed; a failure of the revision, not luck. */
  readonly ejections: number
  readonly latency: readonly LatencyBin[]
}

/** Who is sent how much by a setting, as it was asked for. */
export interface AppliedShares {
  /** Thousandths by revision; those above zero. */
  readonly weights: Readonly<Record<string, number>>
  /** The revision that gets copies. */
  readonly mirror?: string
}

/** One ModelDeployment as this router serves it. */
export interface ModelTraffic {
  /** metadata.name. */
  readonly name: string
  readonly uid: string
  readonly port: number
  /** The epoch that Envoy has applied; absent before the first. */
  readonly appliedEpoch?: number
  /** What that epoch asked for: after a lost status another setting may have the same number. */
  readonly applied?: AppliedShares
  /** The epoch that the agent last read from status.traffic. */
  readonly wantedEpoch: number
  /** Revisions that are asked to get a share and have no ready endpoint: theirs went to stable. */
  readonly emptied: readonly string[]
  readonly revisions: readonly RevisionTraffic[]
  /** What the shadow was sent, beside and not within `revisions`. */
  readonly shadow?: RevisionTraffic
  /** Why the wanted epoch is not applied, in a sentence. */
  readonly problem?: string
}

export interface RouterState {
  /** The router pod's name. */
  readonly router: string
  /** New with each start of Envoy: counters of another boot are not to be subtracted. */
  readonly bootId: string
  /** Milliseconds since the epoch on the router's clock, for people. */
  readonly at: number
  readonly draining: boolean
  readonly models: readonly ModelTraffic[]
  /** What is wrong with the router as a whole, in a sentence; absent when nothing is. */
  readonly problem?: string
}
