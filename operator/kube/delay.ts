// Waiting: exponential delays and a sleep that an AbortSignal ends. Timers never outlive what they wait for.

/** How delays grow. */
export interface Growth {
  readonly firstMs: number
  readonly maxMs: number
}

/** The undithered delay before try `attempt` (0 is the first retry): first × 2^attempt, capped. */
export const exponentialMs = (attempt: number, { firstMs, maxMs }: Growth): number =>
  // 2^31 × any first delay is beyond every cap in use; the exponent is held so that it never becomes Infinity.
  Math.min(maxMs, firstMs * 2 ** Math.min(Math.max(attempt, 0), 31))

/** Resolves after `ms`; resolves early, without an error, when the signal aborts. */
export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted === true) return resolve()
    const finish = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish, { once: true })
  })
