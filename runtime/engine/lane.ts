/**
 * The short lane: a session of its own in the HTTP thread, for small requests to a model that takes microseconds. The way
 * to a worker and back wakes sleeping threads, which takes longer than such a request, and it costs this thread as much as
 * the request itself.
 *
 * This thread also answers whether the server lives. So the lane takes only what it knows to be short: bodies and inputs
 * about as large as those that were measured, and so many at once as take a moment together. It leaves those in company
 * to the workers while they turn out longer, and closes for good when single runs do.
 */
import type { ModelIdentity } from '../protocols/codec.ts'
import { elementCount, type TensorSpec } from '../tensor.ts'
import { readAsks, runAsks } from './asks.ts'
import type { Engine } from './engine.ts'
import type { AskOrder, Result } from './messages.ts'
import type { Worked } from './thread.ts'

/** A model whose run takes longer goes to workers only, in milliseconds. */
export const laneRunMs = 0.2
/** A model file that is larger takes too long to load here, and too much memory twice, in bytes. */
export const laneModelBytes = 4 * 2 ** 20
/** Loading it here must not keep others waiting longer, in milliseconds. */
export const laneLoadMs = 200

const maxBodyBytes = 16 * 1024
/** How many times as many elements as were measured a request may bring. */
const maxGrowth = 8
/** Requests of one turn of the event loop, and what their runs would take one by one, in milliseconds. */
const maxTogether = 32
const maxTogetherMs = 1
/** What those in company may take: about what it costs this thread to hand them to a worker, in milliseconds. */
const turnMs = 0.1
const shareMs = 0.03
/** So many turns in succession that took longer: one may be a collection of garbage, or a core that others wanted. */
const maxLong = 3
/** After those they are left to the workers for so many turns; twice as many each time that follows. */
const leastRest = 16
const mostRest = 256
/** Of so many requests nothing is concluded: the code that reads and writes them is not compiled yet. */
const coldRequests = 1000
/** A run of this long is too long, in milliseconds of CPU time; a collection of garbage in between may look like one. */
const slowMs = 5
/** So many of them, or one of this long, close the lane. */
const maxSlow = 3
const muchTooSlowMs = 50

/** What the lane judges by, both in milliseconds. */
export interface Clocks {
  readonly now: () => number
  /**
   * CPU time of this thread. A thread that others keep from its core, or that a quota holds back, is not slow: to hand its
   * requests to a worker would take more of what it lacks.
   */
  readonly spent: () => number
}

const clocks: Clocks = {
  now: () => performance.now(),
  spent() {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  },
}

/** What became of requests that were offered. */
export interface LaneTurn {
  /** The answer to each, in their order; undefined for what is one for a worker, which may then have its body. */
  readonly results: readonly (Result | undefined)[]
  /** What was done, for the metrics. */
  readonly worked: readonly Worked[]
}

type Offered = Pick<AskOrder, 'wire' | 'body' | 'waitedMs'>

export class ShortLane {
  readonly #engine: Engine
  readonly #model: ModelIdentity
  readonly #maxBatch: number
  readonly #maxElements: number
  readonly #maxTogether: number
  readonly #clocks: Clocks
  #slow = 0
  #closed: string | undefined
  /** Requests so far, as long as it matters. */
  #warmed = 0
  /** Turns in succession that took too long. */
  #long = 0
  /** Turns in which those in company are still left to the workers. */
  #resting = 0
  #nextRest = leastRest

  /**
   * @param example the inputs that were measured, and how long their run took, in milliseconds
   * @param maxBatch the most rows of a run
   */
  constructor(
    engine: Engine,
    model: ModelIdentity,
    { example, runMs, maxBatch }: { example: readonly TensorSpec[]; runMs: number; maxBatch: number },
    measuredBy: Clocks = clocks,
  ) {
    this.#engine = engine
    this.#model = model
    this.#maxBatch = maxBatch
    this.#maxElements = maxGrowth * example.reduce((sum, { shape }) => sum + elementCount(shape), 0)
    this.#maxTogether = Math.max(1, Math.min(maxTogether, Math.floor(maxTogetherMs / runMs)))
    this.#clocks = measuredBy
  }

  /** Why it takes nothing any more; undefined while it does. */
  get closed(): string | undefined {
    return this.#closed
  }

  /** How many of those that wait it takes in this turn. Ask once a turn: turns of rest are counted here. */
  room(waiting: number): number {
    if (this.#closed !== undefined) return 0
    if (waiting <= 1) return waiting
    if (this.#resting === 0) return Math.min(waiting, this.#maxTogether)
    this.#resting -= 1
    return 0
  }

  /** Whether a request is small enough to be offered. */
  suits({ body }: Pick<Offered, 'body'>): boolean {
    return body.byteLength <= maxBodyBytes
  }

  /** Answers requests here and now, as `room` said and `suits` allows. */
  run(asks: readonly Offered[]): LaneTurn {
    const { now, spent } = this.#clocks
    const started = now()
    const spentBefore = spent()
    const results: (Result | undefined)[] = asks.map(() => undefined)
    const worked: Worked[] = []
    let since = started
    const keep = (those: readonly Result[], retried: boolean): void => {
      for (const result of those) results[result.id] = result
      const at = now()
      const { runMs = 0, batchSize = 0 } = those[0]?.times ?? {}
      worked.push({ workMs: at - since, retried, runMs, batchSize })
      since = at
    }
    const { decoded, refused } = readAsks(
      asks.map(({ wire, body, waitedMs }, id) => ({ id, wire, body: copied(wire, body), waitedMs })),
      this.#model,
      now,
    )
    if (refused.length > 0) keep(refused, false)
    const small = decoded.filter(
      ({ request: { inputs } }) => inputs.reduce((sum, { data }) => sum + data.length, 0) <= this.#maxElements,
    )
    const allowedMs = turnMs + asks.length * shareMs
    for (const { results: those, retried } of runAsks(this.#engine, small, this.#maxBatch, now)) {
      for (const { times } of retried ? those : those.slice(0, 1))
        if (times.runMs >= slowMs) this.#watch(Math.min(times.runMs, spent() - spentBefore))
      keep(those, retried)
      // Who is not run yet is no worse off with a worker.
      if (since - started > allowedMs) break
    }
    if (this.#warmed < coldRequests) this.#warmed += asks.length
    else if (asks.length > 1) this.#judge(since - started <= allowedMs || spent() - spentBefore <= allowedMs)
    return { results, worked }
  }

  dispose(): void {
    this.#closed ??= 'it was closed'
    this.#engine.dispose()
  }

  /** @param runMs CPU time of a run */
  #watch(runMs: number): void {
    if (runMs < slowMs) return
    this.#slow += 1
    if (runMs >= muchTooSlowMs || this.#slow >= maxSlow)
      this.#closed = `a run took ${Math.round(runMs)} ms, too long for the thread that answers everybody`
  }

  /** Those in company are left to the workers for a while when they take longer than the way to one. */
  #judge(wasShort: boolean): void {
    if (wasShort) {
      this.#long = 0
      this.#nextRest = leastRest
      return
    }
    this.#long += 1
    if (this.#long < maxLong) return
    // One more long turn after the rest is enough for the next.
    this.#long = maxLong - 1
    this.#resting = this.#nextRest
    this.#nextRest = Math.min(mostRest, this.#nextRest * 2)
  }
}

/** A gRPC message is taken apart in place, so what a worker may have to read once more is a copy. */
function copied({ codec }: Offered['wire'], body: Offered['body']): Offered['body'] {
  return codec === 'oip-grpc' ? body.slice() : body
}
