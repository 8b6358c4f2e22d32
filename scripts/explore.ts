// `npm run explore`: the real rollout reducer in every state that it can get into within bounds, and, with --fuzz N, in N
// random lives beyond them, on every core. Prints a table to stdout, progress to stderr, and writes JSON with --json FILE.
import { fork, type ChildProcess } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { transitions } from '../operator/rollout/transitions.ts'
import { searches, type Search } from './explore/searches.ts'
import type { Answer, Fuzzed, Searched, Task } from './explore/worker.ts'

const { values } = parseArgs({
  options: {
    fuzz: { type: 'string', default: '0' },
    seed: { type: 'string' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** Without the searches that are too long for every change. */
    ci: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
    'max-states': { type: 'string', default: '4000000' },
    json: { type: 'string' },
  },
})

const isChosen = ({ name, length }: Search): boolean =>
  (values.only === undefined || name.includes(values.only)) &&
  (!values.quick || length === 'Quick') &&
  (!values.ci || length !== 'Long')

const count = Number(values.fuzz)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
/** Random lives in one task: some seconds, so that processes end at about the same time. */
const portion = values.seed === undefined ? 5000 : Math.max(1, count)

const tasks: Task[] = [
  // The long ones first: what begins last decides when all is over.
  ...searches
    .filter(isChosen)
    .toReversed()
    .map(({ name }): Task => ({ kind: 'search', name, maxStates: Number(values['max-states']) })),
  ...Array.from({ length: Math.ceil(count / portion) }, (_, i): Task => ({
    kind: 'fuzz',
    seed: seed + i,
    count: Math.min(portion, count - i * portion),
  })),
]

const found: Searched[] = []
const fuzzed: Fuzzed[] = []

/** @throws Error when the worker ends, as it does when its task throws; it has printed why */
const done = (worker: ChildProcess, task: Task): Promise<void> =>
  new Promise((resolve, reject) => {
    const lost = (code: number | null, signal: string | null): void =>
      reject(new Error(`the search ended early: ${signal ?? `exit code ${code}`}`))
    const hear = (answer: Answer): void => {
      if (answer.kind === 'progress') {
        process.stderr.write(`\r\u001b[K${answer.text}`)
        return
      }
      worker.off('message', hear)
      worker.off('exit', lost)
      if (answer.kind === 'searched') found.push(answer.found)
      else fuzzed.push(answer.found)
      resolve()
    }
    worker.on('message', hear)
    worker.once('exit', lost)
    worker.send(task)
  })

/** Takes one task after the other until none is left. */
const work = async (): Promise<void> => {
  const worker = fork(new URL('./explore/worker.ts', import.meta.url), { serialization: 'advanced' })
  try {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) await done(worker, task)
  } finally {
    worker.disconnect()
  }
}

const began = performance.now()
await Promise.all(Array.from({ length: Number(values.processes) }, work))
process.stderr.write('\r\u001b[K')

for (const { violations, stuck } of found) {
  for (const { violation, path } of violations)
    console.log(`${violation.invariant}: ${violation.message}\n  ${path.join('\n  ')}`)
  if (stuck.count > 0) console.log(`${stuck.count} states cannot settle; one of them:\n  ${stuck.path.join('\n  ')}`)
}
const lines = found.map(({ name, states, transitions: taken, complete, violations, stuck, seconds }) => ({
  name,
  states,
  transitions: taken,
  complete,
  violations: violations.length,
  stuck: stuck.count,
  seconds,
}))
console.table(lines)
const sum = (of: (line: (typeof lines)[number]) => number): number => lines.reduce((all, line) => all + of(line), 0)
const states = sum((line) => line.states)
const seconds = Math.round((performance.now() - began) / 1000)
console.log(
  `${states.toLocaleString('en')} states, ${sum((line) => line.transitions).toLocaleString('en')} transitions, in ${seconds} s in ${values.processes} processes`,
)
const edges = new Set(found.flatMap((search) => search.edges))
const table = Object.entries(transitions).flatMap(([from, to]) => Object.keys(to).map((place) => `${from} → ${place}`))
console.log(`${table.filter((edge) => edges.has(edge)).length} of the ${table.length} edges of the table were taken`)
const broken = fuzzed.filter(({ report }) => report !== undefined)
for (const { seed: own, count: lives, report = '' } of broken)
  console.log(`Broken; again by --fuzz ${lives} --seed ${own}:\n${report}`)
const lived = fuzzed.reduce((all, each) => all + each.count, 0)
if (count > 0)
  console.log(
    `${lived.toLocaleString('en')} random lives from seed ${seed}: ${broken.length === 0 ? 'nothing broken' : 'broken'}`,
  )

const goal = (name: string, value: number, op: '>=' | '<=', target: number) => ({
  name,
  value,
  low: value,
  high: value,
  op,
  target,
  met: op === '>=' ? value >= target : value <= target,
})
const unfinished = lines.filter(({ complete }) => !complete)
const goals = [
  // Only what was explored to its end counts.
  goal('states', states - unfinished.reduce((all, line) => all + line.states, 0), '>=', 1_000_000),
  goal('violations', sum((line) => line.violations) + broken.length, '<=', 0),
  goal(
    'stuck',
    sum((line) => line.stuck),
    '<=',
    0,
  ),
  goal('fuzz_sequences', lived, '>=', 100_000),
]
if (values.json !== undefined) {
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), memoryBytes: totalmem() }
  const record = { machine, node: process.version, seconds, seed, searches: lines, fuzzed, goals }
  await writeFile(values.json, `${JSON.stringify(record, null, 2)}\n`)
}
if (goals.some(({ name, met }) => (name === 'violations' || name === 'stuck') && !met)) process.exitCode = 1
