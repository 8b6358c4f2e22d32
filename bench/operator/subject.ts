// A process that is measured: our operator as its image runs it, or the peer. What is read of it is what any operator on
// a cluster shows: its probes, its metrics, and what the kernel says of its memory and time.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { stage } from '../../images/bundle.ts'
import { goPrograms } from '../../test/cluster/binaries.ts'

const root = join(import.meta.dirname, '..', '..')

/** How a program is started: what the two differ in. */
export interface Program {
  readonly name: 'slipway' | 'peer'
  /** As the API server's audit log knows it. */
  readonly userAgent: string
  readonly command: (options: StartOptions, ports: Ports) => Launch
  /** The line of its log that says that it leads. */
  readonly leads: string
}

interface Ports {
  readonly metrics: number
  readonly health: number
}

interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface StartOptions {
  readonly kubeconfig: string
  readonly namespace: string
  readonly resyncSeconds: number
  readonly identity?: string
  /** More of its environment; only ours has any. */
  readonly environment?: Readonly<Record<string, string>>
}

export interface Subject {
  readonly pid: number
  /** When it was started, by performance.now(). */
  readonly startedAt: number
  /** When readiness was first seen. */
  synced(): Promise<number>
  /** When its log said that it leads. */
  leading(): Promise<number>
  /** When so many reconciles had ended well, to within `everyMs`: each look costs the process some milliseconds. */
  reconciled(count: number, everyMs?: number): Promise<number>
  /** The sum of a metric's samples that carry these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** Undefined while it runs. */
  ended(): number | string | undefined
  /** The end of its log. */
  lastWords(): string
  /** What it has open, by kind: `TCPSocketWrap`, `Timeout`; `files` is what the kernel counts. */
  resources(): Promise<Readonly<Record<string, number>>>
  /** How late its event loop was since it was started; the peer has none. */
  lag(): Promise<Lag | undefined>
  memory(): { readonly rssMib: number; readonly peakMib: number }
  /** User and system time so far, in seconds. */
  cpuSeconds(): number
  stop(signal?: NodeJS.Signals): Promise<void>
}

export interface Lag {
  readonly p99Ms: number
  readonly maxMs: number
}

/**
 * Loaded before our operator: tells its event loop's lag on SIGUSR2. Its own metric begins anew with each reading, so
 * that a 99th percentile over a whole start cannot be had of it. Not a file of TypeScript: that would load a compiler.
 */
const lagMeter = `data:text/javascript,${encodeURIComponent(`
  import { monitorEventLoopDelay } from 'node:perf_hooks'
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  process.on('SIGUSR2', () => console.log(JSON.stringify({ lag: { p99Ms: delay.percentile(99) / 1e6, maxMs: delay.max / 1e6 } })))
`)}`

/** Our operator: bundled as for its image, with the image's flags and environment, and the heap that the chart's memory limit gives. */
export const slipway = async (): Promise<Program> => {
  const context = await stage('operator', { root })
  const dockerfile = readFileSync(join(root, 'images', 'operator.Dockerfile'), 'utf8')
  const entrypoint = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? '[]') as string[]
  const imageEnvironment = Object.fromEntries(
    (/^ENV (.*)$/m.exec(dockerfile)?.[1] ?? '').split(' ').map((setting) => setting.split('=')),
  ) as Record<string, string>
  const limitMib = Number(
    /limits:\n\s+memory: (\d+)Mi/.exec(readFileSync(join(root, 'charts', 'slipway', 'values.yaml'), 'utf8'))?.[1],
  )
  const flags = entrypoint
    .filter((part) => part.startsWith('--'))
    // The share of the container's limit, here without a container.
    .map((flag) =>
      flag.replace(
        /^--max-old-space-size-percentage=(\d+)$/,
        (_, share) => `--max-old-space-size=${Math.round((limitMib * Number(share)) / 100)}`,
      ),
    )
  return {
    name: 'slipway',
    userAgent: 'slipway-operator',
    leads: 'took the lease',
    command: ({ kubeconfig, namespace, resyncSeconds, identity = 'slipway-0', environment }, { metrics, health }) => ({
      command: process.execPath,
      args: [...flags, '--import', lagMeter, join(context, 'app', 'main.mjs')],
      env: {
        ...imageEnvironment,
        KUBECONFIG: kubeconfig,
        POD_NAME: identity,
        POD_NAMESPACE: namespace,
        SLIPWAY_RUNTIME_IMAGE: 'registry.test/slipway-runtime:1',
        SLIPWAY_ROUTER_AGENT_IMAGE: 'registry.test/slipway-operator:1',
        SLIPWAY_ENVOY_IMAGE: 'registry.test/envoy:1',
        SLIPWAY_METRICS_PORT: String(metrics),
        SLIPWAY_HEALTH_PORT: String(health),
        SLIPWAY_RESYNC_INTERVAL: `${resyncSeconds}s`,
        ...environment,
      },
    }),
  }
}

