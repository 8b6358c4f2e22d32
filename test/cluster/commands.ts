// Runs other programs to their end. Never hides why one failed: the error holds the command and what it said.
import { spawn } from 'node:child_process'

export interface RunOptions {
  readonly cwd?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string
  readonly timeoutMs?: number
  /** Called with every whole line of stderr as it comes. */
  readonly onLine?: (line: string) => void
}

/**
 * Runs a program and returns its stdout.
 * @throws when it cannot be started, fails, or takes longer than `timeoutMs` (default: ten minutes)
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 600_000,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    let line = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-20_000)
      const lines = (line + chunk).split('\n')
      line = lines.pop() ?? ''
      if (options.onLine) lines.forEach(options.onLine)
    })
    // A program that does not read its input closes it; its exit code tells the rest.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    child.once('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`)))
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(stdout)
      const said = (stderr || stdout).trim().split('\n').slice(-15).join('\n')
      reject(
        new Error(`${[command, ...args].join(' ')} ${signal ? `was ended by ${signal}` : `failed (${code})`}\n${said}`),
      )
    })
  })
}

/** Like {@link run}, for a command whose failure means "it was not there" and is expected. */
export async function tryRun(command: string, args: readonly string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  )
}
