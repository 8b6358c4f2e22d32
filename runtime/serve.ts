/**
 * The command `serve`: listens first, then verifies, loads, tests and warms the model, then is ready.
 * It must never be ready with a file that was not verified.
 */
import { createServer as createPlainServer } from 'node:http'
import { bodyLimits } from './bodylimits.ts'
import { BodyMemory } from './bodymemory.ts'
import { openAccess } from './keys.ts'
import type { Config } from './config.ts'
import { readCpuLimits, readMemoryLimit } from './cgroup.ts'
import { parseDesired, readVersions, watchText, type Desired } from './desired.ts'
import type { Engine } from './engine/engine.ts'
import { Headroom } from './engine/headroom.ts'
import type { PoolLoaded, PoolOptions } from './engine/pool.ts'
import type { Worked } from './engine/thread.ts'
import { affordable, onePlan, planThreads } from './engine/threads.ts'
import { describeServer } from './describe.ts'
import { sendJson } from './http/answer.ts'
import { printBytes } from './errors.ts'
import { createGrpcServer } from './grpc/server.ts'
import { createApp } from './http/app.ts'
import { close, createHttpServer, listen } from './http/server.ts'
import { Keeper } from './keeper.ts'
import { errorFields, type Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { checkMemory, ownMemoryBytes } from './model/memory.ts'
import { verifyFile, type VerifiedFile } from './model/verify.ts'
import { Models } from './models.ts'
import { createObserver } from './observer.ts'
import { createTracer } from './tracing.ts'
import { readSample } from './engine/sample.ts'
import { followIdentity, readIdentity } from './tls.ts'
import { endBroken, onTermination, type Drain, type Signals } from './shutdown.ts'
import { ServerState } from './state.ts'
import { LiveVersion } from './version.ts'

export interface ServeOptions {
  /** The program's own file, started again inside each worker. */
  readonly entry: URL
  readonly log: Log
  readonly signals: Signals
  readonly exit: (code: number) => void
  /** The runtime's version, for server metadata. */
  readonly version: string
}

export interface Serving {
  readonly httpPort: number
  readonly grpcPort: number
  readonly metricsPort: number
}

/**
 * Serves until a termination signal. Resolves when the model is ready.
 * @throws Fault when the model cannot be verified or loaded
 */
export async function serve(config: Config, { entry, log, signals, exit, version }: ServeOptions): Promise<Serving> {
  const plans = config.device === 'GPU' ? [onePlan] : planThreads(readCpuLimits(), config.threads)
  const models = new Models(config.modelName)
  const state = new ServerState(models)
  const metrics = createMetrics(config, { models, ready: () => state.health().ready })
  const bodies = bodyLimits(config.maxBodyBytes, readMemoryLimit())
  if (bodies.largest < config.maxBodyBytes) {
    log.info(
      `requests may have ${printBytes(bodies.largest)} at most, because of the memory limit, and not ${printBytes(config.maxBodyBytes)}; raise spec.resources.limits.memory for larger ones`,
      { 'event.action': 'body limit' },
    )
  }
  const bodyMemory = new BodyMemory(bodies.spare)
  const pool = {
    entry,
    stuckAfterMs: config.stuckAfterMs,
    onWorked: (worked: Worked) => metrics.worked(worked),
    onSpent: (spent: ArrayBuffer) => bodyMemory.give(spent),
    onLost: (reason: string) => lost(reason),
    memory: new Headroom(readMemoryLimit()),
    ...(config.shortLane ? { loadHere } : {}),
  }
  const scheduling = {
    maxRequests: config.queueMaxRequests,
    maxWaitMs: config.queueTimeoutMs,
    maxBytes: bodies.together,
    maxDelayMs: config.batchMaxDelayMs,
    maxCachedBytes: config.cacheMaxBytes,
  }
  const tracer =
    config.tracesUrl === undefined
      ? undefined
      : createTracer({
          url: config.tracesUrl,
          model: config.modelName,
          revision: config.revision,
          serverVersion: version,
        })
  const { accessLogRatio, traceRatio } = config
  const observer = createObserver({ log, accessLogRatio, traceRatio, tracer })
  const onBug = (error: unknown): void => void log.error('a request failed by a bug', errorFields(error))
  const access = await openAccess(config, log)
  const tls = config.tls === undefined ? undefined : await readIdentity(config.tls)
  const http = createHttpServer({
    access,
    tls,
    models,
    state,
    metrics,
    observer,
    onBug,
    answering: { revision: config.revision, closing: () => state.draining },
    connectionMaxAgeMs: config.connectionMaxAgeMs,
    maxBodyBytes: bodies.largest,
    memory: bodyMemory,
    app: createApp({ models, state, serverVersion: version, onBug }),
  })
  const grpc = createGrpcServer({
    access,
    tls,
    models,
    state,
    metrics,
    observer,
    onBug,
    serverVersion: version,
    revision: config.revision,
    maxBodyBytes: bodies.largest,
    connectionMaxAgeMs: config.connectionMaxAgeMs,
  })
  if (config.tls !== undefined && tls !== undefined) {
    const secured = [http.secured, grpc.secured].filter((server) => server !== undefined)
    followIdentity(config.tls, tls, secured, (error) => {
      const action = { 'event.action': 'certificate' }
      if (error === undefined) log.info('new connections get the new certificate', action)
      else log.error('the certificate stays as it is', { ...action, ...errorFields(error) })
    })
  }
  const metricsServer = createPlainServer((request, response) => {
    const [path] = (request.url ?? '').split('?', 1)
    if (path === '/state') return sendJson(response, 200, describeServer(models, state))
    if (path !== '/metrics') return void response.writeHead(404).end('there are /metrics and /state\n')
    return void metrics.registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text),
      (error: unknown) => {
        onBug(error)
        response.writeHead(500).end()
      },
    )
  })

  const drain: Drain = {
    delayMs: config.drainDelayMs,
    announce() {
      state.enter({ name: 'Draining' })
      grpc.drain()
      log.info('draining: not ready any more, still answering', { 'event.action': 'drain' })
    },
    // A signal may come while a server without its worker ends already.
    finish: () => (finished ??= finish()),
  }
  const finish = async (): Promise<void> => {
    await Promise.all([http.close(), grpc.close()])
    await close(metricsServer)
    await tracer?.close()
    log.info('every request was answered; ending', { 'event.action': 'exit' })
  }
  let finished: Promise<void> | undefined
  const drainFailed = (error: unknown): void => void log.error('the drain failed', errorFields(error))
  /** While it loads the load fails, and while it drains it ends anyway. A version that nobody finds any more is no loss. */
  const lost = (reason: string): void => {
    if (state.phase.name !== 'Serving' || state.health().live) return
    log.error(`an inference worker is gone, so the server ends and starts again: ${reason}`, {
      'event.action': 'worker lost',
    })
    void endBroken(drain, exit, drainFailed)
  }
  onTermination(signals, () => (state.phase.name === 'Loading' ? undefined : drain), exit, drainFailed)

  const [httpPort, grpcPort, metricsPort] = await Promise.all([
    http.listen(config.httpPort),
    grpc.listen(config.grpcPort),
    listen(metricsServer, config.metricsPort),
  ])
  log.info(`listening on ${httpPort}, gRPC on ${grpcPort}, metrics on ${metricsPort}`, {
    'event.action': 'listen',
    'server.port': httpPort,
    'grpc.port': grpcPort,
    'metrics.port': metricsPort,
  })

  const keeper = new Keeper({
    models,
    log,
    retireMs: config.drainDelayMs,
    make: (spec) => new LiveVersion(config.modelName, spec, pool, scheduling),
    async load(live) {
      live.doing('verifying the model file')
      const { sizeBytes, digest } = await verifyFile(live.spec.file, live.spec.digest)
      const memory = readMemoryLimit()
      const others = models
        .list()
        .reduce((sum, { facts }) => sum + (facts === undefined ? 0 : facts.sizeBytes * facts.loaded.plan.workers), 0)
      checkMemory(sizeBytes + others, memory)
      const { device, maxBatch, warmupRequests, warmupFile } = config
      const warmupSample = warmupFile === undefined ? undefined : await readSample(warmupFile)
      const [begin, ...further] = plans
      const fitting = affordable(further, sizeBytes, ownMemoryBytes + 2 * others, memory)
      const order = { device, sizeBytes, maxBatch, warmupRequests, warmupSample, memoryLimitBytes: memory }
      // Where nothing fits beside the first plan, one worker with all threads takes its place: it needs no more memory.
      const first = fitting.length === 0 ? (further[0] ?? begin) : begin
      const loaded = await live.load(digest, order, first === undefined ? [] : [first, ...fitting])
      logLoaded(log, live, { sizeBytes, digest }, loaded)
    },
  })
  const text = config.versionsFile === undefined ? undefined : await readVersions(config.versionsFile)
  const desired = desiredVersions(config, text)
  const first = desired.versions.find((spec) => spec.version === desired.current)
  if (first === undefined) throw new Error('the current version is not among the versions')
  await keeper.start(first)
  state.enter({ name: 'Serving' })
  log.info(`ready with version ${first.version}`, { 'event.action': 'ready' })
  if (text !== undefined) follow(config, text, keeper, log)
  await keeper.reconcile(desired)
  return { httpPort, grpcPort, metricsPort }
}

