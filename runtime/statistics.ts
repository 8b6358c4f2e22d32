/**
 * What became of the requests for one version, counted as Triton's statistics extension reports it.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
 */
import type { FaultReport } from './errors.ts'
import type { CacheFigures } from './scheduling/cache.ts'
import type { Settled } from './scheduling/scheduler.ts'

/** How often, and for how long altogether. */
export interface Duration {
  readonly count: number
  readonly ns: number
}

type Part = 'success' | 'fail' | 'queue' | 'compute_input' | 'compute_infer' | 'compute_output'

const parts: readonly Part[] = ['success', 'fail', 'queue', 'compute_input', 'compute_infer', 'compute_output']

/** Why a request that was taken was not answered, in Triton's words. */
export const failureReasons = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'] as const
export type FailureReason = (typeof failureReasons)[number]

/** Sums over all requests so far. */
export type Figures = Readonly<Record<Part, { readonly count: number; readonly ms: number }>> & {
  /** Requests that the model was run for; the others were answered from the cache. */
  readonly computed: number
  /** Runs of the model, each of one request or several. */
  readonly runs: number
  readonly failures: Readonly<Record<FailureReason, number>>
}

/** The figures of runs of one size. */
interface Batch {
  runs: number
  readonly ms: { input: number; infer: number; output: number }
}

export class Statistics {
  readonly #totals: Record<Part, { count: number; ms: number }> = {
    success: { count: 0, ms: 0 },
    fail: { count: 0, ms: 0 },
    queue: { count: 0, ms: 0 },
    compute_input: { count: 0, ms: 0 },
    compute_infer: { count: 0, ms: 0 },
    compute_output: { count: 0, ms: 0 },
  }
  readonly #failures: Record<FailureReason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 }
  readonly #batches = new Map<number, Batch>()
  #lastInference = 0
  #computed = 0

  /** Counts one request that was settled. */
  record(settled: Settled): void {
    const { waitMs, decodeMs, runMs, encodeMs, batchSize } = settled
    if (!settled.ok) {
      this.#failures[reasonOf(settled.fault)] += 1
      this.#add('fail', waitMs + decodeMs + runMs + encodeMs)
      return
    }
    this.#lastInference = Date.now()
    this.#add('success', waitMs + decodeMs + runMs + encodeMs)
    if (settled.recalled) return
    this.#computed += 1
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

  /** Counts a request whose client went away before it was answered. */
  canceled(): void {
    this.#failures.CANCELED += 1
  }

  figures(): Figures {
    return { ...this.#totals, computed: this.#computed, runs: this.#runs(), failures: this.#failures }
  }

  /**
   * The figures in the protocol's form.
   * @param cache what the cache did; undefined when there is none
   */
  report(cache?: CacheFigures): object {
    const batches = [...this.#batches].toSorted(([left], [right]) => left - right)
    return {
      last_inference: this.#lastInference,
      inference_count: this.#computed,
      execution_count: this.#runs(),
      inference_stats: {
        ...Object.fromEntries(parts.map((part) => [part, durationOf(this.#totals[part])])),
        cache_hit: durationOf(cache && { count: cache.hits, ms: cache.hitMs }),
        cache_miss: durationOf(cache && { count: cache.misses, ms: cache.missMs }),
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

  #runs(): number {
    let sum = 0
    for (const { runs } of this.#batches.values()) sum += runs
    return Math.round(sum)
  }

  #add(part: Part, ms: number): void {
    const total = this.#totals[part]
    total.count += 1
    total.ms += ms
  }
}

function durationOf(total: { readonly count: number; readonly ms: number } | undefined): Duration {
  return { count: Math.round(total?.count ?? 0), ns: Math.round((total?.ms ?? 0) * 1e6) }
}

function reasonOf({ code }: FaultReport): FailureReason {
  if (code === 'QueueFull' || code === 'QueueTimeout' || code === 'TimeoutPassed') return 'REJECTED'
  return code === 'RunFailed' || code === 'EngineGone' ? 'BACKEND' : 'OTHER'
}
