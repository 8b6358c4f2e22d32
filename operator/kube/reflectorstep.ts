// The reflector as a state machine: one pure step from (state, what happened) to (state, what to do). It never gives
// up; every way in which a list or a watch can end has one row here.
import { isForbidden, isGone, isNotFound, isUnauthorized, MalformedEventError, StatusError } from './errors.ts'
import type { KubeObject } from './types.ts'
import { advances } from './version.ts'
import type { WatchEvent } from './watchstream.ts'

/**
 * Where a reflector stands. Streaming: a watch that begins with everything there is. Listing: page by page, the same for
 * servers that have no such watch. `failures` counts what went wrong since it last went well; it sets the next wait.
 */
export type State =
  | { readonly at: 'Streaming'; readonly failures: number }
  | { readonly at: 'Listing'; readonly continue?: string; readonly failures: number }
  | { readonly at: 'Watching'; readonly resourceVersion: string; readonly failures: number }

/** What happened. `lastedMs` is how long the list or the watch was open. */
export type Happened<T> =
  | {
      readonly what: 'page'
      readonly items: readonly T[]
      readonly resourceVersion: string
      readonly continue?: string
    }
  | { readonly what: 'event'; readonly event: WatchEvent<T> }
  | { readonly what: 'ended'; readonly lastedMs: number; readonly events: number }
  /** Nothing came for so long that the connection is not to be trusted. */
  | { readonly what: 'silent'; readonly lastedMs: number }
  | { readonly what: 'failed'; readonly error: unknown; readonly lastedMs: number }

/** What a step asks the loop to do to the store; what is collected reaches it, whole, with `replace`. */
export type Effect<T> =
  | { readonly do: 'collect'; readonly items: readonly T[] }
  | { readonly do: 'uncollect'; readonly object: T }
  | { readonly do: 'replace'; readonly resourceVersion: string }
  | { readonly do: 'apply' | 'delete'; readonly object: T }
  | { readonly do: 'bookmark'; readonly resourceVersion: string }

/** Why a list or a watch ended; the label of a metric. */
export const reasons = [
  'ServerTimeout',
  'ClosedAtOnce',
  'Silent',
  'NotOffered',
  'Gone',
  'Unauthorized',
  'Forbidden',
  'NotFound',
  'TooManyRequests',
  'ServerError',
  'Malformed',
  'Connection',
] as const
export type Reason = (typeof reasons)[number]

export interface Step<T> {
  readonly state: State
  /** In this order. */
  readonly effects?: readonly Effect<T>[]
  readonly ended?: Reason
  /** Wait before going on: growing with each failure, but at least what the server asked for. */
  readonly backoff?: { readonly attempt: number; readonly atLeastMs: number }
}

/** A watch that was open this long was healthy: what failed before it is forgotten. */
const healthyMs = 60_000
/** A watch that ends sooner than this, without an event, did not work. */
const shortestMs = 1000

export const start: State = { at: 'Streaming', failures: 0 }

export const step = <T extends KubeObject>(state: State, happened: Happened<T>): Step<T> => {
  if (happened.what === 'page') return page(state, happened)
  if (happened.what === 'failed') return failed(state, happened.error, happened.lastedMs)
  if (happened.what === 'event') {
    return state.at === 'Streaming' ? initialEvent(state, happened.event) : event(state, happened.event)
  }
  // It ended, or is ended because it says nothing, before it had brought everything.
  if (state.at === 'Streaming') return notOffered(state)
  // The next attempt waits for headers with a deadline, so silence cannot become a storm; an end at once could.
  if (happened.what === 'silent') return onwards(state, 'Silent', happened.lastedMs)
  if (happened.lastedMs < shortestMs && happened.events === 0) return again(state, 'ClosedAtOnce', happened.lastedMs)
  return onwards(state, 'ServerTimeout', happened.lastedMs)
}

const page = <T>(state: State, happened: Happened<T> & { what: 'page' }): Step<T> => {
  if (state.at !== 'Listing') return { state }
  const { failures } = state
  const { items, resourceVersion } = happened
  const collect: Effect<T> = { do: 'collect', items }
  return happened.continue === undefined
    ? { state: { at: 'Watching', resourceVersion, failures }, effects: [collect, { do: 'replace', resourceVersion }] }
    : { state: { at: 'Listing', continue: happened.continue, failures }, effects: [collect] }
}

