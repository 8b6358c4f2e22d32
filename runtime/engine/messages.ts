/**
 * What the main thread and an inference worker say to each other. Bodies are transferred, never copied.
 */
import type { FaultReport } from '../errors.ts'
import type { Signature } from '../tensor.ts'
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
}

export interface InferOrder {
  readonly type: 'infer'
  readonly id: number
  readonly wire: Wire
  readonly body: Uint8Array<ArrayBuffer>
}

export type Order = LoadOrder | InferOrder

export interface LoadedReply {
  readonly type: 'loaded'
  readonly signature: Signature
  readonly loadMs: number
  readonly selfTest: string
  readonly warmupRuns: number
  readonly warmupMs: number
}

export interface AnswerReply {
  readonly type: 'answer'
  readonly id: number
  readonly body: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
  /** Time the model ran. */
  readonly runMs: number
  /** Time the worker had to do with the request: decode, run, encode. */
  readonly workMs: number
}

export interface RefusedReply {
  readonly type: 'refused'
  readonly id: number
  readonly fault: FaultReport
  /** Time the model ran before it failed; 0 when the request never reached it. */
  readonly runMs: number
}

export interface LoadFailedReply {
  readonly type: 'loadFailed'
  readonly fault: FaultReport
}

export type Reply = LoadedReply | LoadFailedReply | AnswerReply | RefusedReply
