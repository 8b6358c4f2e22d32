// The queue of keys to reconcile. One entry a key; a key in work is never handed out again until it is done; a key that
// is added while in work comes once more afterwards; entries of one key merge to the highest priority and soonest time.
import { Registry } from 'prom-client'
import { Backoff } from './backoff.ts'
import { Heap } from './heap.ts'
import { controllerMetrics, type ControllerMetrics } from './metrics.ts'

/** Priorities: higher goes first. What a first list or a resync brings must not hold up what a user just changed. */
export const lowPriority = -100
export const normalPriority = 0

export interface AddOptions {
  readonly priority?: number
  /** Not before so many milliseconds from now. */
  readonly afterMs?: number
}

/** Time as the queue sees it; tests give their own. */
export interface Clock {
  /** Milliseconds of a clock that does not jump. */
  now(): number
  /** Calls back after `ms`. @returns a function that calls it off */
  after(ms: number, callback: () => void): () => void
}

export interface WorkQueueOptions {
  readonly name: string
  readonly registry?: Registry
  readonly backoff?: Backoff
  readonly clock?: Clock
}

export interface Handout {
  readonly key: string
  readonly priority: number
}

interface Entry {
  readonly key: string
  priority: number
  /** When it may be worked on. */
  at: number
  /** ready: may be handed out. waiting: its time has not come. held: its key is in work. */
  place: 'ready' | 'waiting' | 'held' | 'nowhere'
}

export class WorkQueue {
  readonly #entries = new Map<string, Entry>()
  /** By priority, in the order in which they became ready. */
  readonly #ready = new Map<number, Map<string, Entry>>()
  readonly #waiting = new Heap<{ readonly at: number; readonly entry: Entry }>()
  readonly #inWork = new Map<string, number>()
  /** Of those in work, what was not taken at a low priority. */
  readonly #hurried = new Set<string>()
  readonly #takers: ((handout: Handout | undefined) => void)[] = []
  readonly #clock: Clock
  readonly #backoff: Backoff
  readonly #metrics: ControllerMetrics
  readonly #labels: { readonly name: string; readonly controller: string }
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined
  #closed = false

