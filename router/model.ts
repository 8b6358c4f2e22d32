// What the router knows of one ModelDeployment, in plain data: how its traffic is to be divided, and where the pods of
// its revisions are. Types only; setting.ts and endpoints.ts make them, shares.ts and xds/ read them.

/** The two protocols of the runtime, each on a port of its own. */
export const protocols = ['http', 'grpc'] as const
export type Protocol = (typeof protocols)[number]

/** A revision that status names: it may be asked for by version or by name, whatever its weight. */
export interface LiveRevision {
  /** The name of the ModelRevision. */
  readonly name: string
  /** The version in `/v2/models/<m>/versions/<v>`, once it is known. */
  readonly version?: string
  /** Its share in thousandths, as status asks for it. */
  readonly weight: number
}

/** What status.traffic and spec.traffic ask for; unchanged while endpoints come and go. */
export interface Setting {
  /** metadata.name of the ModelDeployment. */
  readonly name: string
  readonly uid: string
  /** The name in `/v2/models/<model>`. */
  readonly model: string
  readonly port: number
  readonly epoch: number
  readonly timeoutMs: number
  /** The header that keeps a user on one side. */
  readonly stickyHeader?: string
  /** The revision that gets what others cannot answer. */
  readonly stable?: string
  /** Each revision once; their weights add up to 1000. */
  readonly revisions: readonly LiveRevision[]
  readonly mirror?: { readonly revision: string; readonly perMille: number }
}

/** Where one pod listens. */
export interface Endpoint {
  /** IPv4 or IPv6. */
  readonly address: string
  readonly port: number
  /** Where its health is asked, for gRPC too: it is one process. Unset where it has no HTTP port. */
  readonly healthPort?: number
}

/** The pods of one revision that may be sent requests. */
export interface RevisionEndpoints {
  /** Pods that are ready and stay. */
  readonly ready: number
  /** Where to send: the ready ones; where there is none, those that still serve while they end. */
  readonly http: readonly Endpoint[]
  readonly grpc: readonly Endpoint[]
}

/** By the name of the revision. */
export type Endpoints = ReadonlyMap<string, RevisionEndpoints>
