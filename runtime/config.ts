/**
 * The runtime's whole configuration: parsed from the environment, checked and frozen once.
 * No other file may read environment variables.
 */
import { fault } from './errors.ts'
import type { TlsFiles } from './tls.ts'

export const commands = ['serve', 'fetch', 'resolve', 'inspect'] as const
export type Command = (typeof commands)[number]

/** The exit code of a bad configuration (EX_USAGE of sysexits.h). */
export const exitUsage = 64

export interface Config {
  readonly modelUri: string | undefined
  /** `sha256:` and 64 hex digits. */
  readonly modelDigest: string | undefined
  readonly modelFile: string
  /** A file that says which versions to serve, instead of the one model file; see desired.ts. */
  readonly versionsFile: string | undefined
  readonly modelName: string
  readonly modelVersion: string
  readonly revision: string
  readonly device: 'CPU' | 'GPU'
  readonly threads: number | 'Auto'
  /** The most requests that share a run of the model; 1 for none. */
  readonly maxBatch: number | 'Auto'
  /** How long a request may wait for others to share its run, although a worker is free. */
  readonly batchMaxDelayMs: number
  /** Whether lone small requests to a very short model are run in the HTTP thread. */
  readonly shortLane: boolean
  readonly queueMaxRequests: number
  readonly queueTimeoutMs: number
  /** Bytes of answers that each version keeps to give them again; 0 keeps none. */
  readonly cacheMaxBytes: number
  readonly warmupRequests: number
  /** A file with a request to warm up with; undefined makes one up. */
  readonly warmupFile: string | undefined
  readonly drainDelayMs: number
  /** After about this time a connection ends with its answer, so that clients follow their Service. */
  readonly connectionMaxAgeMs: number
  readonly httpPort: number
  readonly grpcPort: number
  readonly metricsPort: number
  readonly maxModelBytes: number | undefined
  readonly maxBodyBytes: number
  readonly terminationLog: string
  /** Where a claim's volume is mounted. */
  readonly pvcRoot: string
  /** The longest silence of a model server, in connecting, answering or sending. */
  readonly fetchTimeoutMs: number
  /** Tries in a row without a single new byte. */
  readonly fetchAttempts: number
  /** A single inference longer than this means that the worker hangs. */
  readonly stuckAfterMs: number
  /** A file with the API keys, one a line; undefined asks for none. */
  readonly apiKeysFile: string | undefined
  /** Requests that one client may have under way; undefined for any number. */
  readonly clientMaxRequests: number | undefined
  /** The header that tells clients apart, in lower case; undefined takes their key, else their address. */
  readonly clientHeader: string | undefined
  /** PEM files of a certificate and its key; undefined speaks without TLS. */
  readonly tls: TlsFiles | undefined
  /** Where traces go (OTLP over HTTP); undefined for nowhere. */
  readonly tracesUrl: string | undefined
  /** The share of requests that are traced unless their caller decided, from 0 to 1. */
  readonly traceRatio: number
  /** The share of requests that get a line in the log, from 0 to 1. */
  readonly accessLogRatio: number
  /** How often the supervisor had to start the server again. */
  readonly crashes: number
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug'
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the environment for one command.
 * @throws Fault `BadConfiguration` naming every bad variable, what was found and what to write.
 */
export function parseConfig(environment: Environment, command: Command): Config {
  const problems: string[] = []
  const remedies: string[] = []
  const refuse = (problem: string, remedy: string): void => {
    problems.push(problem)
    remedies.push(remedy)
  }
  // Kubernetes passes `value: ""` on as an empty string; it means the same as leaving the variable out.
  const text = (name: string): string | undefined => environment[name]?.trim() || undefined
  const whole = <Default>(name: string, fallback: Default, low: number, high: number): number | Default => {
    const found = text(name)
    if (found === undefined) return fallback
    const value = /^\d{1,16}$/.test(found) ? Number(found) : Number.NaN
    if (value >= low && value <= high) return value
    refuse(`${name} is "${found}"`, `write a whole number from ${low} to ${high}`)
    return fallback
  }

  const ratio = (name: string, fallback: number): number => {
    const found = text(name)
    if (found === undefined) return fallback
    const value = /^\d(\.\d{1,9})?$/.test(found) ? Number(found) : Number.NaN
    if (value <= 1) return value
    refuse(`${name} is "${found}"`, 'write a share from 0 to 1, such as 0.01')
    return fallback
  }
  const collector = (name: string, path: string): string | undefined => {
    const found = text(name)
    if (found === undefined) return undefined
    if (/^https?:\/\/[^/]/.test(found)) return found.replace(/\/$/, '') + path
    refuse(`${name} is "${found}"`, 'write the http:// or https:// address of an OpenTelemetry collector')
    return undefined
  }

  const modelUri = text('SLIPWAY_MODEL_URI')
  if (modelUri === undefined && (command === 'fetch' || command === 'resolve')) {
    refuse('SLIPWAY_MODEL_URI is not set', 'set it to the address of the model file')
  }
  const modelDigest = text('SLIPWAY_MODEL_DIGEST')
  if (modelDigest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(modelDigest)) {
    refuse(`SLIPWAY_MODEL_DIGEST is "${modelDigest}"`, 'write sha256: and 64 lower-case hexadecimal digits')
  }
  if (modelDigest === undefined && command === 'fetch') {
    refuse('SLIPWAY_MODEL_DIGEST is not set', 'set it, because only a pinned file may be served')
  }
  const modelName = text('SLIPWAY_MODEL_NAME')
  if (modelName === undefined && command === 'serve') {
    refuse('SLIPWAY_MODEL_NAME is not set', 'set it to the name clients use in /v2/models/<name>')
  }
  const wholeOrAuto = (name: string, high: number): number | 'Auto' =>
    text(name)?.toLowerCase() === 'auto' ? 'Auto' : whole(name, 'Auto', 1, high)
  const device = text('SLIPWAY_DEVICE') ?? 'CPU'
  if (device !== 'CPU' && device !== 'GPU') refuse(`SLIPWAY_DEVICE is "${device}"`, 'write CPU or GPU')
  const logLevel = text('SLIPWAY_LOG_LEVEL') ?? 'info'
  if (!isLogLevel(logLevel)) refuse(`SLIPWAY_LOG_LEVEL is "${logLevel}"`, 'write error, warn, info or debug')

  const revision = text('SLIPWAY_REVISION') ?? 'none'
  // It is a header of every answer.
  if (!/^[\x20-\x7e]+$/.test(revision)) {
    refuse(`SLIPWAY_REVISION is "${revision}"`, 'write letters, digits and signs of ASCII')
  }

  const shortLane = text('SLIPWAY_SHORT_LANE') ?? 'Auto'
  if (!/^(auto|off)$/i.test(shortLane)) refuse(`SLIPWAY_SHORT_LANE is "${shortLane}"`, 'write Auto or Off')

  const certificate = text('SLIPWAY_TLS_CERT_FILE')
  const key = text('SLIPWAY_TLS_KEY_FILE')
  if ((certificate === undefined) !== (key === undefined)) {
    const [set, missing] = key === undefined ? ['CERT', 'KEY'] : ['KEY', 'CERT']
    refuse(`SLIPWAY_TLS_${set}_FILE is set without SLIPWAY_TLS_${missing}_FILE`, 'set both, or none')
  }
  const clientHeader = text('SLIPWAY_CLIENT_HEADER')?.toLowerCase()
  if (clientHeader !== undefined && !/^[a-z0-9-]{1,64}$/.test(clientHeader)) {
    refuse(`SLIPWAY_CLIENT_HEADER is "${clientHeader}"`, 'write the name of a header, such as x-user-id')
  }

  const config: Config = {
    modelUri,
    modelDigest,
    modelFile: text('SLIPWAY_MODEL_FILE') ?? '/models/model.onnx',
    versionsFile: text('SLIPWAY_VERSIONS_FILE'),
    modelName: modelName ?? 'model',
    modelVersion: text('SLIPWAY_MODEL_VERSION') ?? '1',
    revision,
    device: device === 'GPU' ? 'GPU' : 'CPU',
    threads: wholeOrAuto('SLIPWAY_THREADS', 1024),
    maxBatch: wholeOrAuto('SLIPWAY_BATCH_MAX_SIZE', 4096),
    batchMaxDelayMs: whole('SLIPWAY_BATCH_MAX_DELAY_MS', 0, 0, day),
    shortLane: shortLane.toLowerCase() === 'auto',
    queueMaxRequests: whole('SLIPWAY_QUEUE_MAX_REQUESTS', 512, 1, 1_000_000),
    queueTimeoutMs: whole('SLIPWAY_QUEUE_TIMEOUT_MS', 30_000, 1, day),
    cacheMaxBytes: whole('SLIPWAY_CACHE_MAX_BYTES', 0, 0, 10_000 * 2 ** 30),
    warmupRequests: whole('SLIPWAY_WARMUP_REQUESTS', 20, 0, 100_000),
    warmupFile: text('SLIPWAY_WARMUP_FILE'),
    drainDelayMs: whole('SLIPWAY_DRAIN_DELAY_MS', 5000, 0, day),
    connectionMaxAgeMs: whole('SLIPWAY_CONNECTION_MAX_AGE_MS', 30_000, 0, day),
    httpPort: whole('SLIPWAY_HTTP_PORT', 8080, 0, 65_535),
    grpcPort: whole('SLIPWAY_GRPC_PORT', 9000, 0, 65_535),
    metricsPort: whole('SLIPWAY_METRICS_PORT', 9090, 0, 65_535),
    maxModelBytes: whole('SLIPWAY_MAX_MODEL_BYTES', undefined, 1, Number.MAX_SAFE_INTEGER),
    maxBodyBytes: whole('SLIPWAY_MAX_BODY_BYTES', 64 * 1024 * 1024, 1, 2 ** 31 - 1),
    terminationLog: text('SLIPWAY_TERMINATION_LOG') ?? '/dev/termination-log',
    pvcRoot: text('SLIPWAY_PVC_ROOT') ?? '/pvc',
    fetchTimeoutMs: whole('SLIPWAY_FETCH_TIMEOUT_MS', 20_000, 1, day),
    fetchAttempts: whole('SLIPWAY_FETCH_ATTEMPTS', 4, 1, 100),
    stuckAfterMs: whole('SLIPWAY_STUCK_AFTER_MS', 300_000, 1, day),
    apiKeysFile: text('SLIPWAY_API_KEYS_FILE'),
    clientMaxRequests: whole('SLIPWAY_CLIENT_MAX_REQUESTS', undefined, 1, 1_000_000),
    clientHeader,
    tls: certificate === undefined || key === undefined ? undefined : { certificate, key },
    tracesUrl:
      collector('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', '') ?? collector('OTEL_EXPORTER_OTLP_ENDPOINT', '/v1/traces'),
    traceRatio: ratio('OTEL_TRACES_SAMPLER_ARG', 0.01),
    accessLogRatio: ratio('SLIPWAY_ACCESS_LOG_RATIO', 0),
    crashes: whole('SLIPWAY_CRASHES', 0, 0, 1_000_000),
    logLevel: isLogLevel(logLevel) ? logLevel : 'info',
  }
  if (problems.length > 0) {
    throw fault('BadConfiguration', { problem: problems.join(' and '), remedy: remedies.join('; ') })
  }
  return Object.freeze(config)
}

const day = 86_400_000

function isLogLevel(text: string): text is Config['logLevel'] {
  return ['error', 'warn', 'info', 'debug'].includes(text)
}
