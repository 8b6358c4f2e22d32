// npm run bench:operator -- [--json FILE] [--quick] [--models N] [--fault-seconds N] [--phases start,resync,…] [--with FILE]…
// Thousands of ModelDeployments on a real API server, our operator and its peer in the same run, and a table of goals.
// `--with` takes the goals that this run does not measure from the JSON of an earlier run, or of `npm run soak`.
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { KUBERNETES_VERSION } from '../../test/cluster/version.ts'
import { completed } from '../figures.ts'
import type { Goal } from './goals.ts'
import { followChildren } from './children.ts'
import { phaseNames, phases, type Bench, type PhaseName, type Samples } from './phases.ts'
import { goalsOf, pageOf } from './result.ts'
import { peer, slipway, type Program } from './subject.ts'
import { createWorld } from './world.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    models: { type: 'string' },
    'fault-seconds': { type: 'string' },
    phases: { type: 'string', default: phaseNames.join(',') },
    with: { type: 'string', multiple: true, default: [] },
  },
})
const { quick } = values
const models = Number(values.models ?? (quick ? 500 : 5000))
const faultSeconds = Number(values['fault-seconds'] ?? (quick ? 10 : 600))
const chosen = values.phases.split(',').map((name): PhaseName => {
  const known = phaseNames.find((phase) => phase === name)
  if (known === undefined) throw new Error(`--phases has "${name}"; there are ${phaseNames.join(', ')}`)
  return known
})
const earlier = values.with.flatMap((file) => (JSON.parse(readFileSync(file, 'utf8')) as { goals: Goal[] }).goals)

const began = performance.now()
const report = (line: string): void => {
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${line}\n`)
}

const ours = await slipway()
/** Why there is no peer, where there is none. */
let missing = ''
const theirs = await peer(report).catch((error: unknown): Program | undefined => {
  missing = `the peer could not be built: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
  report(missing)
  return undefined
})

const machine = {
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  memoryGib: Math.round(totalmem() / 2 ** 30),
  loadAverage: loadavg(),
}
const goMod = readFileSync(new URL('peer/go.mod', import.meta.url), 'utf8')
const versions = {
  node: process.version,
  kubernetes: KUBERNETES_VERSION,
  controllerRuntime: /controller-runtime (v\S+)/.exec(goMod)?.[1],
}
const at = new Date().toISOString()
let samples: Samples = {}
const goals = (): Goal[] => completed(goalsOf(samples, missing), earlier)
/** After each phase: a run that is cut off has not been for nothing. */
const save = async (): Promise<void> => {
  if (values.json === undefined) return
  await writeFile(
    values.json,
    `${JSON.stringify({ bench: 'operator', at, quick, machine, versions, models, goals: goals(), samples }, null, 2)}\n`,
  )
}

/** Phases that did not end, and why. */
const failures: string[] = []
const world = await createWorld(models, report)
const children = await followChildren(world)
try {
  const bench: Bench = { ours, theirs, world, children, quick, faultSeconds, report }
  for (const name of phaseNames) {
    if (!chosen.includes(name)) continue
    try {
      samples = { ...samples, [name]: await phases[name](bench) }
      await save()
    } catch (error) {
      // What the others measure is not to be lost with it.
      failures.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`)
      report(`${name} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
} finally {
  await children.close().catch((error: unknown) => failures.push(String(error)))
  await world.close()
}

const load = machine.loadAverage.map((average) => average.toFixed(1)).join(' ')
console.log(`${models} ModelDeployments, ${world.objects} objects of theirs in the caches`)
console.log(`${machine.cores} × ${machine.cpu}, ${machine.memoryGib} GiB, load at the start ${load}`)
console.log(
  `node ${versions.node}, Kubernetes ${versions.kubernetes}, controller-runtime ${versions.controllerRuntime}\n`,
)
console.log(pageOf(goals(), samples))
for (const failure of failures) console.error(`\n${failure}`)
if (failures.length > 0) process.exitCode = 1
