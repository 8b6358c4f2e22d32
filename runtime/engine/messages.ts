/**
 * What the main thread and an inference worker say to each other. Bodies are transferred, never copied.
 */
import type { FaultReport } from '../errors.ts'
import type { Signature, TensorSpec } from '../tensor.ts'
import type { Wire } from '../protocols/codecs.ts'
import type { EngineOptions } from './engine.ts'

/** Marks a worker thread as ours, so that the entry file knows what it is. */
export const workerRole = 'slipway-inference'

export interface WorkerData {
  readonly role: typeof workerRole
}

export interface LoadOrder extends EngineOptions {
  readonly type: 'load'
  readonly file: string
  readonly sizeBytes: number
  readonly modelName: string
  readonly modelVersion: string
  readonly warmupRequests: number
  /** A request of the Open Inference Protocol in JSON to test and warm up with, instead of zeros. */
  readonly warmupSample?: string | undefined
  /** The most requests of one run; `Auto` measures it; 1 runs every request alone. */
  readonly maxBatch: number | 'Auto'
  /** Another worker has proved that `maxBatch` is right, so it is not tried again. */
  readonly batchProved?: boolean
  /** The container's memory limit; undefined for none. */
  readonly memoryLimitBytes?: number | undefined
}

/** Requests that wait together: what of them fits together shares runs of the model. */
export interface InferOrder {
  readonly type: 'infer'
  readonly asks: readonly AskOrder[]
}

export interface AskOrder {
  readonly id: number
  readonly wire: Wire
  readonly body: Uint8Array<ArrayBuffer>
  /** How long it has waited, for deadlines that only its body names. */
  readonly waitedMs: number
}

/** Runs the model on made-up rows for a while, to see how fast it is beside what else computes. */
export interface MeasureOrder {
  readonly type: 'measure'
  readonly forMs: number
}

export type Order = LoadOrder | InferOrder | MeasureOrder

export interface LoadedReply {
  readonly type: 'loaded'
  readonly signature: Signature
  readonly loadMs: number
  readonly selfTest: string
  /** The inputs that it ran on, with their sizes; undefined when no invented ones suited. */
  readonly example: readonly TensorSpec[] | undefined
  /** The share of its time that the model computed on a GPU, from 0 to 1. */
  readonly gpuShare: number
  readonly batching: Batching
  /** Time that testing and measuring batches took. */
  readonly batchTuneMs: number
  readonly warmupRuns: number
  readonly warmupMs: number
  /** The median run of one row, in milliseconds; undefined when no invented input suits the model. */
  readonly runMs: number | undefined
}

/** How requests share runs of a loaded model. */
export interface Batching {
  /** The most rows, and so the most requests, of one run; 1 when every request runs alone. */
  readonly maxSize: number
  /** Why it is so, for people. */
  readonly reason: string
  /** What was measured to decide it; empty when nothing was. */
  readonly measured: readonly BatchRate[]
}

export interface BatchRate {
  readonly size: number
  /** The median run. */
  readonly runMs: number
  /** Rows, not runs. */
  readonly perSecond: number
}

/** Where a request's time in the worker went, in milliseconds; 0 for what it did not come to. */
export interface Times {
  readonly decodeMs: number
  /** The whole run that it had its share in. */
  readonly runMs: number
  readonly encodeMs: number
  /** How many requests shared that run; 0 when it never ran. */
  readonly batchSize: number
}

export type Result = { readonly id: number; readonly times: Times } & (
  | { readonly ok: true; readonly body: Uint8Array<ArrayBuffer>; readonly headers: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly fault: FaultReport }
)

/** The requests of an order that are done: those of one run, or those that were refused before any. */
export interface ResultsReply {
  readonly type: 'results'
  readonly results: readonly Result[]
  /** The memory of their bodies that is worth to be used again. Nothing in this thread looks at it any more. */
  readonly spent: readonly ArrayBuffer[]
  /** Time the worker had to do since its last reply, in milliseconds: decode, run, encode. */
  readonly workMs: number
  /** Whether a shared run failed, so that its requests were run one by one. */
  readonly retried: boolean
}

export interface LoadFailedReply {
  readonly type: 'loadFailed'
  readonly fault: FaultReport
}

export interface MeasuredReply {
  readonly type: 'measured'
  readonly perSecond: number
}

export type Reply = LoadedReply | LoadFailedReply | ResultsReply | MeasuredReply
