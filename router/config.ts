// The agent's configuration: read once from the environment, checked, frozen. Nothing else reads the environment.
import { networkInterfaces, hostname } from 'node:os'
import { isAbsolute } from 'node:path'
import { parseDuration } from '../operator/api/duration.ts'
import { agentPort } from '../operator/api/routerstate.ts'
import { logLevels, type LogLevel } from '../operator/telemetry/log.ts'

export interface Config {
  /** The pod's name. */
  readonly router: string
  readonly namespace: string
  /** Shared with Envoy; at the same place in both containers. */
  readonly folder: string
  readonly port: number
  /** Where models' listeners stand: `::`, which listens on IPv4 too, or `0.0.0.0` where there is no IPv6. */
  readonly listenAddress: string
  /** What Envoy's container may take; undefined where it has no limit. */
  readonly envoyMemoryBytes: number | undefined
  /** How long a router that is going goes on as if nothing had happened, until its endpoints are taken off. */
  readonly drainDelayMs: number
  /** How long a drain takes at most, the delay included. */
  readonly drainTimeoutMs: number
  readonly kubernetes: {
    readonly kubeconfig: string | undefined
    readonly serviceHost: string | undefined
    readonly servicePort: string | undefined
  }
  readonly logLevel: LogLevel
}

/** Variables that are missing or wrong, all at once, each with what was found and what it should be. */
export class ConfigError extends Error {}

/** @throws ConfigError naming every bad variable */
export const readConfig = (
  env: Readonly<Record<string, string | undefined>>,
  hasIpv6: () => boolean = machineHasIpv6,
): Config => {
  const problems: string[] = []
  const duration = (name: string, fallback: string): number => {
    try {
      return parseDuration(env[name] || fallback)
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      return parseDuration(fallback)
    }
  }
  const portText = env['SLIPWAY_AGENT_PORT'] || String(agentPort)
  const port = Number(portText)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    problems.push(`SLIPWAY_AGENT_PORT is "${portText}"; it must be an integer from 0 to 65535`)
  }
  const memoryText = env['SLIPWAY_ENVOY_MEMORY'] || '0'
  // The kubelet says 0 where the container has no limit.
  const envoyMemoryBytes = Number(memoryText) || undefined
  if (!/^[0-9]{1,15}$/.test(memoryText)) {
    problems.push(`SLIPWAY_ENVOY_MEMORY is "${memoryText}"; it must be a number of bytes, or 0 for no limit`)
  }
  const namespace = env['POD_NAMESPACE'] ?? ''
  if (namespace === '') problems.push('POD_NAMESPACE is not set; name the namespace whose ModelDeployments are served')
  const folder = env['SLIPWAY_ROUTER_FOLDER'] || '/xds'
  if (!isAbsolute(folder)) problems.push(`SLIPWAY_ROUTER_FOLDER is "${folder}"; it must be an absolute path`)
  const level = env['SLIPWAY_LOG_LEVEL'] || 'info'
  const logLevel = logLevels.find((known) => known === level)
  if (logLevel === undefined)
    problems.push(`SLIPWAY_LOG_LEVEL is "${level}"; it must be one of ${logLevels.join(', ')}`)
  const drainDelayMs = duration('SLIPWAY_DRAIN_DELAY', '5s')
  const drainTimeoutMs = duration('SLIPWAY_DRAIN_TIMEOUT', '45s')
  if (drainTimeoutMs < drainDelayMs) {
    problems.push(`SLIPWAY_DRAIN_TIMEOUT is shorter than SLIPWAY_DRAIN_DELAY; it includes the delay`)
  }
  if (problems.length > 0) throw new ConfigError(problems.join('; '))
  return Object.freeze({
    router: env['POD_NAME'] || hostname(),
    namespace,
    folder,
    port,
    envoyMemoryBytes,
    listenAddress: hasIpv6() ? '::' : '0.0.0.0',
    drainDelayMs,
    drainTimeoutMs,
    kubernetes: {
      kubeconfig: env['KUBECONFIG'],
      serviceHost: env['KUBERNETES_SERVICE_HOST'],
      servicePort: env['KUBERNETES_SERVICE_PORT'],
    },
    logLevel: logLevel ?? 'info',
  })
}

/** A kernel without IPv6 has no `::1`, and a listener on `::` would fail there. */
const machineHasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ family }) => family === 'IPv6'))
