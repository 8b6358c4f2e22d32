/**
 * What became of the requests for one version, counted as Triton's statistics extension reports it.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
 */
import type { Settled } from './scheduling/scheduler.ts'

/** How often, and for how long altogether. */
export interface Duration {
  readonly count: number
  readonly ns: number
}

type Part = 'success' | 'fail' | 'queue' | 'compute_input' | 'compute_infer' | 'compute_output'

const parts: readonly Part[] = ['success', 'fail', 'queue', 'compute_input', 'compute_infer', 'compute_output']

/** The figures of runs of one size. */
interface Batch {
  runs: number
  readonly ms: { input: number; infer: number; output: number }
}

export class Statistics {
  readonly #totals = new Map<Part, { count: number; ms: number }>(parts.map((part) => [part, { count: 0, ms: 0 }]))
  readonly #batches = new Map<number, Batch>()
  #lastInference = 0

  /** Counts one request that was settled. */
  record({ ok, waitMs, decodeMs, runMs, encodeMs, batchSize }: Settled): void {
    if (!ok) return this.#add('fail', waitMs + decodeMs + runMs + encodeMs)
    this.#lastInference = Date.now()
    this.#add('success', waitMs + decodeMs + runMs + encodeMs)
    this.#add('queue', waitMs)
    this.#add('compute_input', decodeMs)
    this.#add('compute_infer', runMs)
    this.#add('compute_output', encodeMs)
    let batch = this.#batches.get(batchSize)
    if (batch === undefined) {
      batch = { runs: 0, ms: { input: 0, infer: 0, output: 0 } }
      this.#batches.set(batchSize, batch)
    }
    // Every member of a shared run reports it, so each counts for its share.
    batch.runs += 1 / Math.max(1, batchSize)
    batch.ms.input += decodeMs
    batch.ms.infer += runMs / Math.max(1, batchSize)
    batch.ms.output += encodeMs
  }

  /** The figures in the protocol's form. */
  report(): object {
    const batches = [...this.#batches].toSorted(([left], [right]) => left - right)
    return {
      last_inference: this.#lastInference,
      inference_count: this.#totals.get('success')?.count ?? 0,
      execution_count: Math.round(batches.reduce((sum, [, { runs }]) => sum + runs, 0)),
      inference_stats: {
        ...Object.fromEntries(parts.map((part) => [part, durationOf(this.#totals.get(part))])),
        cache_hit: durationOf(undefined),
        cache_miss: durationOf(undefined),
      },
      response_stats: {},
      batch_stats: batches.map(([size, { runs, ms }]) => ({
        batch_size: size,
        compute_input: durationOf({ count: runs, ms: ms.input }),
        compute_infer: durationOf({ count: runs, ms: ms.infer }),
        compute_output: durationOf({ count: runs, ms: ms.output }),
      })),
      memory_usage: [],
    }
  }

  #add(part: Part, ms: number): void {
    const total = this.#totals.get(part)
    if (total === undefined) return
    total.count += 1
    total.ms += ms
  }
}

function durationOf(total: { readonly count: number; readonly ms: number } | undefined): Duration {
  return { count: Math.round(total?.count ?? 0), ns: Math.round((total?.ms ?? 0) * 1e6) }
}
