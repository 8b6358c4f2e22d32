// npm run bench:rollout -- [--json FILE] [--quick] [--runs N] [--drains N] [--seed N] [--cluster NAME] [--only chaos,loss,…]
// Rollouts on two real nodes under constant load while things go wrong, and a table of goals. Mode Router, strategy Canary.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { down } from '../../test/cluster/lifecycle.ts'
import { KUBERNETES_VERSION } from '../../test/cluster/version.ts'
import { machineNow, median, p99 } from '../figures.ts'
import { goal, sum, tableOf, worst, type Goal } from './goals.ts'
import { chaos, nodeLoss, promotion, upgrade, type Chaos, type NodeLoss, type Promotion } from './measure.ts'
import { openScene } from './scene.ts'
import { begin } from './stories.ts'

const parts = ['promotion', 'upgrade', 'chaos', 'loss'] as const

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string' },
    drains: { type: 'string' },
    seed: { type: 'string' },
    cluster: { type: 'string' },
    keep: { type: 'boolean', default: false },
    only: { type: 'string', default: parts.join(',') },
  },
})
const { quick } = values
const runs = Number(values.runs ?? (quick ? 10 : 50))
const drains = Number(values.drains ?? Math.max(1, Math.round(runs / 10)))
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const cluster = values.cluster ?? 'rollout'
const wanted = new Set(values.only.split(','))
const repeats = quick ? 2 : 10
const losses = quick ? 1 : 5

const began = performance.now()
const report = (line: string): void => {
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${line}\n`)
}

const scene = await openScene(cluster, report)
const promotions: Promotion[] = []
const upgrades: number[] = []
const lost: NodeLoss[] = []
let chaotic: Chaos | undefined
/** What could not be measured to its end. */
const broken: string[] = []
const measured = async (what: string, work: () => Promise<void>): Promise<void> => {
  await work().catch((error: unknown) => {
    broken.push(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    report(broken.at(-1) ?? '')
  })
}
/** Versions of the measurements that are no stories, apart from theirs. */
let version = 1000
const next = (): string => `r${(version += 1)}`

try {
  report(`seed ${seed}: the first version is rolled out`)
  await begin(scene)
  if (wanted.has('promotion'))
    for (let index = 0; index < repeats; index += 1)
      await measured('promotion', async () => {
        report(`abort at a step, promotion, fast way back: ${index + 1} of ${repeats}`)
        promotions.push(await promotion(scene, [next(), next(), next()], index % 2 === 0 ? 20 : 50))
        report(JSON.stringify(promotions.at(-1)))
      })
  if (wanted.has('upgrade'))
    await measured('upgrade', async () => {
      report('the operator is installed again with other defaults')
      upgrades.push(await upgrade(scene))
    })
  if (wanted.has('chaos'))
    await measured('chaos', async () => {
      chaotic = await chaos(scene, { seed, runs, drains }, report)
      for (const load of chaotic.loads) report(JSON.stringify({ ...load, transitions: load.transitions.length }))
      for (const wrong of chaotic.wrong) report(`wrong: ${JSON.stringify(wrong)}`)
    })
  if (wanted.has('loss'))
    for (let index = 0; index < losses; index += 1)
      await measured('loss', async () => {
        report(`a node is cut off: ${index + 1} of ${losses}`)
        lost.push(await nodeLoss(scene, seed + 100_000 + index, next(), index % 2 === 1))
        report(JSON.stringify(lost.at(-1)))
      })
} finally {
  await scene.close()
  if (!values.keep) await down(cluster, report)
}

const missing = broken.length === 0 ? 'left out by --only' : (broken[0] ?? '').split('\n')[0]
const unsettled = [
  ...(chaotic?.runs.map((run) => (run.unsettled === undefined ? 0 : 1)) ?? []),
  ...lost.map((run) => (run.unsettled === undefined ? 0 : 1)),
]
const of = <T>(samples: readonly T[] | undefined, value: (sample: T) => number): number[] => (samples ?? []).map(value)
const goals: Goal[] = [
  goal(
    'chaos_failed_requests',
    sum,
    of(chaotic?.loads, (load) => load.failed),
    missing,
  ),
  goal('chaos_wrong_revision', sum, chaotic === undefined ? [] : [chaotic.wrong.length], missing),
  goal('chaos_unsettled', sum, chaotic === undefined ? [] : unsettled, missing),
  goal(
    'node_loss_recovered_s',
    worst,
    of(lost, (loss) => loss.recoveredSeconds),
    missing,
  ),
  goal(
    'rollback_ack_p99_s',
    p99,
    of(promotions, (one) => one.rollbackAckSeconds),
    missing,
  ),
  goal(
    'fast_rollback_s',
    median,
    of(promotions, (one) => one.fastRollbackSeconds),
    missing,
  ),
  goal(
    'promotion_restarts',
    sum,
    of(promotions, (one) => one.restarts),
    missing,
  ),
  goal('upgrade_restarts', sum, upgrades, missing),
]
const machine = machineNow()
const versions = { node: process.version, kubernetes: KUBERNETES_VERSION }
const load = machine.loadAverage.map((value) => Math.round(value * 10) / 10).join(' ')
console.log(`seed ${seed}; ${machine.cores} × ${machine.cpu}, ${machine.memoryGib} GiB, load ${load}`)
console.log(`node ${versions.node}, Kubernetes ${versions.kubernetes}, two nodes, mode Router, strategy Canary\n`)
console.log(tableOf(goals))
if (values.json !== undefined) {
  // Thousands of changes between revisions are what was checked, not what was found.
  const chaosFound = chaotic && {
    ...chaotic,
    loads: chaotic.loads.map((load) => ({ ...load, transitions: load.transitions.length })),
  }
  const samples = { promotions, upgrades, chaos: chaosFound, losses: lost, broken }
  await writeFile(
    values.json,
    `${JSON.stringify({ bench: 'rollout', at: new Date().toISOString(), quick, machine, versions, seed, goals, samples }, null, 2)}\n`,
  )
}
if (broken.length > 0) process.exitCode = 1
