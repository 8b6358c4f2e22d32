// `npm run fuzz`: a million inputs for the decoders by default, with progress, and a table of what became of them. Ends with
// 1 when a decoder breaks, takes long, never ends, keeps memory, or reads nothing of a form.
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { fuzzDecoders, type FuzzReport } from './decoders.ts'
import { faultsOf, joined, mebibytes } from './verdict.ts'

/** What the thread of the decoders is given. */
interface Task {
  readonly seed: number
  readonly count: number
  /** Where it writes the number of the input that it is at. */
  readonly at: SharedArrayBuffer
}

const slice = 20_000
/** An input that has not ended after so many looks, a second each, never will. */
const looksAtOne = 60

if (isMainThread) main()
else tryAll(workerData as Task)

/** What became of some inputs, and the memory that was still in use after them. */
interface Slice {
  readonly report: FuzzReport
  readonly aliveBytes: number
}

function tryAll({ seed, count, at }: Task): void {
  const numbers = new Int32Array(at)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let done = 0; done < count; done += slice) {
    const begins = (number: number): void => void Atomics.store(numbers, 0, number)
    const report = fuzzDecoders(seed, Math.min(slice, count - done), done, begins)
    // What V8 has not collected yet says nothing: it takes twice as much where nothing presses.
    collect()
    const { heapUsed, external } = process.memoryUsage()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port has none
    parentPort?.postMessage({ report, aliveBytes: heapUsed + external } satisfies Slice)
  }
}

function main(): void {
  const { values } = parseArgs({
    options: { seed: { type: 'string', default: '1' }, count: { type: 'string', default: '1000000' } },
  })
  const seed = Number(values.seed)
  const count = Number(values.count)
  if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(count) || count < 1 || count > 2 ** 31) {
    console.error('usage: npm run fuzz -- [--seed N] [--count N]')
    process.exit(64)
  }
  const at = new SharedArrayBuffer(4)
  const task: Task = { seed, count, at }
  const worker = new Worker(new URL(import.meta.url), { workerData: task })
  let total: FuzzReport | undefined
  let done = 0
  /** Memory after a tenth of the inputs, when everything has been loaded and compiled. */
  let earlyBytes: number | undefined
  let lateBytes = 0
  worker.on('message', ({ report, aliveBytes }: Slice) => {
    total = total === undefined ? report : joined(total, report)
    done = Math.min(done + slice, count)
    if (done >= count / 10) earlyBytes ??= aliveBytes
    lateBytes = aliveBytes
    process.stderr.write(`${done} of ${count} inputs, ${mebibytes(aliveBytes)} MiB in use\n`)
  })
  worker.on('error', (error) => {
    console.error(String(error))
    process.exit(1)
  })
  worker.on('exit', () => {
    if (total === undefined) throw new Error('the decoders ended without a report')
    const grown = lateBytes - (earlyBytes ?? 0)
    print(total)
    const words = `worst ${total.worstMs.toFixed(1)} ms; ${mebibytes(grown)} MiB more in use than after a tenth`
    console.log(`seed ${seed}: ${count} inputs, no crash; ${words}`)
    const faults = faultsOf(total, grown)
    for (const fault of faults) console.error(fault)
    process.exit(faults.length === 0 ? 0 : 1)
  })
  watch(seed, new Int32Array(at))
}

/** Ends the run at an input that never ends: nothing else would say which it was. */
function watch(seed: number, at: Int32Array): void {
  let seen = -1
  let looks = 0
  setInterval(() => {
    const number = Atomics.load(at, 0)
    looks = number === seen ? looks + 1 : 0
    seen = number
    if (looks < looksAtOne) return
    console.error(`seed ${seed}, input ${number}: it never ends`)
    process.exit(1)
  }, 1000)
}

function print({ forms, refused }: FuzzReport): void {
  for (const [form, told] of forms) console.log(`accepted ${told.accepted}, refused ${told.refused}  ${form}`)
  for (const [code, found] of [...refused].toSorted(([, left], [, right]) => right - left)) {
    console.log(`refused  ${found}  ${code}`)
  }
}
