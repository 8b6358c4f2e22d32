// kubectl-slipway, the program: the process's own terminal, signals and exit code, and nothing else.
import { text } from 'node:stream/consumers'
import { run } from './program.ts'
import type { Terminal } from './terminal.ts'

const { stdout, stderr, stdin, env } = process
const enough = new AbortController()
// The first Ctrl-C lets a command end by itself; the second one does not wait.
process.once('SIGINT', () => enough.abort(new Error('interrupted')))
// A reader that has seen enough (head, less) is no failure.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

const terminal: Terminal = {
  out: (line) => void stdout.write(line),
  note: (line) => void stderr.write(line),
  input: () => text(stdin),
  // Asked each time: a window can be resized.
  get columns() {
    return stdout.isTTY ? stdout.columns : undefined
  },
  colours: stdout.isTTY && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb',
  env,
  signal: enough.signal,
  now: () => Date.now(),
}

const end = async (): Promise<void> => {
  try {
    process.exitCode = await run(process.argv.slice(2), terminal)
  } catch (error) {
    // What Ctrl-C cut off is no bug; shells know it by this code.
    if (!enough.signal.aborted) throw error
    process.exitCode = 130
  }
}

void end()
