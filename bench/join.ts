// node bench/join.ts RUN MORE… : one result out of several runs, on stdout. RUN keeps all that it has measured, with
// its machine; what it has not comes from the first of the others that has: outages and the soak take an hour, and need no
// machine to themselves.
import { readFileSync } from 'node:fs'
import { completed } from './figures.ts'

const [run, ...more] = process.argv.slice(2)
if (run === undefined) {
  console.error('usage: node bench/join.ts RUN.json MORE.json… > JOINED.json')
  process.exit(64)
}
const read = (file: string) =>
  JSON.parse(readFileSync(file, 'utf8')) as {
    readonly goals: readonly { readonly name: string; readonly value: number | null }[]
    readonly samples: object
  }
const first = read(run)
const others = more.map(read)
/** What was not measured has no samples, or an empty list of them. A soak's are one list in time. */
const samplesOf = ({ samples }: { readonly samples: object }): object =>
  Array.isArray(samples)
    ? { soak: samples as unknown }
    : Object.fromEntries(Object.entries(samples).filter(([, found]) => !(Array.isArray(found) && found.length === 0)))
const samples = [first, ...others].map(samplesOf).reduceRight((all, one) => ({ ...all, ...one }), {})
const goals = completed(
  first.goals,
  others.flatMap((other) => other.goals),
)
console.log(JSON.stringify({ ...first, goals, samples }, null, 2))
