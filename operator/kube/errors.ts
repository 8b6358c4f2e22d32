// What can go wrong when talking to an API server, as classes and predicates. Every message names the verb and the
// resource, so that a refusal says which permission is missing.

/** One cause of an Invalid answer. @see metav1.StatusCause */
export interface StatusCause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

/** The body of a failed answer. @see metav1.Status */
export interface StatusBody {
  readonly kind?: 'Status'
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly details?: {
    readonly name?: string
    readonly kind?: string
    readonly causes?: readonly StatusCause[]
    readonly retryAfterSeconds?: number
  }
}

/** What was asked, in the words of RBAC: `patch deployments.apps shop/web`. */
export interface Asked {
  readonly verb: string
  readonly resource: string
  readonly namespace?: string | undefined
  readonly name?: string | undefined
}

/** The API server answered, with an error. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: number
  /** The server's reason, such as `NotFound` or `Conflict`; empty when a proxy on the way answered instead. */
  readonly reason: string
  readonly details: StatusBody['details']
  readonly causes: readonly StatusCause[]
  /** How long the server asks us to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(code: number, body: StatusBody, asked: Asked, retryAfterMs?: number) {
    super(sentence(code, body, asked))
    this.code = code
    this.reason = body.reason ?? ''
    this.details = body.details
    this.causes = body.details?.causes ?? []
    const seconds = body.details?.retryAfterSeconds
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000)
  }
}

/** No usable answer came: refused, reset, DNS, TLS, or longer than the deadline. The call may or may not have been done. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  /** Node's or undici's code, `ECONNRESET` or `Timeout` for instance. */
  readonly code: string

  constructor(code: string, asked: Asked, cause: unknown) {
    super(`${describeAsked(asked)}: ${code}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.code = code
  }
}

/** A watch sent something that is not an event. The stream cannot be trusted from there on. */
export class MalformedEventError extends Error {
  override readonly name = 'MalformedEventError'
}

/** A write was not sent because this process may no longer be the leader. */
export class FencedError extends Error {
  override readonly name = 'FencedError'
}

/** Node's and undici's code of a broken connection. */
export const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'ConnectionFailed'

const hasCode = (error: unknown, code: number): error is StatusError =>
  error instanceof StatusError && error.code === code

/** 404: the object, or its kind, does not exist. */
export const isNotFound = (error: unknown): error is StatusError => hasCode(error, 404)
/** 409 on create: the name is taken. */
export const isAlreadyExists = (error: unknown): error is StatusError =>
  hasCode(error, 409) && error.reason === 'AlreadyExists'
/** 409 otherwise: someone wrote in between, or a precondition failed. */
export const isConflict = (error: unknown): error is StatusError =>
  hasCode(error, 409) && error.reason !== 'AlreadyExists'
/** 410: the resourceVersion or continue token is too old. */
export const isGone = (error: unknown): error is StatusError => hasCode(error, 410)
/** 422: the object breaks the schema, a CEL rule or an admission check; `causes` names the fields. */
export const isInvalid = (error: unknown): error is StatusError => hasCode(error, 422)
/** 403: the verb is not granted, or admission (a quota, for instance) refused. */
export const isForbidden = (error: unknown): error is StatusError => hasCode(error, 403)
/** 401: the token or certificate is not accepted. */
export const isUnauthorized = (error: unknown): error is StatusError => hasCode(error, 401)
/** The same call may succeed later without anyone changing anything. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof ConnectionError ||
  (error instanceof StatusError && (error.code === 429 || error.code === 408 || error.code >= 500))

/** `patch deployments.apps shop/web`. */
export const describeAsked = ({ verb, resource, namespace, name }: Asked): string => {
  const object = name === undefined ? namespace : namespace === undefined ? name : `${namespace}/${name}`
  return object === undefined ? `${verb} ${resource}` : `${verb} ${resource} ${object}`
}

const sentence = (code: number, body: StatusBody, asked: Asked): string => {
  const said = body.message ?? 'no message'
  const reason = body.reason === undefined || body.reason === '' ? '' : ` ${body.reason}`
  const scope = asked.namespace === undefined ? 'cluster-wide' : `in namespace ${asked.namespace}`
  // Admission plugins (quotas, policies) answer 403 too; only RBAC's own words mean that a verb is missing.
  const fix =
    code === 403 && said.includes(' cannot ')
      ? `; grant the verb "${asked.verb}" on ${asked.resource} ${scope} to this service account`
      : ''
  return `${describeAsked(asked)}: ${code}${reason}: ${said}${fix}`
}
