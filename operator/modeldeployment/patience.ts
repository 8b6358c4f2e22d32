// How long routers are looked at often. One that never acknowledges must not keep its object busy for ever. Pure.

/** Routers apply a setting within milliseconds; objects of a namespace share the questions, so that many may wait. */
const oftenMs = 250
/** A router that has not answered for this long is broken or cut off; it is looked at as rarely as anything else. */
const patienceMs = 60_000

/** The setting that somebody waits for the routers to apply, and since when, in milliseconds since the epoch. */
export interface Awaited {
  readonly epoch: number
  readonly since: number
}

/** The same wait goes on until another setting is asked for. @param before what was awaited at the last look, if anything */
export const awaitedNow = (before: Awaited | undefined, epoch: number, now: number): Awaited =>
  before?.epoch === epoch ? before : { epoch, since: now }

/** When to look again because of this wait; undefined when it has taken so long that nothing hurries any more. */
export const hurryMs = ({ since }: Awaited, now: number): number | undefined =>
  // A clock that is set back ends the hurry; it never makes it longer.
  Math.abs(now - since) < patienceMs ? oftenMs : undefined
