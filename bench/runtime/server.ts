// Starts a server, ours or another, as a group of processes on loopback, and ends it. It must leave none behind.
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Values } from './expected.ts'
import type { ModelName, Model } from './models.ts'
import type { Quota } from './processes.ts'

/** What a server is to serve. */
export interface Serving {
  readonly model: Model
  readonly name: ModelName
  /** What a direct run answers, for each of the model's requests. */
  readonly expected: readonly Values[]
  /** The model's file, one for all servers. */
  readonly file: string
  /** Threads of a run, where a server's owner has to say it; `default` leaves it to ONNX Runtime. */
  readonly threads: number | 'default'
  /** Further variables of our runtime. */
  readonly environment?: Readonly<Record<string, string>>
  readonly quota?: Quota
}

/** How to start a server: a command and what it needs in its folder. */
export interface Launch {
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** Called at the end, for what is not a process. */
  readonly clean?: () => void
}

export interface Ports {
  readonly http: number
  readonly grpc: number
  readonly others: readonly [number, number, number]
}

export interface Running {
  readonly pid: number
  readonly ports: Ports
  stop(): Promise<void>
}

/** What to remove of each group of processes when it has ended. */
const groups = new Map<number, () => void>()
process.on('exit', () => {
  for (const [pid, remove] of groups) {
    end(pid, 'SIGKILL')
    remove()
  }
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

/** How long a server may take until it answers, in milliseconds; some import for half a minute on a busy machine. */
const patienceMs = 120_000

/**
 * @param launch given a folder of its own
 * @param answers whether it answers a request
 * @throws Error with the end of its log when it ends or does not come to answer
 */
export async function startServer(
  launch: (ports: Ports, folder: string) => Promise<Launch>,
  quota: Quota | undefined,
  answers: (ports: Ports) => Promise<boolean>,
): Promise<Running> {
  const ports = await freePorts()
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'))
  const { command, environment, clean } = await launch(ports, folder)
  const log = join(folder, 'log')
  const output = openSync(log, 'w')
  // Whoever joins the group before the program begins is under the quota from its first look at it.
  const join1 = quota === undefined ? '' : `echo $$ > ${quota.procs} && `
  const child = spawn('/bin/sh', ['-c', `${join1}exec "$@"`, 'sh', ...command], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, ...environment },
    stdio: ['ignore', output, output],
    detached: true,
  })
  closeSync(output)
  const pid = child.pid ?? 0
  const remove = (): void => {
    clean?.()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  groups.set(pid, remove)
  let ended = false
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => {
      ended = true
      resolve()
    })
  })
  const stop = async (): Promise<void> => {
    end(pid, 'SIGTERM')
    await Promise.race([gone, sleep(3000, undefined, { ref: false })])
    end(pid, 'SIGKILL')
    await gone
    // Children that outlived their parent need a moment to be gone, and a control group is removed only when empty.
    await sleep(200)
    groups.delete(pid)
    remove()
  }
  const until = performance.now() + patienceMs
  // oxlint-disable-next-line no-unmodified-loop-condition -- the end of the process modifies it
  while (!ended && performance.now() < until) {
    if (await answers(ports)) return { pid, ports, stop } // oxlint-disable-line no-await-in-loop
    await sleep(100) // oxlint-disable-line no-await-in-loop
  }
  const words = readFileSync(log, 'utf8').trim().split('\n').slice(-15).join('\n')
  await stop()
  throw new Error(`it ${ended ? 'ended' : 'took too long to answer'}; its log ends with:\n${words}`)
}

/** A folder with a file, for whoever serves a folder. */
export const place = (path: string, content: string): void => writeFileSync(path, content)

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is gone.
  }
}

async function freePorts(): Promise<Ports> {
  const open = (): Promise<ReturnType<typeof createServer>> =>
    new Promise((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
    })
  const servers = await Promise.all([open(), open(), open(), open(), open()])
  const [http = 0, grpc = 0, a = 0, b = 0, c = 0] = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return { http, grpc, others: [a, b, c] }
}
