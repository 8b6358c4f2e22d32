/**
 * The short lane: a session of its own in the HTTP thread, for lone small requests to a model that takes microseconds.
 * The way to a worker and back wakes two sleeping threads, which takes longer than such a request.
 *
 * This thread also answers whether the server lives. So the lane takes only what it knows to be short: bodies and inputs
 * about as large as those that were measured; and it closes for good when runs turn out longer after all.
 */
import { reportOf } from '../errors.ts'
import type { ModelIdentity } from '../protocols/codec.ts'
import { decode } from '../protocols/codecs.ts'
import { elementCount, type TensorSpec } from '../tensor.ts'
import { noTimes, refuseLate, resultOf } from './answer.ts'
import type { Engine } from './engine.ts'
import type { AskOrder, Result } from './messages.ts'
import { runTogether } from './together.ts'

/** A model whose run takes longer goes to workers only, in milliseconds. */
export const laneRunMs = 0.2
/** A model file that is larger takes too long to load here, and too much memory twice, in bytes. */
export const laneModelBytes = 4 * 2 ** 20
/** Loading it here must not keep others waiting longer, in milliseconds. */
export const laneLoadMs = 200

const maxBodyBytes = 16 * 1024
/** How many times as many elements as were measured a request may bring. */
const maxGrowth = 8
/** A run of this long is too long, in milliseconds; a collection of garbage in between may look like one. */
const slowMs = 5
/** So many of them, or one of this long, close the lane. */
const maxSlow = 3
const muchTooSlowMs = 50

export class ShortLane {
  readonly #engine: Engine
  readonly #model: ModelIdentity
  readonly #maxElements: number
  readonly #now: () => number
  #slow = 0
  #closed: string | undefined

  /** @param example the inputs that were measured */
  constructor(
    engine: Engine,
    model: ModelIdentity,
    example: readonly TensorSpec[],
    now: () => number = () => performance.now(),
  ) {
    this.#engine = engine
    this.#model = model
    this.#maxElements = maxGrowth * example.reduce((sum, { shape }) => sum + elementCount(shape), 0)
    this.#now = now
  }

  /** Why it takes nothing any more; undefined while it does. */
  get closed(): string | undefined {
    return this.#closed
  }

  /** Answers a request here and now; undefined when it is one for a worker, which may then have its body. */
  run(ask: Pick<AskOrder, 'wire' | 'body' | 'waitedMs'>): Result | undefined {
    // A gRPC message is taken apart in place, so a worker could not read it once more.
    const { wire, body } = ask
    if (this.#closed !== undefined || body.byteLength > maxBodyBytes || wire.codec === 'oip-grpc') return undefined
    const started = this.#now()
    try {
      const request = decode(wire, body, this.#model)
      const elements = request.inputs.reduce((sum, { data }) => sum + data.length, 0)
      if (elements > this.#maxElements) return undefined
      refuseLate(ask, request)
      const decodeMs = this.#now() - started
      const [share] = runTogether(this.#engine, [request], this.#now).shares
      if (share === undefined) throw new Error('a run lost its request')
      this.#watch(share.runMs)
      return resultOf(0, request, decodeMs, share)
    } catch (error) {
      return { id: 0, ok: false, fault: reportOf(error), times: { ...noTimes, decodeMs: this.#now() - started } }
    }
  }

  dispose(): void {
    this.#closed ??= 'it was closed'
    this.#engine.dispose()
  }

  #watch(runMs: number): void {
    if (runMs < slowMs) return
    this.#slow += 1
    if (runMs >= muchTooSlowMs || this.#slow >= maxSlow)
      this.#closed = `a run took ${Math.round(runMs)} ms, too long for the thread that answers everybody`
  }
}