  constructor({ name, registry, backoff, clock }: WorkQueueOptions) {
    this.#clock = clock ?? realClock
    this.#backoff = backoff ?? new Backoff()
    this.#metrics = controllerMetrics(registry ?? new Registry())
    this.#labels = { name, controller: name }
    for (const counter of [this.#metrics.adds, this.#metrics.retries]) counter.inc(this.#labels, 0)
    this.#metrics.probes.add({
      name,
      runningSeconds: () => [...this.#inWork.values()].map((since) => (this.#clock.now() - since) / 1000),
    })
  }

  /** Keys that may be handed out now. */
  get depth(): number {
    return [...this.#ready.values()].reduce((sum, bucket) => sum + bucket.size, 0)
  }

  /** Whether somebody waits for what is in work now: for a change, not for a first look or a resync. */
  get isHurried(): boolean {
    return this.#hurried.size > 0
  }

  /** Whether the key is queued in any way (in work does not count). */
  has(key: string): boolean {
    return this.#entries.has(key)
  }

  add(key: string, { priority = normalPriority, afterMs = 0 }: AddOptions = {}): void {
    if (this.#closed) return
    const at = this.#clock.now() + Math.max(0, afterMs)
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      this.#metrics.adds.inc(this.#labels)
      const added: Entry = { key, priority, at, place: 'nowhere' }
      this.#entries.set(key, added)
      this.#settle(added)
    } else if (priority > entry.priority || at < entry.at) {
      this.#unsettle(entry)
      entry.priority = Math.max(entry.priority, priority)
      entry.at = Math.min(entry.at, at)
      this.#settle(entry)
    }
    this.#serve()
  }

  addAfter(key: string, afterMs: number, options: AddOptions = {}): void {
    this.add(key, { ...options, afterMs })
  }

  /** After a failure: the wait grows with each until `forget`, to at most `mostMs` where given. */
  addRateLimited(key: string, { priority, mostMs }: { priority?: number; mostMs?: number } = {}): void {
    this.#metrics.retries.inc(this.#labels)
    this.add(key, { ...(priority !== undefined && { priority }), afterMs: this.#backoff.next(key, mostMs) })
  }

  /** The key went well: its next failure waits the shortest time. */
  forget(key: string): void {
    this.#backoff.forget(key)
  }

  /** How often the key failed since it last went well. */
  failures(key: string): number {
    return this.#backoff.failures(key)
  }

  /** The next key, when there is one; undefined once the queue is closed. Whoever takes it must call `done`. */
  take(): Promise<Handout | undefined> {
    return new Promise((resolve) => {
      this.#takers.push(resolve)
      this.#serve()
    })
  }

  /** The key is no longer in work. */
  done(key: string): void {
    const since = this.#inWork.get(key)
    if (since === undefined) return
    this.#inWork.delete(key)
    this.#hurried.delete(key)
    this.#metrics.workSeconds.observe(this.#labels, (this.#clock.now() - since) / 1000)
    const entry = this.#entries.get(key)
    if (entry?.place === 'held') this.#settle(entry)
    this.#serve()
  }

  /** Hands out nothing any more and takes nothing in; what is in work goes on. */
  close(): void {
    this.#closed = true
    this.#alarm?.cancel()
    this.#alarm = undefined
    for (const taker of this.#takers.splice(0)) taker(undefined)
  }

  #serve(): void {
    if (this.#closed) {
      for (const taker of this.#takers.splice(0)) taker(undefined)
      return
    }
    while (this.#takers.length > 0) {
      const entry = this.#first()
      if (entry === undefined) return
      this.#unsettle(entry)
      this.#entries.delete(entry.key)
      const now = this.#clock.now()
      this.#inWork.set(entry.key, now)
      if (entry.priority >= normalPriority) this.#hurried.add(entry.key)
      this.#metrics.queueSeconds.observe(this.#labels, (now - entry.at) / 1000)
      this.#takers.shift()?.({ key: entry.key, priority: entry.priority })
    }
  }

  #first(): Entry | undefined {
    let best: number | undefined
    for (const priority of this.#ready.keys()) if (best === undefined || priority > best) best = priority
    return best === undefined ? undefined : this.#ready.get(best)?.values().next().value
  }

  /** Puts an entry where it belongs. */
  #settle(entry: Entry): void {
    if (entry.at > this.#clock.now()) {
      entry.place = 'waiting'
      this.#waiting.push({ at: entry.at, entry })
      this.#setAlarm()
    } else if (this.#inWork.has(entry.key)) {
      entry.place = 'held'
    } else {
      entry.place = 'ready'
      const bucket = this.#ready.get(entry.priority) ?? new Map<string, Entry>()
      bucket.set(entry.key, entry)
      this.#ready.set(entry.priority, bucket)
      this.#metrics.depth.inc({ ...this.#labels, priority: entry.priority })
    }
  }

  /** Takes an entry out of its place. What it leaves in the heap is recognised as stale when its time comes. */
  #unsettle(entry: Entry): void {
    if (entry.place === 'ready') {
      const bucket = this.#ready.get(entry.priority)
      bucket?.delete(entry.key)
      if (bucket?.size === 0) this.#ready.delete(entry.priority)
      this.#metrics.depth.dec({ ...this.#labels, priority: entry.priority })
    }
    entry.place = 'nowhere'
  }

  #setAlarm(): void {
    const next = this.#waiting.peek()
    if (next === undefined || (this.#alarm !== undefined && this.#alarm.at <= next.at)) return
    this.#alarm?.cancel()
    const cancel = this.#clock.after(Math.max(0, next.at - this.#clock.now()), () => {
      this.#alarm = undefined
      this.#wake()
    })
    this.#alarm = { at: next.at, cancel }
  }

  #wake(): void {
    const now = this.#clock.now()
    for (let next = this.#waiting.peek(); next !== undefined && next.at <= now; next = this.#waiting.peek()) {
      this.#waiting.pop()
      if (next.entry.place === 'waiting' && next.entry.at === next.at) this.#settle(next.entry)
    }
    this.#setAlarm()
    this.#serve()
  }
}

/** Node fires timers a little early now and then; a millisecond more saves a second, empty wake-up. */
const realClock: Clock = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(ms + 1, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
}
