/**
 * Process 1 of a serving container: starts the server as a child, passes signals on, and starts it again at once when it
 * crashes after it was ready. A native crash then costs users a second, where the kubelet would wait ever longer.
 * It must not restart what never worked, nor for ever: such an end is the container's, for the kubelet and people to see.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'

/** Marks the child's command line, so that the entry file serves instead of supervising. */
export const supervisedFlag = '--supervised'

/** What the child says when it is ready. */
export const readyMessage = 'ready'

/** How a child ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export type Verdict = { readonly do: 'exit'; readonly code: number } | { readonly do: 'restart'; readonly inMs: number }

/** This many crashes within that time are a crash loop, in milliseconds. */
const maxCrashes = 5
const windowMs = 5 * 60_000
const firstPauseMs = 100

/**
 * What to do about an ending. Pure.
 * @param crashes times of earlier crashes, in milliseconds
 * @param stopping whether a signal asked for the end
 */
export function judge(
  { code, signal }: Ending,
  {
    wasReady,
    stopping,
    crashes,
    now,
  }: { wasReady: boolean; stopping: boolean; crashes: readonly number[]; now: number },
): Verdict {
  // A child that has no handlers yet dies of the signal that was passed on to it: nothing was under way.
  const obeyed = stopping && (signal === 'SIGTERM' || signal === 'SIGINT')
  const exitCode = code ?? (obeyed ? 0 : 128 + (signal === null ? 0 : constants.signals[signal]))
  if (stopping || !wasReady || code === 0) return { do: 'exit', code: exitCode }
  const recent = crashes.filter((at) => now - at < windowMs).length
  if (recent >= maxCrashes) return { do: 'exit', code: exitCode }
  return { do: 'restart', inMs: firstPauseMs * 2 ** recent }
}

export interface Supervision {
  /** The program's own entry file. */
  readonly entry: string
  /** Variables that the child gets. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Says what happened, on a line of its own. */
  readonly say: (words: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Serves until the child ends for good or a signal ends it; then this process ends with the child's code. */
export function supervise({ entry, environment, say }: Supervision): void {
  const crashes: number[] = []
  let child: ChildProcess | undefined
  let stopping = false

  const launch = (): void => {
    let wasReady = false
    const started = fork(entry, ['serve', supervisedFlag], {
      env: { ...environment, SLIPWAY_CRASHES: String(crashes.length) },
    })
    child = started
    started.on('message', (message) => {
      if (message === readyMessage) wasReady = true
    })
    started.on('error', (error) =>
      say(`the server could not be started: ${error.message}`, { 'error.message': error.message }),
    )
    started.on('close', (code, signal) => {
      child = undefined
      const verdict = judge({ code, signal }, { wasReady, stopping, crashes, now: Date.now() })
      if (verdict.do === 'exit') return process.exit(verdict.code)
      crashes.push(Date.now())
      say(`the server ended by ${signal ?? `code ${code}`} and starts again in ${verdict.inMs} ms`, {
        'process.exit_code': code,
        'process.signal': signal,
        'process.crashes': crashes.length,
      })
      setTimeout(launch, verdict.inMs)
      return undefined
    })
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stopping = true
      if (child === undefined) process.exit(0)
      child.kill(signal)
    })
  }
  launch()
}
