/**
 * The metrics that Prometheus reads on their own port.
 * Labels are bound beforehand, so that a request costs a few additions; label values never come from clients.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { Config } from './config.ts'
import type { Worked } from './engine/thread.ts'
import { readThrottling, type Throttling } from './cgroup.ts'
import { Distribution } from './distribution.ts'
import { addTritonMetrics } from './compatmetrics.ts'
import type { Models } from './models.ts'
import type { Settled } from './scheduling/scheduler.ts'
import type { LiveVersion } from './version.ts'

/** From 100 µs to 30 s: a tiny model answers in one, a large one waits in line for the other. */
const seconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Live figures that are read when Prometheus asks. */
export interface Gauges {
  readonly models: Models
  readonly ready: () => boolean
}

export interface Metrics {
  readonly registry: Registry
  /** Counts one inference request that was answered, or 499 when its client went away first. */
  request(status: number, durationMs: number): void
  /** Records where the time of a settled request went. */
  inference(settled: Settled): void
  /** Records what a worker did: one run, or a refusal before any. */
  worked(worked: Worked): void
}

export function createMetrics({ modelName, revision, crashes }: Config, { models, ready }: Gauges): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const requests = new Counter({
    name: 'slipway_requests_total',
    help: 'Inference requests by HTTP status; 499 means that the client went away before its answer',
    labelNames: ['code'],
    registers,
  })
  const duration = new Distribution(registry, {
    name: 'slipway_request_duration_seconds',
    help: 'Time from the head of an inference request to the end of its answer',
    buckets: seconds,
  })
  const wait = new Distribution(registry, {
    name: 'slipway_queue_wait_seconds',
    help: 'Time a request waited for a free worker',
    buckets: seconds,
  })
  const run = new Distribution(registry, {
    name: 'slipway_inference_duration_seconds',
    help: 'Time the model itself ran',
    buckets: seconds,
  })
  const batchSize = new Distribution(registry, {
    name: 'slipway_batch_size',
    help: 'How many requests shared a run of the model',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096],
  })
  const kserve = (phase: string, what: string): Distribution =>
    new Distribution(registry, {
      name: `request_${phase}_seconds`,
      help: `KServe's name: time to ${what}`,
      labels: { model_name: modelName },
      buckets: seconds,
    })
  const preprocess = kserve('preprocess', 'decode a request')
  const predict = kserve('predict', 'run the model')
  const postprocess = kserve('postprocess', 'encode an answer')
  const retries = new Counter({
    name: 'slipway_batch_retries_total',
    help: 'Shared runs that failed, so that their requests were run one by one',
    registers,
  })
  const busy = new Counter({
    name: 'slipway_worker_busy_seconds_total',
    help: 'Time for decoding, running and encoding, in workers or in their place; its rate divided by slipway_workers is their use',
    registers,
  })
  // Set anew at every reading: a version that has gone must not stay.
  const info = new Gauge({
    name: 'slipway_model_info',
    help: 'Always 1; the labels say which versions this pod serves',
    labelNames: ['model', 'version', 'digest', 'revision'],
    registers,
    collect() {
      info.reset()
      for (const { version, facts } of models.list()) {
        if (facts !== undefined) info.set({ model: modelName, version, digest: facts.digest, revision }, 1)
      }
    },
  })
  const load = new Gauge({
    name: 'slipway_model_load_seconds',
    help: 'Time ONNX Runtime took to load the model',
    labelNames: ['version'],
    registers,
    collect() {
      load.reset()
      for (const { version, facts } of models.list())
        if (facts !== undefined) load.set({ version }, facts.loaded.loadMs / 1000)
    },
  })
  const sum = (of: (version: LiveVersion) => number): number => models.list().reduce((total, one) => total + of(one), 0)
  gauge('slipway_queue_depth', 'Requests that wait for a free worker', () => sum(({ scheduler }) => scheduler.waiting))
  gauge('slipway_queue_oldest_wait_seconds', 'How long the oldest waiting request has waited', () =>
    Math.max(0, ...models.list().map(({ scheduler }) => scheduler.oldestWaitMs / 1000)),
  )
  gauge('slipway_inferences_in_flight', 'Requests that the workers hold', () => sum(({ pool }) => pool.inFlight))
  gauge('slipway_workers', 'Inference workers', () => sum(({ pool }) => pool.size))
  gauge('slipway_cache_bytes', 'Bytes of answers that are kept', () => sum(({ cache }) => cache?.figures.bytes ?? 0))
  gauge('slipway_cache_entries', 'Answers that are kept', () => sum(({ cache }) => cache?.figures.entries ?? 0))
  gauge('slipway_server_crashes', 'How often the server crashed and was started again in this container', () => crashes)
  gauge('slipway_ready', '1 while /v2/health/ready answers 200', () => (ready() ? 1 : 0))

  addTritonMetrics(registry, models)
  addThrottling(registry)

  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  gauge('slipway_event_loop_lag_seconds', 'Longest delay of the HTTP thread since the last reading', () => {
    const lag = delay.max / 1e9
    delay.reset()
    return lag
  })

  function gauge(name: string, help: string, value: () => number): void {
    const made = new Gauge({
      name,
      help,
      registers,
      collect() {
        made.set(value())
      },
    })
  }

  const byStatus = new Map<number, Counter.Internal>()
  return {
    registry,
    request(status, durationMs) {
      let counter = byStatus.get(status)
      if (counter === undefined) {
        counter = requests.labels(String(status))
        byStatus.set(status, counter)
      }
      counter.inc()
      duration.observe(durationMs / 1000)
    },
    inference({ ok, waitMs, decodeMs, runMs, encodeMs, recalled }) {
      // It neither waited nor ran.
      if (recalled) return
      wait.observe(waitMs / 1000)
      if (runMs > 0) run.observe(runMs / 1000)
      if (!ok) return
      preprocess.observe(decodeMs / 1000)
      predict.observe(runMs / 1000)
      postprocess.observe(encodeMs / 1000)
    },
    worked({ workMs, runMs, batchSize: size, retried }) {
      busy.inc(workMs / 1000)
      if (runMs > 0) batchSize.observe(size)
      if (retried) retries.inc()
    },
  }
}

/** How the kernel holds the container back; nothing where it does not say. */
function addThrottling(registry: Registry): void {
  if (readThrottling() === undefined) return
  const read = (name: string, help: string, of: (found: Throttling) => number): void => {
    const made = new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        const found = readThrottling()
        made.reset()
        if (found !== undefined) made.inc(of(found))
      },
    })
  }
  read('slipway_cpu_periods_total', 'Scheduler periods in which the CPU quota was in force', ({ periods }) => periods)
  read('slipway_cpu_throttled_periods_total', 'Those in which the quota ran out', (found) => found.throttledPeriods)
  read(
    'slipway_cpu_throttled_seconds_total',
    'Time for which the quota held threads back',
    (found) => found.throttledSeconds,
  )
}
