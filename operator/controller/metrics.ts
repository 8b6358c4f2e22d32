// The metrics of this folder, one set per registry, under controller-runtime's names, so that its dashboards and alerts
// work here unchanged.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What the workqueue gauges ask of each queue when they are scraped. */
export interface QueueProbe {
  readonly name: string
  /** Seconds that each key in work has been in work. */
  runningSeconds(): readonly number[]
}

/** controller-runtime's buckets for waits and work: from a microsecond to 1000 s. */
const queueBuckets = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000]
const reconcileBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120]

const build = (registry: Registry) => {
  const registers = [registry]
  const probes = new Set<QueueProbe>()
  const queueLabels = ['name', 'controller'] as const
  const controller = (name: string, help: string) =>
    new Counter({ name: `controller_runtime_${name}`, help, labelNames: ['controller'], registers })
  const collectFrom = (name: string, help: string, value: (running: readonly number[]) => number) =>
    new Gauge({
      name,
      help,
      labelNames: queueLabels,
      registers,
      collect() {
        for (const probe of probes) {
          this.set({ name: probe.name, controller: probe.name }, value(probe.runningSeconds()))
        }
      },
    })
  return {
    probes,
    reconciles: new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Reconciles, by result: success, error, requeue (a conflict), requeue_after.',
      labelNames: ['controller', 'result'],
      registers,
    }),
    errors: controller('reconcile_errors_total', 'Reconciles that failed.'),
    terminalErrors: controller('terminal_reconcile_errors_total', 'Reconciles that failed and are not tried again.'),
    panics: controller('reconcile_panics_total', 'Reconciles that failed by a bug in the program.'),
    timeouts: controller('reconcile_timeouts_total', 'Reconciles that were told to stop because they took too long.'),
    deferred: controller('reconcile_deferred_total', 'Times a key waited for the cache to show our own last write.'),
    seconds: new Histogram({
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'How long a reconcile takes.',
      labelNames: ['controller'],
      buckets: reconcileBuckets,
      registers,
    }),
    maxConcurrent: new Gauge({
      name: 'controller_runtime_max_concurrent_reconciles',
      help: 'How many reconciles may run at once.',
      labelNames: ['controller'],
      registers,
    }),
    active: new Gauge({
      name: 'controller_runtime_active_workers',
      help: 'How many reconciles run now.',
      labelNames: ['controller'],
      registers,
    }),
    depth: new Gauge({
      name: 'workqueue_depth',
      help: 'Keys that could be worked on now, by priority.',
      labelNames: [...queueLabels, 'priority'],
      registers,
    }),
    adds: new Counter({
      name: 'workqueue_adds_total',
      help: 'Keys that entered the queue; a key that was in it already does not count.',
      labelNames: queueLabels,
      registers,
    }),
    retries: new Counter({
      name: 'workqueue_retries_total',
      help: 'Keys that were added again after a failure.',
      labelNames: queueLabels,
      registers,
    }),
    queueSeconds: new Histogram({
      name: 'workqueue_queue_duration_seconds',
      help: 'How long a key waits from when it may be worked on until it is.',
      labelNames: queueLabels,
      buckets: queueBuckets,
      registers,
    }),
    workSeconds: new Histogram({
      name: 'workqueue_work_duration_seconds',
      help: 'How long a key is in work.',
      labelNames: queueLabels,
      buckets: queueBuckets,
      registers,
    }),
    unfinished: collectFrom('workqueue_unfinished_work_seconds', 'Seconds of work under way, all keys together.', (r) =>
      r.reduce((sum, seconds) => sum + seconds, 0),
    ),
    longest: collectFrom(
      'workqueue_longest_running_processor_seconds',
      'How long the oldest key in work has been.',
      (r) => Math.max(0, ...r),
    ),
  }
}

export type ControllerMetrics = ReturnType<typeof build>

const sets = new WeakMap<Registry, ControllerMetrics>()

/** The metrics of a registry, made on first use: all controllers of a process share them. */
export const controllerMetrics = (registry: Registry): ControllerMetrics => {
  const existing = sets.get(registry)
  if (existing !== undefined) return existing
  const made = build(registry)
  sets.set(registry, made)
  return made
}
