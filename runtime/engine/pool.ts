/**
 * The inference workers of one model: started one after another, the least busy one gets the next request.
 * It must not queue: what no worker can take now is the scheduler's business.
 */
import type { Signature, TensorSpec } from '../tensor.ts'
import type { Batching, LoadedReply, LoadOrder } from './messages.ts'
import { EngineThread, type Ask, type ThreadEvents, type Worked } from './thread.ts'

export interface PoolOptions {
  readonly entry: URL
  readonly workers: number
  /** A single inference longer than this means that its worker hangs. */
  readonly stuckAfterMs: number
  readonly onWorked?: (worked: Worked) => void
  readonly now?: () => number
}

export class EnginePool {
  readonly #options: PoolOptions
  readonly #threads: EngineThread[] = []
  #onChange: () => void = () => {}
  #signature: Signature | undefined
  #example: readonly TensorSpec[] | undefined
  #batching: Batching = { maxSize: 1, reason: 'the model is not loaded yet', measured: [] }

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Inputs with sizes that the model is known to run on; undefined when none are. */
  get example(): readonly TensorSpec[] | undefined {
    return this.#example
  }

  /** The signature of the loaded model; undefined before that. */
  get signature(): Signature | undefined {
    return this.#signature
  }

  get batching(): Batching {
    return this.#batching
  }

  get inFlight(): number {
    return this.#threads.reduce((sum, thread) => sum + thread.inFlight, 0)
  }

  get size(): number {
    return this.#threads.length
  }

  /** Sets what to call when a worker becomes free or is lost. */
  onChange(listener: () => void): void {
    this.#onChange = listener
  }

  /**
   * Starts the workers and loads the model in each. One after another: loading in several threads
   * at once has crashed ONNX Runtime (microsoft/onnxruntime#24486).
   * @throws Fault when the model cannot be loaded
   */
  async load(order: Omit<LoadOrder, 'type'>): Promise<LoadedReply> {
    const { entry, workers, now, onWorked } = this.#options
    const events: ThreadEvents = { onChange: () => this.#onChange(), ...(onWorked === undefined ? {} : { onWorked }) }
    let first: LoadedReply | undefined
    for (let index = 0; index < workers; index++) {
      const thread = new EngineThread(entry, events, now)
      this.#threads.push(thread)
      // What the first worker measured holds for all.
      const maxBatch = first?.batching.maxSize ?? order.maxBatch
      // oxlint-disable-next-line no-await-in-loop -- on purpose, see above
      const reply = await thread.load({ ...order, maxBatch })
      first ??= reply
    }
    if (first === undefined) throw new Error('a pool needs at least one worker')
    this.#signature = first.signature
    this.#example = first.example
    this.#batching = first.batching
    return first
  }

  /** Whether some worker can take requests now. */
  get free(): boolean {
    return this.#threads.some((thread) => thread.free)
  }

  /** How many workers can take requests now. */
  get freeCount(): number {
    return this.#threads.reduce((count, thread) => count + (thread.free ? 1 : 0), 0)
  }

  /** Why the pool cannot be trusted any more; undefined while every worker lives and moves. */
  problem(): string | undefined {
    for (const thread of this.#threads) {
      const problem = thread.problem(this.#options.stuckAfterMs)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  /** Gives requests to the least busy worker, which runs together what fits together. Call only while `free`. */
  infer(asks: readonly Ask[]): void {
    let best: EngineThread | undefined
    for (const thread of this.#threads) {
      if (thread.free && (best === undefined || thread.inFlight < best.inFlight)) best = thread
    }
    if (best === undefined) throw new Error('no inference worker is free')
    best.infer(asks)
  }

  /** Ends the workers, which must be idle. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }
}