/** The peer, built into the cache on first use. */
export const peer = async (report: (line: string) => void): Promise<Program> => {
  const module = join(import.meta.dirname, 'peer')
  const [path = ''] = await goPrograms([{ name: 'slipway-peer', module, target: '.', linkerFlags: '-s -w' }], report)
  return {
    name: 'peer',
    userAgent: 'slipway-peer',
    leads: 'Successfully acquired lease',
    command: ({ kubeconfig, namespace, resyncSeconds }, { metrics, health }) => ({
      command: path,
      args: [
        `--metrics=127.0.0.1:${metrics}`,
        `--health=127.0.0.1:${health}`,
        `--namespace=${namespace}`,
        `--sync-period=${resyncSeconds}s`,
      ],
      env: { KUBECONFIG: kubeconfig },
    }),
  }
}

export const start = async (program: Program, options: StartOptions): Promise<Subject> => {
  const ports = await freePorts()
  const { command, args, env } = program.command(options, ports)
  const startedAt = performance.now()
  // It ends with this process, however that ends.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: string[] = []
  let leadingAt: number | undefined
  const heard = (line: string): void => {
    log.push(line)
    if (line.includes(program.leads)) leadingAt ??= performance.now()
  }
  createInterface(child.stdout).on('line', heard)
  createInterface(child.stderr).on('line', heard)
  const lastWords = (): string => log.slice(-15).join('\n')
  const agent = new Agent({ keepAliveTimeout: 60_000 })
  const pid = child.pid ?? 0
  const until = async <T>(
    what: string,
    ask: () => Promise<T | undefined> | T | undefined,
    everyMs: number,
  ): Promise<T> => {
    const deadline = performance.now() + 120_000
    for (;;) {
      const answer = await ask()
      if (answer !== undefined) return answer
      if (hasEnded(child)) throw new Error(`${program.name} ended before ${what}:\n${lastWords()}`)
      if (performance.now() > deadline) throw new Error(`${program.name}: ${what} took too long:\n${lastWords()}`)
      await sleep(everyMs)
    }
  }
  const get = async (port: number, path: string): Promise<{ code: number; text: string } | undefined> => {
    try {
      const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`, { dispatcher: agent })
      return { code: statusCode, text: await body.text() }
    } catch {
      // Not listening yet.
      return undefined
    }
  }
  const metric: Subject['metric'] = async (name, labels = {}) => {
    const text = (await get(ports.metrics, '/metrics'))?.text ?? ''
    return sumOf(text, name, labels)
  }
  return {
    pid,
    startedAt,
    synced: () =>
      until(
        'its caches are filled',
        async () => ((await get(ports.health, '/readyz'))?.code === 200 ? performance.now() : undefined),
        50,
      ),
    leading: () => until('it leads', () => leadingAt, 5),
    reconciled: (count, everyMs = 100) =>
      until(
        `${count} reconciles`,
        async () => {
          const results = await Promise.all(
            ['success', 'requeue_after'].map((result) => metric('controller_runtime_reconcile_total', { result })),
          )
          return results.reduce((sum, value) => sum + value, 0) >= count ? performance.now() : undefined
        },
        everyMs,
      ),
    metric,
    lag: async () => {
      if (program.name !== 'slipway') return undefined
      const heardBefore = log.length
      child.kill('SIGUSR2')
      return until(
        'it tells its lag',
        () => {
          const line = log.slice(heardBefore).find((one) => one.startsWith('{"lag"'))
          return line === undefined ? undefined : (JSON.parse(line) as { readonly lag: Lag }).lag
        },
        5,
      )
    },
    lastWords,
    ended: () => child.exitCode ?? child.signalCode ?? undefined,
    resources: async () => {
      const text = (await get(ports.metrics, '/metrics'))?.text ?? ''
      const open = [...text.matchAll(/^nodejs_active_resources\{type="(\w+)"\} (\d+)/gm)]
      return {
        ...Object.fromEntries(open.map(([, type, count]) => [type, Number(count)])),
        files: readdirSync(`/proc/${pid}/fd`).length,
      }
    },
    memory: () => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const mib = (field: string): number => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024
      return { rssMib: mib('VmRSS'), peakMib: mib('VmHWM') }
    },
    cpuSeconds: () => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      // Fields 14 and 15 of /proc/PID/stat, in ticks of a hundredth of a second.
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    stop: async (signal = 'SIGTERM') => {
      const ended = hasEnded(child) ? undefined : once(child, 'exit')
      child.kill(signal)
      await ended
      await agent.destroy()
    },
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const sumOf = (text: string, name: string, labels: Readonly<Record<string, string>>): number =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)

const freePorts = async (): Promise<Ports> => {
  const servers = [createServer(), createServer()]
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    }),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return { metrics: ports[0] ?? 0, health: ports[1] ?? 0 }
}
