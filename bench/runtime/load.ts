// The load client, a process of its own: keep-alive connections with bytes that are ready, in a closed loop or with
// Poisson arrivals. Times of an open loop count from when a request was due, not from when a connection was free, so
// that a server which stalls is seen to stall. It must never take an answer that is not 200 for an answer.
import { connectHttp, type Lane } from './lanes/http.ts'
import { connectGrpc } from './lanes/grpc.ts'
import type { Body } from './requests.ts'

/** What to send, how and for how long. */
export interface Job {
  readonly transport: 'http' | 'grpc'
  readonly port: number
  readonly path: string
  /** What is sent: one after another, then from the start. */
  readonly requests: readonly Body[]
  readonly connections: number
  /** Arrivals a second; undefined for a closed loop. */
  readonly perSecond: number | undefined
  readonly warmMs: number
  readonly forMs: number
  /** Of the arrivals. */
  readonly seed: number
}

export interface Load {
  readonly answers: number
  readonly failures: number
  /** The first failure in words. */
  readonly failure: string | undefined
  readonly seconds: number
  /** In milliseconds; NaN without answers. */
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** Said when the warm-up is over, and when the time is. */
export type Progress = { readonly says: 'measuring' } | { readonly says: 'done'; readonly load: Load }

class Recorder {
  readonly times: number[] = []
  failures = 0
  failure: string | undefined
  recording = false

  async one(lane: Lane, due: number): Promise<void> {
    try {
      await lane.ask()
      if (this.recording) this.times.push(performance.now() - due)
    } catch (error) {
      if (!this.recording) return
      this.failures += 1
      this.failure ??= error instanceof Error ? error.message : String(error)
      // A server that refuses everything at once would otherwise keep this process too busy to stop.
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

async function closedLoop(lanes: readonly Lane[], recorder: Recorder, over: () => boolean): Promise<void> {
  const turn = async (lane: Lane): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- one at a time is what a closed loop is
    while (!over()) await recorder.one(lane, performance.now())
  }
  await Promise.all(lanes.map(turn))
}

async function openLoop(
  lanes: readonly Lane[],
  recorder: Recorder,
  { perSecond, seed }: { readonly perSecond: number; readonly seed: number },
  over: () => boolean,
): Promise<void> {
  const free = [...lanes]
  const due: number[] = []
  let busy = 0
  const serve = (): void => {
    for (;;) {
      const at = due[0]
      const lane = at === undefined ? undefined : free.pop()
      if (at === undefined || lane === undefined) return
      due.shift()
      busy += 1
      void recorder.one(lane, at).then(() => {
        busy -= 1
        free.push(lane)
        return serve()
      })
    }
  }
  const random = randomOf(seed)
  let next = performance.now()
  while (!over()) {
    const now = performance.now()
    while (next <= now) {
      due.push(next)
      next += (-Math.log(1 - random()) * 1000) / perSecond
    }
    serve()
    // Waiting more exactly would keep a core busy that the server needs; the millisecond counts as the server's, for all.
    const pauseMs = Math.max(1, next - performance.now())
    // oxlint-disable-next-line no-await-in-loop -- arrivals come one after another
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  // Who was due and not answered counts with the time that it has waited; else the worst would be left out.
  const patience = performance.now() + 5000
  // oxlint-disable-next-line no-await-in-loop, no-unmodified-loop-condition -- it waits for a state
  while (busy > 0 && performance.now() < patience) await new Promise((resolve) => setTimeout(resolve, 10))
  recorder.times.push(...due.map((at) => performance.now() - at))
}

/** Numbers in [0, 1), the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

async function work(job: Job): Promise<Load> {
  const connect = job.transport === 'grpc' ? connectGrpc : connectHttp
  const lanes = connect(job)
  const recorder = new Recorder()
  const begin = performance.now()
  let started = begin
  let over = false
  const measure = setTimeout(() => {
    recorder.recording = true
    started = performance.now()
    say({ says: 'measuring' })
    setTimeout(() => (over = true), job.forMs)
  }, job.warmMs)
  try {
    const isOver = (): boolean => over
    if (job.perSecond === undefined) await closedLoop(lanes, recorder, isOver)
    else await openLoop(lanes, recorder, { perSecond: job.perSecond, seed: job.seed }, isOver)
  } finally {
    clearTimeout(measure)
    for (const lane of lanes) lane.close()
  }
  const seconds = Math.min(performance.now() - started, job.forMs) / 1000
  const sorted = Float64Array.from(recorder.times).toSorted()
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
  const { failures, failure } = recorder
  return {
    answers: sorted.length,
    failures,
    failure,
    seconds,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: at(1),
  }
}

const say = (progress: Progress): void => void process.send?.(progress)

if (import.meta.main) {
  process.on('message', (job: Job) => {
    void work(job).then((load) => say({ says: 'done', load }))
  })
}
