// npm run bench:operator -- [--json FILE] [--quick] [--models N] [--fault-seconds N]
// Thousands of ModelDeployments on a real API server, our operator and its peer in the same run, and a table of goals.
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { KUBERNETES_VERSION } from '../../test/cluster/version.ts'
import { goal, p99, quantile, tableOf, type Goal } from './goals.ts'
import {
  changesDuringRestart,
  churn,
  coldStart,
  failover,
  faultRecovery,
  followChildren,
  resyncs,
  type ColdStart,
} from './measure.ts'
import { peer, slipway, start, type Program } from './subject.ts'
import { createWorld } from './world.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    models: { type: 'string' },
    'fault-seconds': { type: 'string' },
  },
})
const { quick } = values
const models = Number(values.models ?? (quick ? 500 : 5000))
const faultSeconds = Number(values['fault-seconds'] ?? (quick ? 10 : 600))
const pairs = quick ? 2 : 5
const settleMs = quick ? 2000 : 10_000

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

const world = await createWorld(models, report)
try {
  report('our operator goes over them once: what it would say otherwise than the first model says, it says now')
  await coldStart(ours, world, 0)

  const [own, others]: [ColdStart[], ColdStart[]] = [[], []]
  for (let pair = 1; pair <= pairs; pair += 1) {
    report(`cold start ${pair} of ${pairs}`)
    own.push(await coldStart(ours, world, settleMs))
    if (theirs !== undefined) others.push(await coldStart(theirs, world, settleMs))
  }
  report('ten resyncs with nothing to do')
  const quiet = await resyncs(ours, world, quick ? 3 : 10)
  const quietPeer = theirs && (await resyncs(theirs, world, quick ? 1 : 3))

  const children = await followChildren(world)
  report('changes at 20 a second')
  const changes: Record<string, number[]> = {}
  for (const program of [ours, ...(theirs ? [theirs] : [])]) {
    const subject = await start(program, {
      kubeconfig: world.plane.kubeconfig,
      namespace: world.namespace,
      resyncSeconds: 600,
    })
    try {
      await subject.leading()
      await subject.reconciled(models)
      changes[program.name] = await churn(world, children, 20, quick ? 5 : 30)
    } finally {
      await subject.stop()
    }
  }
  report('changes during a restart')
  const duringRestart = await changesDuringRestart(ours, world, children)
  report('failover')
  const clean: number[] = []
  for (let n = 0; n < (quick ? 1 : 3); n += 1) clean.push(await failover(ours, world, 'SIGTERM'))
  const killed = [await failover(ours, world, 'SIGKILL')]
  report(`recovery after ${faultSeconds} s of 429, of 500, and of half-open connections`)
  const recovery = await faultRecovery(ours, world, children, faultSeconds)
  await children.close()

  const of = <T>(samples: readonly T[], value: (sample: T) => number): number[] => samples.map(value)
  const ratios = (value: (sample: ColdStart) => number): number[] =>
    others.map((other, index) => value(own[index] ?? other) / value(other))
  const goals: Goal[] = [
    goal(
      'cold_start_to_synced_s',
      of(own, (s) => s.coldStartSeconds),
    ),
    goal(
      'synced_to_reconciled_s',
      of(own, (s) => s.reconciledSeconds),
    ),
    goal(
      'rss_steady_mib',
      of(own, (s) => s.rssMib),
    ),
    goal(
      'rss_peak_mib',
      of(own, (s) => s.peakMib),
    ),
    goal(
      'rss_vs_go',
      ratios((s) => s.rssMib),
      missing,
    ),
    goal(
      'cold_start_vs_go',
      ratios((s) => s.coldStartSeconds),
      missing,
    ),
    goal('noop_reconcile_cpu_us', [quiet.cpuMicros]),
    goal('change_to_applied_p99_ms', [p99(changes['slipway'] ?? [])]),
    goal('user_change_during_restart_p99_ms', [p99(duringRestart)]),
    goal(
      'loop_lag_p99_ms',
      of(own, (s) => s.lagP99Ms),
    ),
    goal(
      'loop_lag_max_ms',
      of(own, (s) => s.lagMaxMs),
    ),
    goal('failover_clean_s', clean),
    goal('failover_kill_s', killed),
    goal('fault_recovery_s', Object.values(recovery).length === 0 ? [] : [Math.max(...Object.values(recovery))]),
    goal('writes_after_convergence', [quiet.writes]),
    goal('soak_rss_slope_pct_per_h', [], 'measured by npm run soak'),
  ]
  const median = (samples: readonly number[]): number =>
    quantile(
      samples.toSorted((a, b) => a - b),
      0.5,
    ) ?? NaN
  const round = (value: number): number => Math.round(value * 100) / 100
  const sideBySide = (['coldStartSeconds', 'reconciledSeconds', 'rssMib', 'peakMib'] as const).map((field) => {
    const [a, b] = [median(of(own, (s) => s[field])), median(of(others, (s) => s[field]))]
    return `${field.padEnd(20)} ours ${String(round(a)).padEnd(10)} peer ${String(round(b)).padEnd(10)} ratio ${round(a / b)}`
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
  console.log(
    `${models} ModelDeployments; ${machine.cores} × ${machine.cpu}, ${machine.memoryGib} GiB, load ${machine.loadAverage.map(round).join(' ')}`,
  )
  console.log(
    `node ${versions.node}, Kubernetes ${versions.kubernetes}, controller-runtime ${versions.controllerRuntime}\n`,
  )
  console.log(`${tableOf(goals)}\n\n${sideBySide.join('\n')}`)
  console.log(
    `change to applied, p99: ours ${round(p99(changes['slipway'] ?? []))} ms, peer ${round(p99(changes['peer'] ?? []))} ms`,
  )
  console.log(`no-op reconcile: ours ${round(quiet.cpuMicros)} µs, peer ${round(quietPeer?.cpuMicros ?? NaN)} µs`)
  console.log(
    `recovery: ${Object.entries(recovery)
      .map(([name, s]) => `${name} ${round(s)} s`)
      .join(', ')} after ${faultSeconds} s`,
  )
  if (values.json !== undefined) {
    const samples = {
      slipway: own,
      peer: others,
      quiet,
      quietPeer,
      changes,
      duringRestart,
      clean,
      killed,
      recovery,
      faultSeconds,
    }
    await writeFile(values.json, `${JSON.stringify({ machine, versions, models, goals, samples }, null, 2)}\n`)
  }
} finally {
  await world.close()
}
