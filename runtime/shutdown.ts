/**
 * What the termination signals mean: the first one drains, the second one ends the process at once.
 * And how a server ends that has lost a worker.
 */
export interface Drain {
  /** Tells the world: not ready, connections close. */
  readonly announce: () => void
  /** How long clients may go on sending while endpoints are taken off their lists. */
  readonly delayMs: number
  /** Stops listening; resolves when everything in flight has been answered. */
  readonly finish: () => Promise<void>
}

/** How long what other workers compute, and who still sends, may keep a server that has lost a worker, in milliseconds. */
const lastAnswersMs = 10_000

/**
 * Ends a server that has lost a worker, so that its supervisor starts it again at once: what the worker held was answered
 * when it died, and the kubelet would need half a minute to see that the server is not live.
 */
export async function endBroken(
  { announce, finish }: Pick<Drain, 'announce' | 'finish'>,
  exit: (code: number) => void,
  failed: (error: unknown) => void,
): Promise<void> {
  announce()
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, lastAnswersMs)
  await Promise.race([finish().catch(failed), late])
  clearTimeout(timer)
  exit(1)
}

export interface Signals {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown
}

/**
 * Installs the handlers; call it before anything slow.
 * @param drain what a drain does now; undefined while there is nothing to drain, which ends the process at once
 * @param exit ends the process; called once, except by a second signal
 */
export function onTermination(
  signals: Signals,
  drain: () => Drain | undefined,
  exit: (code: number) => void,
  failed: (error: unknown) => void,
): void {
  let draining = false
  const handle = (): void => {
    const work = drain()
    if (draining || work === undefined) return exit(0)
    draining = true
    work.announce()
    setTimeout(() => {
      work.finish().then(
        () => exit(0),
        (error: unknown) => {
          failed(error)
          exit(1)
        },
      )
    }, work.delayMs)
    return undefined
  }
  signals.on('SIGTERM', handle)
  signals.on('SIGINT', handle)
}
