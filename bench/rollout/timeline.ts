// Who was allowed to answer when, and whether an answer came from somebody else. Pure.
// An answer of a revision that has no share at its time is a user on a version that was not meant for him.

/** Who has a share from this moment on, until the next setting; times are milliseconds since the epoch. */
export interface Allowed {
  readonly at: number
  readonly revisions: readonly string[]
}

/** One revision answered, with nothing else in between, from the first to the last of these moments. */
export interface Stretch {
  readonly revision: string
  readonly version: string
  readonly from: number
  readonly to: number
}

/** The first answer of each stretch, as the load client prints it. */
export interface Change {
  readonly at: string
  readonly status: number
  readonly revision: string
  readonly version: string
}

/** Failed requests end a stretch and begin none. @param end when the last answer came */
export const stretchesOf = (changes: readonly Change[], end: number): Stretch[] =>
  changes.flatMap(({ at, status, revision, version }, index) => {
    if (status !== 200) return []
    const next = changes[index + 1]
    return [{ revision, version, from: Date.parse(at), to: next === undefined ? end : Date.parse(next.at) }]
  })

/**
 * Stretches that were answered by a revision without a share, or under another version's name. A setting counts until
 * `graceMs` after the next one: routers take it over one by one, and what is under way is answered by whom it was sent to.
 */
export const wrongStretches = (
  stretches: readonly Stretch[],
  timeline: readonly Allowed[],
  versions: ReadonlyMap<string, string>,
  graceMs: number,
): Stretch[] =>
  stretches.filter(({ revision, version, from, to }) => {
    const known = versions.get(revision)
    if (known === undefined || known !== version) return true
    return !isAllowed(timeline, revision, from, graceMs) || !isAllowed(timeline, revision, to, graceMs)
  })

const isAllowed = (timeline: readonly Allowed[], revision: string, at: number, graceMs: number): boolean =>
  timeline.some((allowed, index) => {
    const until = (timeline[index + 1]?.at ?? Infinity) + graceMs
    // The client may see a share before this observer sees the status that gave it.
    return allowed.revisions.includes(revision) && allowed.at - graceMs <= at && at <= until
  })
