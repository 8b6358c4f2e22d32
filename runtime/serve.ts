/**
 * The command `serve`: listens first, then verifies, loads, tests and warms the model, then is ready.
 * It must never be ready with a file that was not verified.
 */
import { createServer as createPlainServer } from 'node:http'
import type { Config } from './config.ts'
import { readCpuLimits, readMemoryLimit } from './cgroup.ts'
import { EnginePool } from './engine/pool.ts'
import { planThreads } from './engine/threads.ts'
import { createApp } from './http/app.ts'
import { close, createHttpServer, listen } from './http/server.ts'
import { errorFields, type Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import { checkMemory } from './model/memory.ts'
import { verifyFile } from './model/verify.ts'
import { Scheduler } from './scheduling/scheduler.ts'
import { onTermination, type Drain, type Signals } from './shutdown.ts'
import { ServerState } from './state.ts'

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
  readonly metricsPort: number
}

/**
 * Serves until a termination signal. Resolves when the model is ready.
 * @throws Fault when the model cannot be verified or loaded
 */
export async function serve(config: Config, { entry, log, signals, exit, version }: ServeOptions): Promise<Serving> {
  const plan = planThreads(readCpuLimits(), config.threads)
  const pool = new EnginePool({
    entry,
    workers: plan.workers,
    stuckAfterMs: config.stuckAfterMs,
    onWorked: (worked) => metrics.worked(worked),
  })
  const state = new ServerState(pool)
  const scheduler = new Scheduler(pool, {
    maxRequests: config.queueMaxRequests,
    maxWaitMs: config.queueTimeoutMs,
    maxBytes: bodyBudget(config.maxBodyBytes),
    maxDelayMs: config.batchMaxDelayMs,
  })
  const metrics = createMetrics(config, {
    waiting: () => scheduler.waiting,
    inFlight: () => pool.inFlight,
    workers: () => pool.size,
    oldestWaitMs: () => scheduler.oldestWaitMs,
    ready: () => state.health().ready,
  })
  const model = { name: config.modelName, version: config.modelVersion }
  const onBug = (error: unknown): void => void log.error('a request failed by a bug', errorFields(error))
  const http = createHttpServer({
    model,
    state,
    scheduler,
    metrics,
    onBug,
    answering: { revision: config.revision, closing: () => state.draining },
    connectionMaxAgeMs: config.connectionMaxAgeMs,
    maxBodyBytes: config.maxBodyBytes,
    app: createApp({ model, pool, state, serverVersion: version, onBug }),
  })
  const metricsServer = createPlainServer((request, response) => {
    if (request.url !== '/metrics') return void response.writeHead(404).end('the metrics are at /metrics\n')
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
      log.info('draining: not ready any more, still answering', { 'event.action': 'drain' })
    },
    async finish() {
      await http.close()
      await close(metricsServer)
      log.info('every request was answered; ending', { 'event.action': 'exit' })
    },
  }
  onTermination(
    signals,
    () => (state.phase.name === 'Loading' ? undefined : drain),
    exit,
    (error) => void log.error('the drain failed', errorFields(error)),
  )

  const [httpPort, metricsPort] = await Promise.all([
    http.listen(config.httpPort),
    listen(metricsServer, config.metricsPort),
  ])
  log.info(`listening on ${httpPort}, metrics on ${metricsPort}`, {
    'event.action': 'listen',
    'server.port': httpPort,
    'metrics.port': metricsPort,
  })

  state.enter({ name: 'Loading', doing: 'verifying the model file' })
  const { sizeBytes, digest } = await verifyFile(config.modelFile, config.modelDigest)
  checkMemory(sizeBytes, readMemoryLimit())
  state.enter({ name: 'Loading', doing: 'loading the model' })
  const { loadMs, selfTest, batching, warmupRuns, warmupMs } = await pool.load({
    file: config.modelFile,
    sizeBytes,
    modelName: config.modelName,
    modelVersion: config.modelVersion,
    warmupRequests: config.warmupRequests,
    maxBatch: config.maxBatch,
    intraOpThreads: plan.intraOpThreads,
    spinning: plan.spinning,
  })
  metrics.loaded(digest, loadMs)
  state.enter({ name: 'Serving' })
  log.info(`ready: model loaded in ${Math.round(loadMs)} ms, warmed up by ${warmupRuns} runs`, {
    'event.action': 'ready',
    'model.digest': digest,
    'model.size': sizeBytes,
    'model.self_test': selfTest,
    'model.load_ms': Math.round(loadMs),
    'model.warmup_ms': Math.round(warmupMs),
    'batching.max_size': batching.maxSize,
    'batching.reason': batching.reason,
    'batching.measured': batching.measured,
    'threads.intra_op': plan.intraOpThreads,
    'threads.spinning': plan.spinning,
  })
  return { httpPort, metricsPort }
}

/** Bodies held at once may take a quarter of the memory limit, and always one body of the largest size. */
function bodyBudget(maxBodyBytes: number): number {
  const limit = readMemoryLimit()
  return Math.max(maxBodyBytes, limit === undefined ? 2 ** 30 : limit / 4)
}
