// The operator as a real process of its own, so that a kill is a kill. It ends with the process that started it, however
// that ends, and only ever by its pid.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { request } from 'undici'
import { eventually } from './eventually.ts'

/** One line of the operator's log. */
export interface LogLine {
  readonly 'log.level': string
  readonly message: string
  readonly '@timestamp'?: string
  readonly 'error.message'?: string
  readonly metricsPort?: number
  readonly healthPort?: number
}

export interface OperatorProcess {
  readonly pid: number
  /** All that it has logged so far. */
  readonly log: readonly LogLine[]
  /** The sum of a metric's samples that carry these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** All metrics, as a scrape gets them. */
  scrape(): Promise<string>
  /** What a kubelet is told: the code and the words of `/healthz` or `/readyz`. */
  probe(path: '/healthz' | '/readyz'): Promise<{ readonly code: number; readonly words: string }>
  /** How it ended: the exit code, or the signal; undefined while it runs. */
  ended(): number | string | undefined
  /** Whatever signal; it may go on. */
  signal(name: NodeJS.Signals): void
  /** kill -9, and it is gone when this resolves. */
  kill(): Promise<void>
  /** SIGTERM. @returns the exit code */
  stop(): Promise<number>
}

export interface OperatorOptions {
  readonly kubeconfig: string
  readonly namespace: string
  /** The pod's name: the same one again takes the lease over at once. */
  readonly identity?: string
  readonly environment?: Readonly<Record<string, string>>
  /** The program of another build; this tree's unless given. */
  readonly main?: string
}

/** The image that new revisions get. */
export const runtimeImage = 'registry.test/slipway-runtime:1'

const ownMain = join(import.meta.dirname, '..', '..', '..', 'operator', 'main.ts')

/** Starts it; `started` tells when it leads. */
export const startOperator = (options: OperatorOptions): OperatorProcess => {
  const { kubeconfig, namespace, identity = 'operator-0', environment = {}, main = ownMain } = options
  const env = {
    PATH: process.env['PATH'] ?? '',
    KUBECONFIG: kubeconfig,
    POD_NAME: identity,
    POD_NAMESPACE: namespace,
    SLIPWAY_WATCH_NAMESPACES: namespace,
    SLIPWAY_RUNTIME_IMAGE: runtimeImage,
    SLIPWAY_ROUTER_AGENT_IMAGE: 'registry.test/slipway-operator:1',
    SLIPWAY_ENVOY_IMAGE: 'registry.test/envoy:1',
    SLIPWAY_METRICS_PORT: '0',
    SLIPWAY_HEALTH_PORT: '0',
    ...environment,
  }
  // setpriv becomes the program that it starts, so the pid is the operator's own.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, main], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: LogLine[] = []
  const heard = (line: string): void => {
    log.push(line.startsWith('{') ? JSON.parse(line) : { 'log.level': 'stderr', message: line })
  }
  createInterface(child.stdout).on('line', heard)
  createInterface(child.stderr).on('line', heard)
  const exited = once(child, 'exit')
  const end = async (signal: NodeJS.Signals): Promise<number> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await exited
    return child.exitCode ?? -1
  }
  const portOf = (which: 'metricsPort' | 'healthPort'): Promise<number> =>
    eventually(`the operator tells its ${which}`, () => log.find((line) => which in line)?.[which])
  const scrape = async (): Promise<string> => {
    const { body } = await request(`http://127.0.0.1:${await portOf('metricsPort')}/metrics`)
    return body.text()
  }
  return {
    pid: child.pid ?? 0,
    log,
    scrape,
    metric: async (name, labels = {}) => sumOf(await scrape(), name, labels),
    probe: async (path) => {
      const { statusCode, body } = await request(`http://127.0.0.1:${await portOf('healthPort')}${path}`)
      return { code: statusCode, words: (await body.text()).trim() }
    },
    ended: () => child.exitCode ?? child.signalCode ?? undefined,
    signal: (name) => {
      child.kill(name)
    },
    kill: async () => {
      await end('SIGKILL')
    },
    stop: () => end('SIGTERM'),
  }
}

/** Waits until it holds the lease and works. */
export const leading = (operator: OperatorProcess): Promise<LogLine> =>
  eventually('the operator takes the lease', () => operator.log.find((l) => l.message.startsWith('took the lease')))

const sumOf = (text: string, name: string, labels: Readonly<Record<string, string>>): number =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
