// npm run bench:runtime -- [--json FILE] [--peers a,b] [--parts a,b] [--quick]
// Our runtime and the servers that people use instead, side by side in one run on the same model files; a table of goals.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheDir } from '../../test/cluster/cache.ts'
import { stageRuntime } from '../../test/fixtures/program.ts'
import { columns, machineNow, median, round } from '../figures.ts'
import { contenderNames, contenders } from './contenders.ts'
import { goalsOf, tableOf } from './goals.ts'
import { grpcSamples } from './grpc.ts'
import type { Sample } from './measure.ts'
import { soakSamples } from './soak.ts'
import { parts, type PartName, type World } from './parts.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    peers: { type: 'string' },
    parts: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const partNames = [...(Object.keys(parts) as PartName[]), 'grpc', 'soak'] as const
const among = <Name extends string>(
  what: string,
  text: string | undefined,
  known: readonly Name[],
): readonly Name[] => {
  const asked = text?.split(',') ?? known
  return asked.map((name) => {
    const found = known.find((each) => each === name)
    if (found === undefined) throw new Error(`--${what} names "${name}"; there are ${known.join(', ')}`)
    return found
  })
}
const peers = among('peers', values.peers, contenderNames)
const chosenParts = among('parts', values.parts, partNames)

const began = performance.now()
const report = (line: string): void => {
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${line}\n`)
}

const world: World = {
  quick: values.quick,
  rounds: values.quick ? 2 : 5,
  chosen: ['slipway', ...peers.filter((name) => name !== 'slipway')],
  folder: join(cacheDir(), 'bench', 'models'),
  report,
  samples: [],
  missing: Object.fromEntries(
    contenderNames
      .filter((name) => name !== 'slipway' && !peers.includes(name))
      .map((name) => [name, 'it was not asked for']),
  ),
}

await stageRuntime()
const machine = machineNow()
/** Parts that are done: what is written, so that a run which is cut short keeps what it has. */
const done: string[] = []
for (const part of chosenParts) {
  /* oxlint-disable no-await-in-loop -- parts would disturb each other */
  if (part === 'grpc') world.samples.push(...(await grpcSamples(world.rounds, values.quick ? 100 : 400, report)))
  else if (part === 'soak') world.samples.push(...(await soakSamples(values.quick ? 60_000 : 1_800_000, report)))
  else await parts[part](world)
  /* oxlint-enable no-await-in-loop */
  done.push(part)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results(), null, 1)}\n`)
}
console.log(`${machine.cores} × ${machine.cpu}, ${machine.memoryGib} GiB, node ${process.version}\n`)
console.log(`${summary(world.samples)}\n`)
console.log(tableOf(goalsOf(world.samples, done, world.missing)))

function results(): object {
  const measured = contenderNames.filter((name) => world.samples.some(({ subject }) => subject.startsWith(name)))
  return {
    bench: 'runtime',
    at: new Date().toISOString(),
    quick: values.quick,
    parts: done,
    machine,
    versions: {
      node: process.version,
      ...Object.fromEntries(measured.map((name) => [name, contenders[name].title])),
    },
    missing: world.missing,
    goals: goalsOf(world.samples, done, world.missing),
    samples: world.samples,
  }
}

/** Medians over the rounds. */
function summary(samples: readonly Sample[]): string {
  const groups = Map.groupBy(samples, (sample) =>
    [sample.part, sample.subject, sample.form, sample.connections, sample.load ?? ''].join('\t'),
  )
  const rows = [...groups].map(([key, group]) => {
    const of = (figure: (sample: Sample) => number, digits = 0): string =>
      String(round(median(group.map(figure)), digits))
    const failures = group.reduce((sum, sample) => sum + sample.failures, 0)
    return [
      ...key.split('\t'),
      of((s) => s.rps),
      of((s) => s.p50, 2),
      of((s) => s.p99, 1),
      of((s) => s.cpuUs),
      of((s) => s.memoryMib),
      of((s) => s.worstLiveMs),
      String(failures),
    ]
  })
  const head = [
    'part',
    'server',
    'form',
    'c',
    'load',
    'answers/s',
    'p50 ms',
    'p99 ms',
    'CPU µs',
    'MiB',
    'live ms',
    'failed',
  ]
  return columns([head, ...rows])
}
