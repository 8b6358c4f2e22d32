// `npm run fuzz`: a million inputs for the decoders by default, with progress, and a table of what became of them.
import { parseArgs } from 'node:util'
import { fuzzDecoders } from './decoders.ts'

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, count: { type: 'string', default: '1000000' } },
})
const seed = Number(values.seed)
const count = Number(values.count)
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(count) || count < 1) {
  console.error('usage: npm run fuzz -- [--seed N] [--count N]')
  process.exit(64)
}

const slice = 20_000
const totals = new Map<string, number>()
let accepted = 0
let worstMs = 0
/** Memory after a tenth of the inputs, when everything has been loaded and compiled. */
let earlyRss = 0
for (let done = 0; done < count; done += slice) {
  const report = fuzzDecoders(seed, Math.min(slice, count - done), done)
  accepted += report.accepted
  worstMs = Math.max(worstMs, report.worstMs)
  for (const [code, found] of report.refused) totals.set(code, (totals.get(code) ?? 0) + found)
  const rss = process.memoryUsage.rss()
  if (earlyRss === 0 && done + slice >= count / 10) earlyRss = rss
  process.stderr.write(`${Math.min(done + slice, count)} of ${count} inputs, ${Math.round(rss / 2 ** 20)} MiB\n`)
}
console.log(`accepted ${accepted}`)
for (const [code, found] of [...totals].toSorted(([, left], [, right]) => right - left)) {
  console.log(`refused  ${found}  ${code}`)
}
const grown = Math.round((process.memoryUsage.rss() - earlyRss) / 2 ** 20)
console.log(
  `seed ${seed}: ${count} inputs, no crash; worst ${worstMs.toFixed(1)} ms; memory ${grown} MiB since a tenth`,
)
