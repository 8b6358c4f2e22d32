// Since when something has been so, for what must have been so for a while. Kept in memory: a crash makes a wait longer,
// never shorter. Pure.

/** By what is so: since when, in milliseconds since the epoch. */
export type Settling = ReadonlyMap<string, number>

/** What is so now; what is not in `claims` any more is forgotten, and begins anew when it comes again. */
export const settlingNow = (before: Settling | undefined, claims: readonly string[], now: number): Settling =>
  new Map(claims.map((claim) => [claim, Math.min(before?.get(claim) ?? now, now)]))

/** Whether the claim has held for this long, in milliseconds. */
export const hasSettled = (settling: Settling, claim: string, afterMs: number, now: number): boolean => {
  const since = settling.get(claim)
  return since !== undefined && now >= since + afterMs
}

/** When the next of them will have held for long enough; undefined where all have. */
export const settlesAt = (settling: Settling, afterMs: number, now: number): number | undefined => {
  const ahead = [...settling.values()].map((since) => since + afterMs).filter((instant) => instant > now)
  return ahead.length === 0 ? undefined : Math.min(...ahead)
}
