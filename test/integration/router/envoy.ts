// Envoy as a process of its own, so that a kill is a kill. It ends with the process that started it.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { envoyPath } from '../../kit/envoy.ts'
import { bootstrapFile, envoyLog } from '../../../router/xds/bootstrap.ts'
import { eventually } from '../operator/eventually.ts'
import { toStderr } from '../../cluster/report.ts'
import { EnvoyAdmin, EnvoyGone } from '../../../router/envoy/admin.ts'

export interface EnvoyProcess {
  readonly pid: number
  isRunning(): boolean
  /** And it is gone when this resolves. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

/** Starts it with the bootstrap that lies in the folder; resolves when it answers on its admin socket. */
export const startEnvoy = async (folder: string, concurrency = 1): Promise<EnvoyProcess> => {
  const program = await envoyPath(toStderr)
  const flags = `--concurrency ${concurrency} --log-level warn --file-flush-interval-msec 100 --drain-time-s 60
    --drain-strategy immediate --disable-hot-restart --reject-unknown-dynamic-fields`
  const args = ['-c', join(folder, bootstrapFile), '--log-path', join(folder, envoyLog), ...flags.split(/\s+/)]
  // setpriv becomes the program that it starts, so the pid is Envoy's own.
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)))
  const exited = once(child, 'exit')
  const admin = new EnvoyAdmin(folder)
  try {
    await eventually(
      'Envoy answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`Envoy ended with ${child.exitCode}: ${said}`)
        // Not that it is ready: it waits for an agent, which the test may not have started yet.
        return admin.isReady().then(
          () => true,
          (error: unknown) => {
            if (error instanceof EnvoyGone) return false
            throw error
          },
        )
      },
      () => said,
    )
  } finally {
    await admin.close()
  }
  return {
    pid: child.pid ?? 0,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await exited
    },
  }
}
