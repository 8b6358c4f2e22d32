/**
 * The inference workers of one model: started one after another, the least busy one gets the next request.
 * It must not queue: what no worker can take now is the scheduler's business.
 */
import { readFile } from 'node:fs/promises'
import { wordsOf } from '../errors.ts'
import type { Signature, TensorSpec } from '../tensor.ts'
import type { Batching, LoadedReply, LoadOrder } from './messages.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { Headroom } from './headroom.ts'
import { laneLoadMs, laneModelBytes, laneRunMs, ShortLane } from './lane.ts'
import { operatorByValue } from './steady.ts'
import { choosePlan, shortRunMs, type MeasuredPlan, type ThreadPlan } from './threads.ts'
import { EngineThread, outcomeOf, type Ask, type ThreadEvents, type Worked } from './thread.ts'

export interface PoolOptions {
  readonly entry: URL
  /** A single inference longer than this means that its worker hangs. */
  readonly stuckAfterMs: number
  readonly onWorked?: (worked: Worked) => void
  /** A worker that had loaded the model died: nobody takes its place. */
  readonly onLost?: (reason: string) => void
  /** Gets the memory of bodies that a worker is done with. */
  readonly onSpent?: (memory: ArrayBuffer) => void
  /** Loads a model in this thread, for the short lane; undefined for none. */
  readonly loadHere?: (file: string, sizeBytes: number, options: EngineOptions) => Promise<Engine>
  readonly now?: () => number
  /** What further workers may take; without it, anything. */
  readonly memory?: Headroom
}

/** What loading found, and which plan was chosen of which. */
export interface PoolLoaded extends LoadedReply {
  readonly plan: ThreadPlan
  /** The plans that were measured; empty when none was. */
  readonly tried: readonly MeasuredPlan[]
  /** Why this plan, for people. */
  readonly why: string
  /** Time that measuring batches and plans took together, the loading of further plans with it, in milliseconds. */
  readonly tuneMs: number
  /** Whether small requests are run in this thread, and why not, for people. */
  readonly lane: string
}

type Chosen = Omit<PoolLoaded, 'lane'>
type PoolOrder = Omit<LoadOrder, 'type' | 'intraOpThreads'>

/** Each plan is measured for so long, in milliseconds. */
const measureMs = 250
/** Batches are measured and plans are tried, with their loading, within so long together, in milliseconds. */
const tuneBudgetMs = 5000

export class EnginePool {
  readonly #options: PoolOptions
  #threads: readonly EngineThread[] = []
  #lane: ShortLane | undefined
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
   * Loads the model under the first plan, tries the others if there are any and it is worth it, and stays with the best.
   * @throws Fault when the model cannot be loaded
   */
  async load(order: PoolOrder, plans: readonly ThreadPlan[]): Promise<PoolLoaded> {
    const chosen = await this.#choose(order, plans)
    return { ...chosen, lane: await this.#openLane(order, chosen) }
  }

  async #openLane(order: PoolOrder, { signature, example, runMs, loadMs, plan, batching }: Chosen): Promise<string> {
    const { loadHere } = this.#options
    if (loadHere === undefined) return 'it is switched off'
    if (order.device !== 'CPU') return 'a GPU computes'
    if (example === undefined || runMs === undefined)
      return 'no invented input suits the model, so its time is not known'
    if (runMs > laneRunMs) return `a run takes more than ${laneRunMs} ms`
    if (order.sizeBytes > laneModelBytes || loadMs > laneLoadMs) return 'loading it twice would take too long'
    const unsteady = operatorByValue(new Uint8Array(await readFile(order.file)))
    if (unsteady !== undefined) return `its time depends on what it is sent: it has ${unsteady}`
    const { device, modelName: name, modelVersion: version } = order
    const engine = await loadHere(order.file, order.sizeBytes, { device, intraOpThreads: plan.intraOpThreads })
    const measured = { example, runMs, maxBatch: batching.maxSize }
    this.#lane = new ShortLane(engine, { name, version, signature }, measured)
    return 'open: small requests are run without a worker'
  }

