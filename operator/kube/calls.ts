// What a call of the client can be given besides its object, and what a list gives back.

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** For the whole call; 30 s unless given. */
  readonly timeoutMs?: number | undefined
  /** Over connections of its own, for what must never wait for calls that hang: the lease. */
  readonly apart?: boolean
}

export interface WriteOptions extends CallOptions {
  /** Validate and admit, but store nothing. */
  readonly dryRun?: boolean
  /** The lease's own writes pass the write fence; nothing else may. */
  readonly unfenced?: boolean
}

export interface ListOptions extends CallOptions {
  /** All namespaces unless given. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  readonly limit?: number
  readonly continue?: string | undefined
  readonly resourceVersion?: string
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly resourceVersion: string
  /** Set when there are more pages. */
  readonly continue?: string
}

export interface WatchOptions extends CallOptions {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Events after this version; undefined: first everything that exists, as the server's newest state has it. */
  readonly resourceVersion: string | undefined
  /** When the server ends the stream, in seconds. */
  readonly timeoutSeconds?: number
  /** The server has taken the watch; of a kind that nobody touches that is all that is heard. */
  readonly onOpen?: () => void
}

export interface ApplyOptions extends WriteOptions {
  /** Take over fields that other managers set; true unless given. */
  readonly force?: boolean
  readonly fieldManager?: string
  /** Apply to a subresource, `status` for instance. */
  readonly subresource?: 'status'
}

export interface DeleteOptions extends WriteOptions {
  /** Delete only this very object, not one that took its name since. */
  readonly uid?: string | undefined
  /** Delete only if it has not changed since. */
  readonly resourceVersion?: string | undefined
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan'
}

export interface LogOptions extends CallOptions {
  readonly container?: string
  readonly tailLines?: number
  /** Of the container's previous run. */
  readonly previous?: boolean
}
