/**
 * How many requests one run of a model should take at most, by measuring it: some models gain a factor of five from
 * batches, others nothing (research of the project: CPU convolutions gain 0 to 20 %).
 * It must end within its budget, and must not choose runs so long that whoever comes next waits for ages.
 */
import { Fault } from '../errors.ts'
import type { Tensor } from '../tensor.ts'
import { stack } from './batch.ts'
import type { Engine } from './engine.ts'
import { Headroom } from './headroom.ts'
import type { Batching, BatchRate } from './messages.ts'

const sizes = [1, 2, 4, 8, 16, 32, 64]

export interface TuneLimits {
  /** Time for the whole measurement, in milliseconds. */
  readonly budgetMs: number
  /** Sizes whose single run takes longer are not chosen, in milliseconds. */
  readonly maxRunMs: number
  /** Bytes of input that one run may have. */
  readonly maxBytes: number
  readonly memory: Headroom
}

const usual: TuneLimits = {
  budgetMs: 1500,
  maxRunMs: 100,
  maxBytes: 32 * 1024 * 1024,
  memory: new Headroom(undefined),
}
/** Each size is measured for at least this long and this often, in milliseconds and runs. */
const sampleMs = 25
const minRuns = 3
/** A larger batch must be this much faster for each request than a single run, or batches are not worth their waiting. */
const worthwhile = 1.15
/** Of sizes that are nearly as fast as the fastest, the smallest is taken: its runs are the shortest. */
const nearly = 0.9

/** A size must bring this much more than every smaller one, or it counts as one that gained nothing. */
const gains = 1.05
/** After so many sizes that gained nothing no larger one is tried: what they would cost is memory. */
const patience = 2

export interface Tuned {
  readonly batching: Batching
  /** The most rows that were run at once, chosen or not. */
  readonly largest: number
}

/**
 * ONNX Runtime keeps the memory of the largest run that a session ever made: whoever chooses fewer rows than `largest`
 * should load the session anew.
 * @param row an input of one row that the model runs on
 */
export function tuneBatch(
  engine: Engine,
  row: readonly Tensor[],
  now: () => number = () => performance.now(),
  limits: Partial<TuneLimits> = {},
): Tuned {
  const { budgetMs, maxRunMs, maxBytes, memory } = { ...usual, ...limits }
  const usedBefore = memory.usedBytes
  const outputs = engine.signature.outputs.map(({ name }) => name)
  const rowBytes = bytesOf(row)
  const end = now() + budgetMs
  const measured: BatchRate[] = []
  let largest = 0
  let best = 0
  let inVain = 0
  let tooLarge: number | undefined
  for (const size of sizes) {
    if (size > 1 && (now() > end || size * rowBytes > maxBytes || inVain === patience)) break
    // As many rows more as there were, and ONNX Runtime takes memory in steps that double.
    if (size > 1 && !memory.fits(2 * Math.max(0, memory.usedBytes - usedBefore))) {
      tooLarge = size
      break
    }
    largest = size
    const asks = Array.from({ length: size }, () => ({ inputs: row, outputs }))
    // To put large inputs together may take longer than the run that is spared.
    const run = (): number => {
      const started = now()
      engine.run(size === 1 ? row : stack(asks), outputs)
      return now() - started
    }
    // The first run of a new shape plans its memory. A model may well have a greatest batch of its own.
    try {
      if (run() > maxRunMs && size > 1) break
    } catch (error) {
      if (size === 1 || !(error instanceof Fault)) throw error
      break
    }
    const times: number[] = []
    const started = now()
    do times.push(run())
    while (now() < end && (times.length < minRuns || now() - started < sampleMs))
    const runMs = times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0
    const perSecond = (size * 1000) / Math.max(runMs, 0.001)
    measured.push({ size, runMs, perSecond })
    inVain = perSecond > best * gains ? 0 : inVain + 1
    best = Math.max(best, perSecond)
  }
  const batching = choose(measured)
  if (tooLarge === undefined) return { batching, largest }
  const reason = `${batching.reason}; a batch of ${tooLarge} might not fit into the memory limit`
  return { batching: { ...batching, reason }, largest }
}

/** Bytes of a request's inputs, at least 1; texts are guessed at. */
export const bytesOf = (row: readonly Tensor[]): number =>
  Math.max(
    1,
    row.reduce((sum, { data }) => sum + ('byteLength' in data ? data.byteLength : data.length * 16), 0),
  )

/** The smallest size that is nearly as fast as the fastest; 1 when no size is worth it. */
export function choose(measured: readonly BatchRate[]): Batching {
  const single = measured[0]?.perSecond ?? 0
  const best = Math.max(...measured.map(({ perSecond }) => perSecond))
  const gain = (rate: number): string => (rate / single).toFixed(1)
  if (best < single * worthwhile) {
    return { maxSize: 1, reason: `no batch was ${worthwhile} times as fast as single runs`, measured }
  }
  const chosen = measured.find(({ perSecond }) => perSecond >= best * nearly)
  if (chosen === undefined) throw new Error('the fastest batch is not among those measured')
  return {
    maxSize: chosen.size,
    reason: `a batch of ${chosen.size} made ${gain(chosen.perSecond)} times as many inferences a second as single runs`,
    measured,
  }
}
