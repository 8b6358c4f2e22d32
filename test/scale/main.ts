// npm run soak -- [--json FILE] [--seconds N] [--models N] [--seed N]
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { goal, tableOf } from '../../bench/operator/goals.ts'
import { slopePercentPerHour, soak } from './soak.ts'

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
const { changes, samples, ended } = await soak({
  seconds: Number(values.seconds),
  models: Number(values.models),
  perSecond: 20,
  seed: Number(values.seed),
  report,
})
const goals = [goal('soak_rss_slope_pct_per_h', [slopePercentPerHour(samples)])]
console.log(
  `${changes} changes in ${values.seconds} s, each done; the operator ${ended === undefined ? 'ran on' : `ended: ${ended}`}`,
)
for (const sample of [samples[1], samples.at(-1)]) {
  console.log(
    `at ${Math.round(sample?.at ?? 0)} s: ${Math.round(sample?.rssMib ?? 0)} MiB, ${JSON.stringify(sample?.resources)}`,
  )
}
console.log(tableOf(goals))
if (values.json !== undefined)
  await writeFile(
    values.json,
    `${JSON.stringify({ bench: 'soak', at, seconds: Number(values.seconds), goals, changes, samples }, null, 2)}\n`,
  )
if (ended !== undefined) process.exitCode = 1
