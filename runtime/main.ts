/**
 * The runtime's entry: `serve`, `fetch`, `resolve` (fetch, then inspect) and `inspect`, and the inside of its workers.
 * It must leave a termination message on every way out of a command that ends, crashes included.
 */
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { workerRole } from './engine/messages.ts'
import { supervise, supervisedFlag } from './supervisor.ts'

// Who runs a model tells nobody. ONNX Runtime reads this once, when a worker loads it (docs/decisions/0076).
process.env['ORT_DISABLE_TELEMETRY'] = '1'

// Whoever reads the log may die, as its collector on the node does; that may cost lines, and never the process.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

const [, , command, flag] = process.argv
const entry = new URL(import.meta.url)

if (isMainThread && command === 'serve' && flag !== supervisedFlag) {
  const say = (message: string, fields: object): void =>
    void process.stdout.write(
      `${JSON.stringify({ '@timestamp': new Date().toISOString(), 'log.level': 'warn', message, 'event.action': 'restart', ...fields })}\n`,
    )
  supervise({ entry: fileURLToPath(entry), environment: process.env, say })
} else if (isMainThread) {
  // Process 1 of a container ignores a signal that it has no handler for, and loading the rest takes a moment.
  const leave = (): void => process.exit(0)
  process.on('SIGTERM', leave)
  const { main } = await import('./commands.ts')
  process.off('SIGTERM', leave)
  await main(command, process.env, entry)
} else if (parentPort !== null && isOurs(workerData)) {
  const { runWorker } = await import('./engine/worker.ts')
  runWorker(parentPort)
}

function isOurs(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'role' in data && data.role === workerRole
}
