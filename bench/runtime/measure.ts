// One measurement: load on one server for some seconds, and what the server did and used meanwhile.
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Started } from './contenders.ts'
import { connectGet } from './lanes/http.ts'
import type { Job, Load, Progress } from './load.ts'
import type { Model, ModelName } from './models.ts'
import { bodiesOf, type Form } from './requests.ts'
import type { Raw } from './peers/raw.ts'
import { cpuUs, memoryMib } from './processes.ts'

/** One measurement as the JSON has it. Times in milliseconds. */
export interface Sample {
  readonly part: string
  /** Who was measured: a contender, one in another setting such as `slipway single`, or `raw` for sessions without a server. */
  readonly subject: string
  readonly model: ModelName | 'identity'
  readonly form: Form | 'none'
  /** Requests on their way at once; for an open loop the most that may be. For `raw`, the sessions. */
  readonly connections: number
  /** Arrivals a second; absent for a closed loop. */
  readonly perSecond?: number
  /** The share of a capacity that `perSecond` is, and whose. */
  readonly load?: string
  readonly round: number
  readonly answers: number
  readonly failures: number
  readonly failure?: string
  readonly rps: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** CPU time of the server for each answer, in microseconds. */
  readonly cpuUs: number
  readonly memoryMib: number
  /** The longest that the server took to say that it lives. */
  readonly worstLiveMs: number
}

export interface Loading {
  readonly part: string
  readonly subject: string
  readonly round: number
  readonly form: Form
  readonly connections: number
  readonly perSecond?: number
  readonly load?: string
  readonly forMs: number
  /** How long it does not count. */
  readonly warmMs: number
}

/** Of an open loop: so many connections never are what a request waits for, unless the server is beyond its capacity. */
export const openConnections = 128

export async function measure(
  { ports, path, live, pid }: Started,
  { name, model }: { readonly name: ModelName; readonly model: Model },
  { part, subject, round, form, connections, perSecond, load: what, forMs, warmMs }: Loading,
): Promise<Sample> {
  const job: Job = {
    transport: form === 'grpc' ? 'grpc' : 'http',
    port: form === 'grpc' ? ports.grpc : ports.http,
    path,
    requests: bodiesOf(model, form),
    connections,
    perSecond,
    warmMs,
    forMs,
    seed: round + 1,
  }
  let cpuBefore = 0
  let probe: { end(): number } | undefined
  const load = await run(job, () => {
    cpuBefore = cpuUs(pid)
    probe = probing(ports.http, live)
  })
  const worstLiveMs = probe?.end() ?? NaN
  const used = cpuUs(pid) - cpuBefore
  const { answers, failures, failure, seconds, p50, p99, max } = load
  return {
    part,
    subject,
    model: name,
    form,
    connections,
    ...(perSecond === undefined ? {} : { perSecond }),
    ...(what === undefined ? {} : { load: what }),
    round,
    answers,
    failures,
    ...(failure === undefined ? {} : { failure }),
    rps: answers / seconds,
    p50,
    p99,
    max,
    cpuUs: used / Math.max(1, answers),
    memoryMib: memoryMib(pid),
    worstLiveMs,
  }
}

/** Has the load client do a job. @param onMeasuring called when its warm-up is over */
async function run(job: Job, onMeasuring: () => void): Promise<Load> {
  const child = fork(join(import.meta.dirname, 'load.ts'), { serialization: 'advanced' })
  try {
    child.send(job)
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- it says one thing after another
      const [progress] = (await once(child, 'message')) as [Progress]
      if (progress.says === 'done') return progress.load
      onMeasuring()
    }
  } finally {
    child.kill('SIGKILL')
  }
}

const probeMs = 25

/** Asks every so often whether a server lives. A question that is not answered yet counts with its waiting. */
function probing(port: number, path: string): { end(): number } {
  const lane = connectGet(port, path)
  let worst = 0
  let asked: number | undefined
  let over = false
  const count = (due: number): void => void (worst = Math.max(worst, performance.now() - due))
  const timer = setInterval(() => {
    if (asked !== undefined) return
    const due = performance.now()
    asked = due
    const done = (): void => {
      asked = undefined
      if (!over) count(due)
    }
    void lane.ask().then(done, done) // oxlint-disable-line promise/no-callback-in-promise -- it has no argument
  }, probeMs)
  return {
    end() {
      if (asked !== undefined) count(asked)
      over = true
      clearInterval(timer)
      lane.close()
      return worst
    },
  }
}

/** Sessions without a server. @param threads of each session */
export async function measureRaw(
  { file, name }: { readonly file: string; readonly name: ModelName },
  {
    part,
    round,
    sessions,
    threads,
    forMs,
  }: {
    readonly part: string
    readonly round: number
    readonly sessions: number
    readonly threads: number | 'default'
    readonly forMs: number
  },
): Promise<Sample> {
  const program = join(import.meta.dirname, 'peers/raw.ts')
  const values = [file, name, String(sessions), String(threads), String(forMs)]
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...values])
  const { runs, seconds, p50, p99, cpuUs } = JSON.parse(stdout) as Raw
  return {
    part,
    subject: 'raw',
    model: name,
    form: 'none',
    connections: sessions,
    round,
    answers: runs,
    failures: 0,
    rps: runs / seconds,
    p50,
    p99,
    max: NaN,
    cpuUs: cpuUs / runs,
    memoryMib: NaN,
    worstLiveMs: NaN,
  }
}

/** A sample in a line, for whoever watches. */
export const inWords = (sample: Sample): string => {
  const { subject, model, form, connections, perSecond, rps, p50, p99, cpuUs, worstLiveMs, failures, failure } = sample
  const arrivals = perSecond === undefined ? '' : ` at ${Math.round(perSecond)}/s`
  const figures = `${rps.toFixed(0)}/s, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(1)} ms, ${cpuUs.toFixed(0)} µs CPU`
  const failed = failures === 0 ? '' : `, ${failures} FAILED: ${failure}`
  return `${subject} ${model} ${form} c=${connections}${arrivals}: ${figures}, live ${worstLiveMs.toFixed(0)} ms${failed}`
}
