/**
 * The metric names that dashboards and autoscalers of Triton and KServe look for. They are filled from figures that are
 * kept anyway, when Prometheus asks, so that a request pays for none of them.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
 */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Models } from './models.ts'
import type { CacheFigures } from './scheduling/cache.ts'
import { failureReasons, type Figures } from './statistics.ts'
import type { LiveVersion } from './version.ts'

export function addTritonMetrics(registry: Registry, models: Models): void {
  const registers = [registry]
  const labelsOf = ({ name, version }: LiveVersion): { model: string; version: string } => ({ model: name, version })
  /** @param of the value for a version; undefined where it has none */
  const perVersion = (name: string, help: string, of: (version: LiveVersion) => number | undefined): void => {
    const made = new Counter({
      name,
      help,
      labelNames: ['model', 'version'],
      registers,
      // Set anew at every reading: a version that has gone must not stay.
      collect() {
        made.reset()
        for (const version of models.list()) {
          const value = of(version)
          if (value !== undefined) made.inc(labelsOf(version), value)
        }
      },
    })
  }
  const count = (name: string, help: string, of: (figures: Figures) => number): void =>
    perVersion(name, help, ({ statistics }) => of(statistics.figures()))
  const cached = (name: string, help: string, of: (figures: CacheFigures) => number): void =>
    perVersion(name, help, ({ cache }) => cache && of(cache.figures))
  const micros = (ms: number): number => Math.round(ms * 1000)
  count('nv_inference_request_success', 'Requests answered', ({ success }) => success.count)
  count('nv_inference_count', 'Inferences done, those answered from the cache left out', ({ computed }) => computed)
  count('nv_inference_exec_count', 'Runs of the model, each of one request or several', ({ runs }) => runs)
  count('nv_inference_request_duration_us', 'Time of requests, waiting included', (f) => micros(f.success.ms))
  count('nv_inference_queue_duration_us', 'Time that requests waited', (f) => micros(f.queue.ms))
  count('nv_inference_compute_input_duration_us', 'Time to decode', (f) => micros(f.compute_input.ms))
  count('nv_inference_compute_infer_duration_us', 'Time that the model ran', (f) => micros(f.compute_infer.ms))
  count('nv_inference_compute_output_duration_us', 'Time to encode', (f) => micros(f.compute_output.ms))
  cached('nv_cache_num_hits_per_model', 'Requests answered from the cache', ({ hits }) => hits)
  cached('nv_cache_num_misses_per_model', 'Requests that the cache had no answer for', ({ misses }) => misses)
  cached('nv_cache_hit_duration_per_model', 'Time to look up answers that were kept', ({ hitMs }) => micros(hitMs))
  cached('nv_cache_miss_duration_per_model', 'Time to look up in vain and to keep', ({ missMs }) => micros(missMs))
  const failure = new Counter({
    name: 'nv_inference_request_failure',
    help: 'Requests that were taken and not answered',
    labelNames: ['model', 'version', 'reason'],
    registers,
    collect() {
      failure.reset()
      for (const version of models.list()) {
        const { failures } = version.statistics.figures()
        for (const reason of failureReasons) failure.inc({ ...labelsOf(version), reason }, failures[reason])
      }
    },
  })
  const pending = new Gauge({
    name: 'nv_inference_pending_request_count',
    help: 'Requests that wait for a worker',
    labelNames: ['model', 'version'],
    registers,
    collect() {
      pending.reset()
      for (const version of models.list()) pending.set(labelsOf(version), version.scheduler.waiting)
    },
  })
}
