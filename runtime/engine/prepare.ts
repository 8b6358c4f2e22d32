/**
 * What happens between loading a model and serving it: the self-test, the decision about batches, and warming up.
 * It must end in bounded time: a slow model must not keep a pod from its users.
 */
import { fault } from '../errors.ts'
import type { Tensor } from '../tensor.ts'
import { stack } from './batch.ts'
import { testBatching, type BatchTest } from './batchtest.ts'
import { bytesOf, tuneBatch } from './batchtune.ts'
import type { Engine } from './engine.ts'
import { gpuShare } from './gpu.ts'
import { Headroom } from './headroom.ts'
import type { Batching, LoadedReply, LoadOrder } from './messages.ts'
import { testOnSample } from './sample.ts'
import { selfTest } from './selftest.ts'

/** Warming up ends here even if fewer runs were made than asked for: of a slow model a few runs warm as well as many. */
const maxWarmupMs = 5000

export type Prepared = Omit<LoadedReply, 'type' | 'signature' | 'loadMs'>

/** What is known of a model that may serve. */
export interface Preparation {
  /** What to serve with: the engine that was given, or another that was loaded in its place. */
  readonly engine: Engine
  readonly prepared: Prepared
  /** Inputs of one full run, for measuring; undefined when no invented input suits the model. */
  readonly sample: Sample | undefined
}

export interface Sample {
  readonly inputs: readonly Tensor[]
  readonly rows: number
}

/**
 * @param first the model as it was loaded; it may be disposed of
 * @param reload loads the model once more: what ran larger batches than it will ever again keeps their memory, which was
 * half a gigabyte of an image model
 * @param providerTimes what each execution provider computed until now, in microseconds
 * @throws Fault `SelfTestFailed`, `WarmupRefused`, or `GpuUnavailable` when a GPU was asked for and does not compute
 */
export function prepare(
  first: Engine,
  order: LoadOrder,
  { reload, providerTimes }: { reload: () => Engine; providerTimes: () => ReadonlyMap<string, number> },
): Preparation {
  const { device, warmupRequests, warmupSample, modelName } = order
  let engine = first
  const { inputs, note } = warmupSample === undefined ? selfTest(engine) : testOnSample(engine, warmupSample, modelName)
  if (device === 'GPU' && inputs === undefined) throw fault('GpuUnproved', {})
  const onGpu = device === 'GPU' ? gpuShare(providerTimes()) : 0
  const tuneFrom = performance.now()
  const { batching, sample, largest } = decideBatching(engine, inputs, order)
  const batchTuneMs = performance.now() - tuneFrom
  if (largest > batching.maxSize && device === 'CPU') {
    engine.dispose()
    engine = reload()
  }
  const outputs = engine.signature.outputs.map(({ name }) => name)
  const warmFrom = performance.now()
  const wanted = inputs === undefined ? 0 : warmupRequests
  const runs: number[] = []
  while (runs.length < wanted && performance.now() - warmFrom < maxWarmupMs) {
    const started = performance.now()
    engine.run(inputs ?? [], outputs)
    runs.push(performance.now() - started)
  }
  const example = inputs?.map(({ name, datatype, shape }) => ({ name, datatype, shape }))
  const runMs = batching.measured[0]?.runMs ?? runs.toSorted((a, b) => a - b)[runs.length >> 1]
  const warmupMs = performance.now() - warmFrom
  return {
    engine,
    prepared: {
      selfTest: note,
      gpuShare: onGpu,
      example,
      batching,
      batchTuneMs,
      warmupRuns: runs.length,
      warmupMs,
      runMs,
    },
    sample,
  }
}

function decideBatching(
  engine: Engine,
  inputs: readonly Tensor[] | undefined,
  { maxBatch, batchProved = false, memoryLimitBytes }: LoadOrder,
): { readonly batching: Batching; readonly sample: Sample | undefined; readonly largest: number } {
  const single = inputs && { inputs, rows: 1 }
  // The test itself runs two rows at once at most.
  const off = (reason: string) => ({ batching: { maxSize: 1, reason, measured: [] }, sample: single, largest: 0 })
  if (maxBatch === 1) return off('it was switched off')
  const test: BatchTest = batchProved && inputs !== undefined ? { ok: true, row: inputs } : testBatching(engine, inputs)
  if (!test.ok) return off(test.reason)
  const { batching, largest } =
    maxBatch === 'Auto'
      ? tuneBatch(engine, test.row, undefined, { memory: new Headroom(memoryLimitBytes) })
      : {
          batching: { maxSize: maxBatch, reason: 'a batch of two gave the same as two of one', measured: [] },
          largest: 0,
        }
  const rows = Math.max(1, Math.min(batching.maxSize, maxSampleRows, Math.floor(maxSampleBytes / bytesOf(test.row))))
  const asks = Array.from({ length: rows }, () => ({ inputs: test.row, outputs: [] }))
  return { batching, sample: { inputs: stack(asks), rows }, largest }
}

/** Every worker keeps the sample, and a maximum that somebody asked for may be far larger than what is worth measuring. */
const maxSampleRows = 8
const maxSampleBytes = 8 * 1024 * 1024
