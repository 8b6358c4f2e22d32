// The operator's configuration: read once from the environment, checked, frozen. Nothing else reads the environment.
import { hostname } from 'node:os'
import { parseDuration } from './api/duration.ts'
import type { RouterRelease } from './routers/desired.ts'
import { readNetworkRules, type NetworkRules } from './routers/policies.ts'
import { readPlacement, type RouterPlacement } from './routers/placement.ts'
import { logLevels, type LogLevel } from './telemetry/log.ts'

export interface Config {
  /** Image of the runtime that new revisions get when the spec names none. */
  readonly runtimeImage: string
  /** What routers are made of. */
  readonly router: RouterRelease
  /** Namespaces to watch; empty means all. */
  readonly watchNamespaces: readonly string[]
  /** Who this process is in the lease: the pod's name, so that a restarted container takes over at once. */
  readonly identity: string
  readonly lease: { readonly namespace: string; readonly name: string }
  readonly ports: { readonly metricsPort: number; readonly healthPort: number }
  /** Where the API server is: KUBECONFIG, else the cluster that this process runs in. */
  readonly kubernetes: {
    readonly kubeconfig: string | undefined
    readonly serviceHost: string | undefined
    readonly servicePort: string | undefined
  }
  readonly logLevel: LogLevel
  readonly workers: number
  /** How often every object is looked at though nothing happened, in milliseconds. */
  readonly resyncMs: number
  /** How often the caches are compared with a fresh list, in milliseconds: no watch can show that an event is missing. */
  readonly relistMs: number
}

/** Variables that are missing or wrong, all at once, each with what was found and what it should be. */
export class ConfigError extends Error {}

/** @see RFC 1123 */
const isNamespace = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** @throws ConfigError naming every bad variable */
export const readConfig = (env: Readonly<Record<string, string | undefined>>): Config => {
  const problems: string[] = []
  const integer = (name: string, fallback: number, min: number, max: number): number => {
    const text = env[name]
    if (text === undefined || text === '') return fallback
    const value = Number(text)
    if (Number.isInteger(value) && value >= min && value <= max) return value
    problems.push(`${name} is "${text}"; it must be an integer from ${min} to ${max}`)
    return fallback
  }
  const duration = (name: string, fallback: string, minMs: number): number => {
    const text = env[name] || fallback
    try {
      const ms = parseDuration(text)
      if (ms >= minMs) return ms
      problems.push(`${name} is "${text}"; it must be at least ${minMs}ms`)
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
    return parseDuration(fallback)
  }
  const image = (name: string, what: string): string => {
    const value = env[name] ?? ''
    if (value === '') problems.push(`${name} is not set; name the ${what}`)
    return value
  }
  const resources = (name: string): object => {
    try {
      const value: unknown = JSON.parse(env[name] || '{}')
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
    } catch {
      // Said below, with what it should be.
    }
    problems.push(`${name} is "${env[name] ?? ''}"; it must be a container's resources as a JSON object`)
    return {}
  }
  const placement = (name: string): RouterPlacement => {
    const read = readPlacement(env[name] || '{}')
    if ('placement' in read) return read.placement
    problems.push(...read.problems.map((problem) => `${name} ${problem}`))
    return {}
  }
  const network = (name: string): NetworkRules | undefined => {
    const text = env[name]
    if (text === undefined || text === '') return undefined
    const read = readNetworkRules(text)
    if ('rules' in read) return read.rules
    problems.push(...read.problems.map((problem) => `${name} ${problem}`))
    return undefined
  }
  const networkRules = network('SLIPWAY_NETWORK_POLICY')
  const runtimeImage = image('SLIPWAY_RUNTIME_IMAGE', 'runtime image that new revisions get')
  const agentImage = image('SLIPWAY_ROUTER_AGENT_IMAGE', "image with the agent of routers, the operator's own")
  const envoyImage = image('SLIPWAY_ENVOY_IMAGE', 'image of Envoy that routers run')
  const level = env['SLIPWAY_LOG_LEVEL'] || 'info'
  const logLevel = logLevels.find((known) => known === level)
  if (logLevel === undefined) {
    problems.push(`SLIPWAY_LOG_LEVEL is "${level}"; it must be one of ${logLevels.join(', ')}`)
  }
  const named = (env['SLIPWAY_WATCH_NAMESPACES'] ?? '').split(',').map((n) => n.trim())
  // Each once: two watches of one namespace would fill the same cache.
  const watchNamespaces = [...new Set(named)].filter((n) => n !== '')
  for (const name of watchNamespaces.filter((n) => !isNamespace.test(n)))
    problems.push(`SLIPWAY_WATCH_NAMESPACES has "${name}"; names of namespaces are lower-case letters, digits and -`)
  const config: Config = {
    runtimeImage,
    router: {
      agentImage,
      envoyImage,
      replicas: integer('SLIPWAY_ROUTER_REPLICAS', 2, 1, 100),
      resources: { agent: resources('SLIPWAY_ROUTER_AGENT_RESOURCES'), envoy: resources('SLIPWAY_ENVOY_RESOURCES') },
      placement: placement('SLIPWAY_ROUTER_PLACEMENT'),
      ...(networkRules && { network: networkRules }),
      logLevel: logLevel ?? 'info',
    },
    watchNamespaces,
    identity: env['POD_NAME'] || `${hostname()}-${process.pid}`,
    lease: { namespace: env['POD_NAMESPACE'] || 'default', name: env['SLIPWAY_LEASE_NAME'] || 'slipway-operator' },
    ports: {
      metricsPort: integer('SLIPWAY_METRICS_PORT', 8080, 0, 65535),
      healthPort: integer('SLIPWAY_HEALTH_PORT', 8081, 0, 65535),
    },
    kubernetes: {
      kubeconfig: env['KUBECONFIG'],
      serviceHost: env['KUBERNETES_SERVICE_HOST'],
      servicePort: env['KUBERNETES_SERVICE_PORT'],
    },
    logLevel: logLevel ?? 'info',
    workers: integer('SLIPWAY_WORKERS', 10, 1, 1000),
    resyncMs: duration('SLIPWAY_RESYNC_INTERVAL', '10m', 100),
    relistMs: duration('SLIPWAY_RELIST_INTERVAL', '30m', 1000),
  }
  if (problems.length > 0) throw new ConfigError(problems.join('; '))
  return Object.freeze(config)
}