  async #choose(order: PoolOrder, plans: readonly ThreadPlan[]): Promise<Chosen> {
    const [begin, ...others] = plans
    if (begin === undefined) throw new Error('a pool needs a plan')
    const { memory = new Headroom(undefined) } = this.#options
    const usedBefore = memory.usedBytes
    const first = await this.#start(begin, order)
    // What a worker takes is its runs' memory and a heap of its own too, not only the model.
    const workerBytes = Math.max(0, memory.usedBytes - usedBefore) / begin.workers
    const fits = ({ workers }: ThreadPlan): boolean => memory.fits(workers * workerBytes)
    this.#threads = first.threads
    this.#signature = first.reply.signature
    this.#example = first.reply.example
    this.#batching = first.reply.batching
    const { loadMs, runMs, batching, batchTuneMs } = first.reply
    const now = this.#options.now ?? performance.now.bind(performance)
    const triedFrom = now()
    const tuneMs = (): number => batchTuneMs + now() - triedFrom
    // What the first worker found out about batches holds for all, and a few runs are enough to plan their memory.
    const again = {
      ...order,
      maxBatch: batching.maxSize,
      batchProved: true,
      warmupRequests: Math.min(2, order.warmupRequests),
    }
    const [usual] = others
    const stay = (why: string): Chosen => ({ ...first.reply, plan: begin, tried: [], why, tuneMs: tuneMs() })
    // One after the other, so that both need no memory at once.
    const take = async (plan: ThreadPlan, why: string): Promise<Chosen> => {
      this.#threads = []
      await closeAll(first.threads)
      const { threads } = await this.#start(plan, again)
      this.#threads = threads
      return { ...first.reply, plan, tried: [], why, tuneMs: tuneMs() }
    }
    if (usual === undefined) return stay('only one plan fits')
    if (runMs === undefined) return take(usual, 'no invented input suits the model, so no plan could be measured')
    if (runMs < shortRunMs) return stay(`a run takes less than ${shortRunMs} ms, so other threads would not help`)
    const affordable = withinBudget(others, { loadMs, runMs }, tuneBudgetMs - batchTuneMs)
    if (affordable.length === 0)
      return take(usual, `measuring batches and a plan would take more than ${tuneBudgetMs / 1000} s`)

    if (!fits(usual))
      return take(usual, 'no other plan fits beside it into the memory limit, so none could be measured')

