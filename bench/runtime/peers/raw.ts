// No server at all: native sessions that run one after another request in threads of their own. The floor.
// Prints one JSON line, the median time of a run and the CPU time of all.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { binding, initOrt } from 'onnxruntime-node/dist/binding.js'
import { models, type ModelName } from '../models.ts'

export interface Raw {
  readonly runs: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  readonly cpuUs: number
}

interface Part {
  readonly file: string
  readonly name: ModelName
  readonly options: object
  readonly forMs: number
}

interface NativeSession {
  loadModel(path: string, options: object): void
  run(feeds: object, fetches: object, options: object): unknown
}

function runFor({ file, name, options, forMs }: Part): Float64Array {
  initOrt()
  const session = new (binding as unknown as { InferenceSession: new () => NativeSession }).InferenceSession()
  session.loadModel(file, { interOpNumThreads: 1, ...options })
  const { requests, outputs } = models[name]()
  const feeds = requests.map((each) =>
    Object.fromEntries(
      each.map(({ name: input, datatype, shape, data }) => [
        input,
        { type: datatype === 'FP32' ? 'float32' : 'int64', data, dims: shape, location: 'cpu' },
      ]),
    ),
  )
  const fetches = Object.fromEntries(outputs.map((output) => [output.name, null]))
  let next = 0
  const run = (): void => void session.run(feeds[next++ % feeds.length] ?? {}, fetches, {})
  const warmUntil = performance.now() + 300
  while (performance.now() < warmUntil) run()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage('warm')
  const times: number[] = []
  const began = performance.now()
  for (let last = began; last - began < forMs;) {
    run()
    const now = performance.now()
    times.push(now - last)
    last = now
  }
  return Float64Array.from(times)
}

if (isMainThread) {
  const [, , file = '', name = '', instances = '1', threads = '1', forMs = '1000'] = process.argv
  const options =
    threads === 'default'
      ? {}
      : { intraOpNumThreads: Number(threads), extra: { session: { intra_op: { allow_spinning: '0' } } } }
  const part: Part = { file, name: name as ModelName, options, forMs: Number(forMs) }
  let cpu: NodeJS.CpuUsage | undefined
  const work = (): Promise<Float64Array> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: part })
      worker.on('message', (message: 'warm' | Float64Array) => {
        if (message === 'warm') cpu ??= process.cpuUsage()
        else resolve(message)
      })
      worker.on('error', reject)
    })
  const each = await Promise.all(Array.from({ length: Number(instances) }, work))
  const used = process.cpuUsage(cpu)
  const sorted = Float64Array.from(each.flatMap((times) => [...times])).toSorted()
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
  const raw: Raw = {
    runs: sorted.length,
    seconds: part.forMs / 1000,
    p50: at(0.5),
    p99: at(0.99),
    cpuUs: used.user + used.system,
  }
  console.log(JSON.stringify(raw))
} else {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort?.postMessage(runFor(workerData as Part))
}
