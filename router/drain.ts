// How a router goes without a lost request. The agent is told to end before Envoy is, and ends when nobody is left.
import { sleep } from '../operator/kube/delay.ts'
import type { Logger } from '../operator/telemetry/log.ts'
import { EnvoyGone, type EnvoyAdmin } from './envoy/admin.ts'

export interface DrainTimes {
  /** Until clients are sent elsewhere: new connections still come, and are served as ever. */
  readonly delayMs: number
  /** All in all. */
  readonly timeoutMs: number
}

const lookMs = 200

/** Ends when no client is connected any more, or when the time is over. */
export const drain = async (admin: EnvoyAdmin, { delayMs, timeoutMs }: DrainTimes, log: Logger): Promise<void> => {
  const startedAt = performance.now()
  const leftMs = (): number => timeoutMs - (performance.now() - startedAt)
  log.info('draining: not ready any more, and every answer goes on as before until clients are sent elsewhere')
  await sleep(delayMs)
  try {
    await admin.drain()
    let open = await admin.connections()
    while (open > 0 && leftMs() > 0) {
      await sleep(Math.min(lookMs, leftMs()))
      open = await admin.connections()
    }
    log.info(open === 0 ? 'drained: no client is connected' : `not drained in time: ${open} connections are still open`)
  } catch (error) {
    if (!(error instanceof EnvoyGone)) throw error
    log.info('drained: Envoy is gone already')
  }
}