    const tried = [{ plan: begin, threads: first.threads, perSecond: await rate(first.threads) }]
    const failed = others
      .filter((plan) => !affordable.includes(plan))
      .map(({ workers, intraOpThreads }) => `; ${workers}x${intraOpThreads} would have taken too long to try`)
    for (const plan of affordable) {
      if (!fits(plan)) {
        failed.push(`; ${plan.workers}x${plan.intraOpThreads} might not fit into the memory limit`)
        continue
      }
      // oxlint-disable-next-line no-await-in-loop -- plans would disturb each other
      const started = await this.#start(plan, again).catch((error: unknown) => wordsOf(error))
      if (typeof started === 'string') {
        // The model serves under the first plan already: one that cannot be started is no choice, and no reason to give up.
        failed.push(`; ${plan.workers}x${plan.intraOpThreads} could not be started: ${started}`)
        continue
      }
      const { threads } = started
      // oxlint-disable-next-line no-await-in-loop
      tried.push({ plan, threads, perSecond: await rate(threads) })
    }
    const measured = tried.map(({ plan, perSecond }) => ({ ...plan, perSecond }))
    const chosen = tried[measured.indexOf(choosePlan(measured))]
    if (chosen === undefined) throw new Error('the chosen plan is not among those tried')
    this.#threads = chosen.threads
    await closeAll(tried.flatMap(({ threads }) => (threads === chosen.threads ? [] : threads)))
    const why = `it was the fastest, or nearly${failed.join('')}`
    return { ...first.reply, plan: chosen.plan, tried: measured, why, tuneMs: tuneMs() }
  }

  /** One worker after another: loading in several threads at once has crashed ONNX Runtime (microsoft/onnxruntime#24486). */
  async #start(
    { workers, ...engine }: ThreadPlan,
    order: PoolOrder,
  ): Promise<{ readonly threads: EngineThread[]; readonly reply: LoadedReply }> {
    const { entry, now, onWorked, onLost, onSpent } = this.#options
    const events: ThreadEvents = {
      onChange: () => this.#onChange(),
      ...(onWorked === undefined ? {} : { onWorked }),
      ...(onLost === undefined ? {} : { onLost }),
      ...(onSpent === undefined ? {} : { onSpent }),
    }
    const threads: EngineThread[] = []
    let first: LoadedReply | undefined
    try {
      for (let index = 0; index < workers; index++) {
        const thread = new EngineThread(entry, events, now)
        threads.push(thread)
        // oxlint-disable-next-line no-await-in-loop -- on purpose, see above
        const reply = await thread.load({ ...order, ...engine })
        first ??= reply
      }
    } catch (error) {
      await closeAll(threads)
      throw error
    }
    if (first === undefined) throw new Error('a plan needs at least one worker')
    return { threads, reply: first }
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

  /** Gives requests to the least busy worker, which runs together what fits together. */
  infer(asks: readonly Ask[]): void {
    const [first, ...others] = this.#threads
    if (first === undefined) throw new Error('there is no inference worker')
    let best = first
    for (const thread of others) {
      const better = thread.free === best.free ? thread.inFlight < best.inFlight : thread.free
      if (better) best = thread
    }
    best.infer(asks)
  }

  /** Whether requests could be answered in this thread, as `answerHere` does. */
  get hasLane(): boolean {
    return this.#lane !== undefined && this.#lane.closed === undefined
  }

  /** How many of those that wait may be answered in this thread now. Ask once a turn. */
  roomHere(waiting: number): number {
    return this.#lane?.room(waiting) ?? 0
  }

  /** Whether a request is small enough to be answered in this thread. */
  suitsHere(ask: Pick<Ask, 'body'>): boolean {
    return this.#lane?.suits(ask) ?? false
  }

  /** Why the short lane was closed while serving; undefined while it was not. */
  get laneClosed(): string | undefined {
    return this.#lane?.closed
  }

  /** Runs requests in this thread, as many as `roomHere` said. @returns those that turned out to be for a worker */
  answerHere(asks: readonly Ask[]): readonly Ask[] {
    if (this.#lane === undefined) return asks
    const { results, worked } = this.#lane.run(asks)
    // Whoever scales by the workers' use must see this work too.
    for (const each of worked) this.#options.onWorked?.(each)
    return asks.filter(({ settle }, at) => {
      const result = results[at]
      if (result !== undefined) settle(outcomeOf(result))
      return result === undefined
    })
  }

  /** Ends the workers, which must be idle. */
  async close(): Promise<void> {
    this.#lane?.dispose()
    this.#lane = undefined
    await closeAll(this.#threads)
  }
}

/**
 * The plans that can be tried within a time in milliseconds, in their order: one that takes too long must not keep the
 * others from being tried.
 * @param runMs a run of one row on one thread; each worker makes a few before it is measured
 */
function withinBudget(
  plans: readonly ThreadPlan[],
  { loadMs, runMs }: { readonly loadMs: number; readonly runMs: number },
  budgetMs: number,
): readonly ThreadPlan[] {
  let leftMs = budgetMs
  return plans.filter(({ workers }) => {
    const expectedMs = workers * (loadMs + 4 * runMs) + Math.max(measureMs, runMs)
    if (expectedMs > leftMs) return false
    leftMs -= expectedMs
    return true
  })
}

/** Rows a second of all threads at once. */
async function rate(threads: readonly EngineThread[]): Promise<number> {
  const rates = await Promise.all(threads.map((thread) => thread.measure(measureMs)))
  return rates.reduce((sum, perSecond) => sum + perSecond, 0)
}

async function closeAll(threads: readonly EngineThread[]): Promise<void> {
  await Promise.all(threads.map((thread) => thread.close()))
}
