// npm run soak -- [--json FILE] [--seconds N] [--models N] [--seed N]
// Exit code 1, and a sentence for each reason, when something has grown, too little was done, or the operator ended.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { goal, tableOf } from '../../bench/operator/goals.ts'
import { slopePercentPerHour, soak } from './soak.ts'
import { inWords, judge } from './verdict.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    seconds: { type: 'string', default: '3600' },
    models: { type: 'string', default: '500' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const [began, at] = [performance.now(), new Date().toISOString()]
const report = (line: string): void => {
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${line}\n`)
}
report(`seed ${values.seed}`)
const [seconds, perSecond] = [Number(values.seconds), 20]
const soaked = await soak({
  seconds,
  models: Number(values.models),
  perSecond,
  seed: Number(values.seed),
  report,
})
const { changes, samples } = soaked
// Faults hold changes up half of the time, and what was held up is not caught up with: two cores with nothing else to do
// did 13 of 20. A quarter is what a soak must reach to prove something.
const figures = judge(soaked, { seconds, leastPerSecond: perSecond / 4 })
const goals = [goal('soak_rss_slope_pct_per_h', [slopePercentPerHour(samples)])]
console.log(`${changes} changes in ${seconds} s, each done`)
for (const sample of [samples[1], samples.at(-1)]) {
  console.log(
    `at ${Math.round(sample?.at ?? 0)} s: ${Math.round(sample?.rssMib ?? 0)} MiB, ${JSON.stringify(sample?.resources)}`,
  )
}
console.log(inWords(figures))
console.log(tableOf(goals))
if (values.json !== undefined)
  await writeFile(
    values.json,
    `${JSON.stringify({ bench: 'soak', at, seconds, goals, figures, changes, samples }, null, 2)}\n`,
  )
if (figures.some(({ failure }) => failure !== undefined)) process.exitCode = 1
