// What a person sees while things are built and started: every step says what it does and how long it took.

export type Report = (line: string) => void

/** Progress goes to stderr, so that stdout holds only what was asked for. */
export const toStderr: Report = (line) => process.stderr.write(`${line}\n`)
export const silent: Report = () => {}

/** Seconds for people: `0.4 s`, `12 s`, `3 min 20 s`. */
export function formatMs(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/** Runs one step and reports its name and duration; a step longer than three seconds is also announced. */
export async function step<T>(report: Report, name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const announce = setTimeout(() => report(`  ${name} …`), 3000)
  try {
    const result = await work()
    report(`  ${name}: ${formatMs(performance.now() - began)}`)
    return result
  } finally {
    clearTimeout(announce)
  }
}
