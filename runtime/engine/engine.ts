/**
 * What anything that computes must offer. Codecs and schedulers know only this, so that another engine
 * (a GPU provider, a later asynchronous binding) changes nothing else.
 */
import type { Signature, Tensor } from '../tensor.ts'

export interface Engine {
  readonly signature: Signature
  /**
   * Computes the named outputs, in their order. Blocks the thread until done; it cannot be cancelled.
   * `inputs` must fit the signature: names, datatypes and element counts are not checked again.
   * @throws Fault `RunFailed` or `InputRefused` with the engine's words
   */
  run(inputs: readonly Tensor[], outputs: readonly string[]): Tensor[]
  /** Frees the model. The engine must not be used afterwards. */
  dispose(): void
}

export type Device = 'CPU' | 'GPU'

export interface EngineOptions {
  readonly device: Device
  readonly intraOpThreads: number
}
