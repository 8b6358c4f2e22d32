// `npm run conformance:triton`: the same requests, good and bad, to the real Triton and to our runtime, over REST and
// gRPC. The first run fetches Triton from PyPI (448 MB). --write writes docs/triton.md. Ends with 1 when a difference is
// not in deviations.ts, when a row there explains none, or when the page is not current.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'
import { addModel, allTypesModel, identityModel } from '../../fixtures/onnx.ts'
import { stageRuntime } from '../../fixtures/program.ts'
import { startServer } from '../../fixtures/runtime.ts'
import { ask, closeClients, type Outcome } from './ask.ts'
import { datatypesOfM, goodCases, oddCases, questions, type Case, type ModelName } from './cases.ts'
import { deviations } from './deviations.ts'
import { page, type Difference } from './report.ts'
import { startTriton, type Side, type Triton } from './server.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '40' },
    write: { type: 'boolean', default: false },
  },
})

const files = { m: allTypesModel(['BFLOAT16', 'FLOAT16']), half: identityModel('FLOAT16'), add: addModel() }
const floats = (name: string): Side => ({ name, type: 'TYPE_FP32', dims: [-1, 4] })
const halves = (name: string): Side => ({ name, type: 'TYPE_FP16', dims: [-1] })
const all = (side: string): Side[] =>
  datatypesOfM.map(([onnx, datatype]) => ({
    name: `${side}_${onnx}`,
    type: datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`,
    dims: [-1],
  }))
const launch = (): Promise<Triton> =>
  startTriton([
    { name: 'm', file: files.m, inputs: all('in'), outputs: all('out') },
    { name: 'half', file: files.half, inputs: [halves('x')], outputs: [halves('y')] },
    { name: 'add', file: files.add, inputs: [floats('a'), floats('b')], outputs: [floats('sum')] },
  ])

await stageRuntime()
const names = Object.keys(files) as ModelName[]
const servers = await Promise.all(
  names.map((name) => startServer(files[name], { SLIPWAY_MODEL_NAME: name, SLIPWAY_MODEL_VERSION: '1' })),
)
let triton: Triton | undefined
const cases = [...questions(), ...oddCases(), ...goodCases(Number(values.seed), Number(values.count))]
const differences: Difference[] = []
const wrong: string[] = []
try {
  for (const server of servers) await server.ready() // oxlint-disable-line no-await-in-loop -- all start at once
  triton = await launch()
  for (const [done, one] of cases.entries()) {
    const server = servers[names.indexOf(one.model)]
    if (server === undefined) throw new Error(`nobody serves ${one.model}`)
    // oxlint-disable no-await-in-loop -- one after another, so that the end of a server has one cause
    const ours = await ask(server, one)
    const theirs = await ask(triton, one)
    if (theirs.status === 'none') {
      await sleep(2000)
      await triton.stop()
      triton = await launch()
    }
    // oxlint-enable no-await-in-loop
    if (!right(one, ours)) wrong.push(`${one.name}: our answer is not what was sent: ${say(ours)}`)
    if (!alike(ours, theirs)) differences.push({ name: one.name, ours, triton: theirs })
    if (done % 100 === 99) process.stderr.write(`${done + 1} of ${cases.length} requests\n`)
  }
} finally {
  closeClients()
  await Promise.all([triton?.stop(), ...servers.map((server) => server.stop())])
}

const explained = deviations.map((deviation) => ({
  deviation,
  differences: differences.filter(({ name, ours, triton: theirs }) => deviation.explains(name, ours, theirs)),
}))
const known = new Set(explained.flatMap((row) => row.differences))
const unexplained = differences.filter((difference) => !known.has(difference))
const problems = [
  ...wrong,
  ...unexplained.map(({ name, ours, triton: theirs }) => `${name}\n  ours   ${say(ours)}\n  Triton ${say(theirs)}`),
]
for (const { deviation, differences: found } of explained) {
  if (found.length === 0) problems.push(`deviations.ts: "${deviation.when}" explains nothing`)
}

const file = join(import.meta.dirname, '../../../docs/triton.md')
const text = await format(page(cases.length, explained), { ...(await resolveConfig(file)), parser: 'markdown' })
if (values.write) writeFileSync(file, text)
else if (readFileSync(file, 'utf8') !== text) problems.push('docs/triton.md is not current: run this with --write')

for (const { deviation, differences: found } of explained)
  console.log(`${String(found.length).padStart(5)}  ${deviation.when}`)
for (const problem of problems) console.log(`PROBLEM ${problem}`)
console.log(
  `${cases.length} requests, ${differences.length} deviations, ${problems.length} problems (seed ${values.seed})`,
)
process.exitCode = problems.length === 0 ? 0 : 1

/** Alike enough: the kind of outcome, and the tensors. */
function alike(ours: Outcome, theirs: Outcome): boolean {
  return ours.like === theirs.like && isDeepStrictEqual(ours.tensors, theirs.tensors)
}

/** Whether our tensors, if there are any, are those that were sent. */
function right({ reads }: Case, { tensors }: Outcome): boolean {
  if (reads === undefined || tensors === undefined) return true
  const expected = reads.expected.toSorted((one, other) => one.name.localeCompare(other.name))
  return isDeepStrictEqual(tensors, expected)
}

function say({ status, words, tensors }: Outcome): string {
  return `${status} ${tensors === undefined ? words.slice(0, 200) : JSON.stringify(tensors).slice(0, 500)}`
}
