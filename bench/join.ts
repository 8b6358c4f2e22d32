// node bench/join.ts RUN MORE… : one result out of several runs, on stdout. RUN keeps all that it has measured, with
// its machine; what it has not comes from the first of the others that has: outages and the soak take an hour, and need no
// machine to themselves. Runs of bench:runtime are joined by whole parts.
import { readFileSync } from 'node:fs'
import { completed } from './figures.ts'
import { joined, type Run } from './runtime/joined.ts'

interface Results {
  readonly bench: string
  readonly goals: readonly { readonly name: string; readonly value: number | null }[]
  readonly samples: object
}

const [run, ...more] = process.argv.slice(2)
if (run === undefined) {
  console.error('usage: node bench/join.ts RUN.json MORE.json… > JOINED.json')
  process.exit(64)
}
const read = (file: string): Results => JSON.parse(readFileSync(file, 'utf8')) as Results
/** What was not measured has no samples, or an empty list of them. A soak's are one list in time. */
const samplesOf = ({ samples }: Results): object =>
  Array.isArray(samples)
    ? { soak: samples as unknown }
    : Object.fromEntries(Object.entries(samples).filter(([, found]) => !(Array.isArray(found) && found.length === 0)))
const first = read(run)
const others = more.map(read)
const older = others.flatMap(({ goals }) => goals)
const together = (): object => ({
  ...first,
  // A run of some parts may list the goals of these alone.
  goals: [
    ...completed(first.goals, older),
    ...older.filter(({ name }) => !first.goals.some((goal) => goal.name === name)),
  ],
  samples: [first, ...others].map(samplesOf).reduceRight((all, one) => ({ ...all, ...one }), {}),
})
const isRuntime = (results: Results): results is Results & Run => results.bench === 'runtime'
const result = isRuntime(first) ? joined(first, others.filter(isRuntime)) : together()
console.log(JSON.stringify(result, null, 2))