/** Before the bookmark that says so, what exists is still coming in, and may already change. */
const initialEvent = <T extends KubeObject>(state: State, what: WatchEvent<T>): Step<T> => {
  if (what.type === 'DELETED') return { state, effects: [{ do: 'uncollect', object: what.object }] }
  if (what.type !== 'BOOKMARK') return { state, effects: [{ do: 'collect', items: [what.object] }] }
  if (!what.initialEventsEnd) return { state }
  const { resourceVersion } = what
  return {
    state: { at: 'Watching', resourceVersion, failures: state.failures },
    effects: [{ do: 'replace', resourceVersion }],
  }
}

const event = <T extends KubeObject>(state: State, what: WatchEvent<T>): Step<T> => {
  if (state.at !== 'Watching') return { state }
  const resourceVersion = what.type === 'BOOKMARK' ? what.resourceVersion : what.object.metadata.resourceVersion
  // A watch goes forward. What comes twice, or late, was overtaken by what the store has.
  if (resourceVersion === undefined || !advances(state.resourceVersion, resourceVersion)) return { state }
  const next = { ...state, resourceVersion }
  if (what.type === 'BOOKMARK') return { state: next, effects: [{ do: 'bookmark', resourceVersion }] }
  return { state: next, effects: [{ do: what.type === 'DELETED' ? 'delete' : 'apply', object: what.object }] }
}

const failed = <T>(state: State, error: unknown, lastedMs: number): Step<T> => {
  const atLeastMs = error instanceof StatusError ? (error.retryAfterMs ?? 0) : 0
  if (state.at === 'Streaming' && refusesStreams(error)) return notOffered(state)
  if (isGone(error)) {
    // The version, or the continue token, is too old: from the start. A second 410 in a row waits.
    const failures = failuresAfter(state, lastedMs)
    const next: Step<T> = { state: { at: 'Listing', failures: failures + 1 }, ended: 'Gone' }
    return failures === 0 ? next : { ...next, backoff: { attempt: failures - 1, atLeastMs } }
  }
  if (isForbidden(error) || isNotFound(error)) {
    // The permission or the kind went away; what we hold may be out of date when it comes back, so list again.
    const failures = failuresAfter(state, lastedMs)
    return {
      state: { at: 'Listing', failures: failures + 1 },
      ended: isNotFound(error) ? 'NotFound' : 'Forbidden',
      backoff: { attempt: failures, atLeastMs },
    }
  }
  return again(state, reasonOf(error), lastedMs, atLeastMs)
}

/**
 * Servers without streaming lists say so in several ways: 422 where the feature is off, an internal error where etcd is
 * too old for it (before 3.4.31 and 3.5.13), no end of the initial events where the parameter is unknown.
 */
const refusesStreams = (error: unknown): boolean =>
  error instanceof StatusError && (error.code === 400 || error.code === 422 || error.code === 500)

const notOffered = <T>({ failures }: State): Step<T> => ({ state: { at: 'Listing', failures }, ended: 'NotOffered' })

/** The same state once more, at once: a watch goes on at its version. */
const onwards = <T>(state: State, ended: Reason, lastedMs: number): Step<T> => ({
  state: { ...state, failures: failuresAfter(state, lastedMs) },
  ended,
})

/** The same state once more, after a wait: a list goes on at its page, a watch at its version. */
const again = <T>(state: State, ended: Reason, lastedMs: number, atLeastMs = 0): Step<T> => {
  const failures = failuresAfter(state, lastedMs)
  return { state: { ...state, failures: failures + 1 }, ended, backoff: { attempt: failures, atLeastMs } }
}

const failuresAfter = (state: State, lastedMs: number): number => (lastedMs >= healthyMs ? 0 : state.failures)

const reasonOf = (error: unknown): Reason => {
  if (isUnauthorized(error)) return 'Unauthorized'
  if (error instanceof StatusError) return error.code === 429 ? 'TooManyRequests' : 'ServerError'
  return error instanceof MalformedEventError ? 'Malformed' : 'Connection'
}
