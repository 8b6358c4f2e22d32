// The reflector as a state machine: one pure step from (state, what happened) to (state, what to do). It never gives
// up; every way in which a list or a watch can end has one row here.
import { isForbidden, isGone, isNotFound, isUnauthorized, MalformedEventError, StatusError } from './errors.ts'
import type { KubeObject } from './types.ts'
import type { WatchEvent } from './watchstream.ts'

/** Where a reflector stands. `failures` counts what went wrong since it last went well; it sets the next wait. */
export type State<T> =
  | { readonly at: 'Listing'; readonly collected: readonly T[]; readonly continue?: string; readonly failures: number }
  | { readonly at: 'Watching'; readonly resourceVersion: string; readonly failures: number }

/** What happened. `lastedMs` is how long the watch was open. */
export type Happened<T> =
  | {
      readonly what: 'page'
      readonly items: readonly T[]
      readonly resourceVersion: string
      readonly continue?: string
    }
  | { readonly what: 'event'; readonly event: WatchEvent<T> }
  | { readonly what: 'ended'; readonly lastedMs: number; readonly events: number }
  | { readonly what: 'failed'; readonly error: unknown; readonly lastedMs: number }

/** What a step asks the loop to do to the store. */
export type Effect<T> =
  | { readonly do: 'replace'; readonly items: readonly T[]; readonly resourceVersion: string }
  | { readonly do: 'apply' | 'delete'; readonly object: T }
  | { readonly do: 'bookmark'; readonly resourceVersion: string }

/** Why a list or a watch ended; the label of a metric. */
export type Reason =
  | 'ServerTimeout'
  | 'ClosedAtOnce'
  | 'Gone'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'TooManyRequests'
  | 'ServerError'
  | 'Malformed'
  | 'Connection'

export interface Step<T> {
  readonly state: State<T>
  readonly effect?: Effect<T>
  readonly ended?: Reason
  /** Wait before going on: growing with each failure, but at least what the server asked for. */
  readonly backoff?: { readonly attempt: number; readonly atLeastMs: number }
}

/** A watch that was open this long was healthy: what failed before it is forgotten. */
const healthyMs = 60_000
/** A watch that ends sooner than this, without an event, did not work. */
const shortestMs = 1000

export const start = <T>(): State<T> => ({ at: 'Listing', collected: [], failures: 0 })

export const step = <T extends KubeObject>(state: State<T>, happened: Happened<T>): Step<T> => {
  if (happened.what === 'page') return page(state, happened)
  if (happened.what === 'event') return event(state, happened.event)
  if (happened.what === 'failed') return failed(state, happened.error, happened.lastedMs)
  if (happened.lastedMs < shortestMs && happened.events === 0) return again(state, 'ClosedAtOnce', happened.lastedMs)
  return { state: { ...state, failures: failuresAfter(state, happened.lastedMs) }, ended: 'ServerTimeout' }
}

const page = <T>(state: State<T>, happened: Happened<T> & { what: 'page' }): Step<T> => {
  if (state.at !== 'Listing') return { state }
  const collected = [...state.collected, ...happened.items]
  if (happened.continue !== undefined) {
    return { state: { at: 'Listing', collected, continue: happened.continue, failures: state.failures } }
  }
  const { resourceVersion } = happened
  return {
    state: { at: 'Watching', resourceVersion, failures: state.failures },
    effect: { do: 'replace', items: collected, resourceVersion },
  }
}

const event = <T extends KubeObject>(state: State<T>, what: WatchEvent<T>): Step<T> => {
  if (state.at !== 'Watching') return { state }
  if (what.type === 'BOOKMARK') {
    const { resourceVersion } = what
    return { state: { ...state, resourceVersion }, effect: { do: 'bookmark', resourceVersion } }
  }
  const resourceVersion = what.object.metadata.resourceVersion ?? state.resourceVersion
  const effect = { do: what.type === 'DELETED' ? ('delete' as const) : ('apply' as const), object: what.object }
  return { state: { ...state, resourceVersion }, effect }
}

const failed = <T>(state: State<T>, error: unknown, lastedMs: number): Step<T> => {
  const atLeastMs = error instanceof StatusError ? (error.retryAfterMs ?? 0) : 0
  if (isGone(error)) {
    // The version, or the continue token, is too old: from the start. A second 410 in a row waits.
    const failures = failuresAfter(state, lastedMs)
    const next: Step<T> = { state: { at: 'Listing', collected: [], failures: failures + 1 }, ended: 'Gone' }
    return failures === 0 ? next : { ...next, backoff: { attempt: failures - 1, atLeastMs } }
  }
  if (isForbidden(error) || isNotFound(error)) {
    // The permission or the kind went away; what we hold may be out of date when it comes back, so list again.
    const failures = failuresAfter(state, lastedMs)
    return {
      state: { at: 'Listing', collected: [], failures: failures + 1 },
      ended: isNotFound(error) ? 'NotFound' : 'Forbidden',
      backoff: { attempt: failures, atLeastMs },
    }
  }
  return again(state, reasonOf(error), lastedMs, atLeastMs)
}

/** The same state once more, after a wait: a list goes on at its page, a watch at its version. */
const again = <T>(state: State<T>, ended: Reason, lastedMs: number, atLeastMs = 0): Step<T> => {
  const failures = failuresAfter(state, lastedMs)
  return { state: { ...state, failures: failures + 1 }, ended, backoff: { attempt: failures, atLeastMs } }
}

const failuresAfter = <T>(state: State<T>, lastedMs: number): number => (lastedMs >= healthyMs ? 0 : state.failures)

const reasonOf = (error: unknown): Reason => {
  if (isUnauthorized(error)) return 'Unauthorized'
  if (error instanceof StatusError) return error.code === 429 ? 'TooManyRequests' : 'ServerError'
  return error instanceof MalformedEventError ? 'Malformed' : 'Connection'
}
