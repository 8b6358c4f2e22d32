// Runs other programs. A program that fails is an error with its own last words; none is left running.
import { spawn } from 'node:child_process'

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds until the program is ended and the call fails. */
  readonly timeoutMs?: number
}

/**
 * Standard output of a program.
 * @throws Error naming the command, its exit code and the end of what it wrote to standard error
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { timeoutMs = 600_000 } = options
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const ended = await new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  if (ended.code === 0) return out
  const why = ended.signal === null ? `exit code ${ended.code}` : `ended by ${ended.signal} within ${timeoutMs} ms`
  throw new Error(`${command} ${args.join(' ')}: ${why}\n${(err || out).trim().slice(-2000)}`)
}

/** Like {@link run}, but a program that fails or is not installed gives undefined. For questions with a "no". */
export async function ask(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string | undefined> {
  try {
    return await run(command, args, options)
  } catch {
    return undefined
  }
}