/** What is asked for at the start: the versions of the file, or the one model of the configuration. */
function desiredVersions(
  { versionsFile = '', modelVersion, modelFile, modelDigest }: Config,
  text: string | undefined,
): Desired {
  if (text !== undefined) return parseDesired(text, versionsFile)
  const only = { version: modelVersion, file: modelFile, digest: modelDigest, labels: [] }
  return { current: modelVersion, versions: [only] }
}

/** Follows every change of the versions file; a wrong one changes nothing. */
function follow({ versionsFile = '' }: Config, text: string, keeper: Keeper, log: Log): void {
  const complain = (error: unknown): void =>
    void log.error('the versions stay as they are', { 'event.action': 'versions', ...errorFields(error) })
  const changed = async (found: string): Promise<void> => {
    let desired: Desired
    try {
      desired = parseDesired(found, versionsFile)
    } catch (error) {
      return complain(error)
    }
    return keeper.reconcile(desired)
  }
  watchText(versionsFile, text, changed, complain)
}

/** ONNX Runtime comes into this thread only where a model needs it here. */
const loadHere = async (...[file, sizeBytes, options]: Parameters<LoadHere>): Promise<Engine> => {
  const { loadOnnx } = await import('./engine/onnx.ts')
  return loadOnnx(file, sizeBytes, options)
}
type LoadHere = NonNullable<PoolOptions['loadHere']>

function logLoaded(
  log: Log,
  { version }: LiveVersion,
  { sizeBytes, digest }: VerifiedFile,
  { loadMs, selfTest, batching, warmupRuns, warmupMs, plan, tried, why, tuneMs, lane }: PoolLoaded,
): void {
  log.info(`version ${version} loaded in ${Math.round(loadMs)} ms, warmed up by ${warmupRuns} runs`, {
    'event.action': 'loaded',
    'model.version': version,
    'model.digest': digest,
    'model.size': sizeBytes,
    'model.self_test': selfTest,
    'model.load_ms': Math.round(loadMs),
    'model.warmup_ms': Math.round(warmupMs),
    'batching.max_size': batching.maxSize,
    'batching.reason': batching.reason,
    'batching.measured': batching.measured,
    'threads.workers': plan.workers,
    'threads.intra_op': plan.intraOpThreads,
    'threads.reason': why,
    'threads.measured': tried,
    'tuning.ms': Math.round(tuneMs),
    'threads.short_lane': lane,
  })
}
