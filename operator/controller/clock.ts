// The time that deadlines are measured by. It follows the wall clock, but never jumps with it: what a jump would do to a
// deadline of minutes, it does within hours, and so hardly to any.

/** How much faster or slower than real time it may go to come back to the wall clock. */
const slew = 0.05

/**
 * A clock that starts at the wall clock and never goes back.
 * @param wall milliseconds since the epoch; may jump either way when somebody sets it
 * @param monotonic milliseconds of a clock that only goes on
 * @returns whole milliseconds since the epoch
 */
export const steadyClock = (
  wall: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): (() => number) => {
  let [now, at] = [wall(), monotonic()]
  return () => {
    const later = monotonic()
    const elapsed = Math.max(0, later - at)
    const error = wall() - (now + elapsed)
    now += elapsed + Math.max(-elapsed * slew, Math.min(elapsed * slew, error))
    at = later
    return Math.floor(now)
  }
}
