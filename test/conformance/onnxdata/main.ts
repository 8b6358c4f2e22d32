// `npm run conformance:onnx`: ONNX's recorded models through every form of request and answer, beside direct runs.
// --sample N takes N of them, drawn by --seed; --verbose names every model that cannot be compared, and why.
// Ends with 1 when anything differs that explained.ts does not know.
import { parseArgs } from 'node:util'
import { seeded } from '../../proxy/random.ts'
import { compareModel, formNames, reasons, type Verdict } from './compare.ts'
import { unlikeRecorded } from './explained.ts'
import { recordedModels } from './files.ts'

const { values } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
})

const all = await recordedModels()
const random = seeded(Number(values.seed))
const drawn = all
  .map((model) => ({ model, at: random() }))
  .toSorted((left, right) => left.at - right.at)
  .slice(0, values.sample === undefined ? all.length : Number(values.sample))

const verdicts: Verdict[] = []
for (const { model } of drawn) {
  verdicts.push(await compareModel(model)) // oxlint-disable-line no-await-in-loop -- one after another
  if (verdicts.length % 100 === 0) process.stderr.write(`${verdicts.length} of ${drawn.length} models\n`)
}

const compared = verdicts.filter((verdict) => verdict.compared)
const without = verdicts.filter((verdict) => !verdict.compared)
const problems = compared.flatMap(({ name, forms, recordedDiffers }) => [
  ...[...forms].flatMap(([form, difference]) => (difference === null ? [] : [`${name}, ${form}: ${difference}`])),
  ...(recordedDiffers === undefined || unlikeRecorded.some(([models]) => models.test(name))
    ? []
    : [`${name}, a direct run: ${recordedDiffers}`]),
])
// Where every model was tried, a row that explains nothing is stale.
for (const [models] of values.sample === undefined ? unlikeRecorded : []) {
  if (!compared.some(({ name, recordedDiffers }) => recordedDiffers !== undefined && models.test(name))) {
    problems.push(`explained.ts: ${models.source} explains nothing`)
  }
}

if (values.verbose) for (const { name, by, words } of without) console.log(`${name}: ${by}: ${words.slice(0, 200)}`)
for (const form of formNames) {
  const equal = compared.filter(({ forms }) => forms.get(form) === null).length
  console.log(`${String(equal).padStart(6)} equal bit for bit  ${form}`)
}
const recordedAlike = compared.filter(({ recordedDiffers }) => recordedDiffers === undefined).length
console.log(`${String(recordedAlike).padStart(6)} as recorded, within tolerance`)
for (const by of new Set(without.map((verdict) => verdict.by))) {
  const count = without.filter((verdict) => verdict.by === by).length
  console.log(`${String(count).padStart(6)} not compared: ${reasons[by]}`)
}
for (const problem of problems) console.log(`DIFFERS ${problem}`)
console.log(`${drawn.length} models, ${compared.length} compared, ${problems.length} differences (seed ${values.seed})`)
process.exitCode = problems.length === 0 ? 0 : 1
