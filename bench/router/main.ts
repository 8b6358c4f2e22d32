// npm run bench:router -- [--json FILE] [--quick] [--only NAME,…] [--long]
// The router on a real node, with real pods and the real Envoy: every goal of the table, by its name. `--only` takes the
// names of measurements: shares, changes, hop, mirror, losses, peers, costs. `--long` keeps the operator down for 10 min.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KUBERNETES_VERSION } from '../../test/cluster/version.ts'
import { envoyVersion } from '../../test/kit/envoy.ts'
import { ascending, machineNow, median, p99, quantile, round } from '../figures.ts'
import { changeWeights, measureHop, type Hop } from './changes.ts'
import { goal, tableOf, type Goal, type GoalName } from './goals.ts'
import { operatorDown, podKill, routerDelete, routerKill, scaleDown, type Loss } from './losses.ts'
import { bend, routerCosts } from './many.ts'
import { brokenShadows, copiesOf, startShadow } from './mirror.ts'
import { cellsInside, countShares, peerShares } from './shares.ts'
import { openWorld } from './world.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})
const { quick } = values
const only = values.only?.split(',')
const began = performance.now()
const report = (line: string): void => {
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${line}\n`)
}

const world = await openWorld(report)
const versions = { node: process.version, kubernetes: KUBERNETES_VERSION, envoy: envoyVersion }
const samples: Record<string, unknown> = {}
const goals: Goal[] = []
/** One measurement: what it found goes into the samples, and a failure of it takes the others nothing. */
const measure = async <T>(
  name: string,
  names: readonly GoalName[],
  work: () => Promise<T>,
  tell: (found: T) => Goal[],
) => {
  const group = name.endsWith('_failed') ? 'losses' : name
  if (only !== undefined && !only.includes(group) && !only.includes(name)) return
  report(name)
  try {
    const found = await work()
    samples[name] = found
    note(tell(found))
  } catch (error) {
    report(`${name}: ${String(error)}`)
    note(names.map((missing) => goal(missing, [], String(error).split('\n')[0])))
  }
}
/** What was found is told and kept at once: a run of minutes may be cut off. */
const note = (found: readonly Goal[]): void => {
  goals.push(...found)
  for (const { name, value, met, reason = '' } of found)
    report(`  ${name}: ${value === null ? '-' : round(value)}${met ? '' : ', not met'} ${reason}`)
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine: machineNow(), versions, quick, goals, samples }, null, 2)}\n`,
    )
}
const lost = (name: GoalName, work: () => Promise<Loss>): Promise<void> =>
  measure(name, [name], work, (loss) => [
    goal(
      name,
      [loss.beyond],
      `${loss.failed} of ${loss.sent} failed${loss.failures[0] ? `: ${loss.failures[0].error}` : ''}`,
    ),
  ])

try {
  const requests = quick ? 4000 : 50_000
  const pairs = quick ? 3 : 5
  await measure(
    'shares',
    ['share_inside_interval'],
    () => countShares(world, requests, report),
    (cells) => {
      const missed = cells.filter(({ inside }) => !inside)
      const words = missed.map(
        (c) => `${c.protocol} at ${c.weight / 10} %: ${c.hits} of ${c.requests}, not ${c.low} to ${c.high}`,
      )
      return [goal('share_inside_interval', [cellsInside(cells)], words.join('; ') || `${requests} requests a cell`)]
    },
  )
  await measure(
    'changes',
    ['weight_changes_failed', 'weight_changes_after_ack', 'ack_p50_ms', 'ack_p99_ms'],
    () => changeWeights(world, quick ? 100 : 1000, report),
    ({ ackMs, summaries }) => {
      const sum = (figure: (s: (typeof summaries)[number]) => number): number =>
        summaries.reduce((n, s) => n + figure(s), 0)
      const quantiles = (share: number): number[] =>
        slices(ackMs, 5).map((part) => quantile(ascending(part), share) ?? NaN)
      return [
        goal(
          'weight_changes_failed',
          [sum((s) => s.failed)],
          `${ackMs.length} changes, ${sum((s) => s.sent)} requests`,
        ),
        goal('weight_changes_after_ack', [sum((s) => s.forbidden)], `${sum((s) => s.checked)} answers looked at`),
        goal('ack_p50_ms', quantiles(0.5)),
        { ...goal('ack_p99_ms', quantiles(0.99)), value: p99(ackMs), met: p99(ackMs) <= 1000 },
      ]
    },
  )
  await measure(
    'hop',
    ['hop_p50_ms'],
    () => measureHop(world, pairs, quick ? 500 : 3000),
    (hops) => hopGoals(hops),
  )
  await measure(
    'peers',
    ['peer_shares'],
    () => peerShares(world, quick ? 2000 : 20_000),
    (shares) => [
      goal(
        'peer_shares',
        shares.map(({ asked, measured }) => Math.abs(measured - asked)),
        `points off by pod counts: ${shares.map(({ asked, pods, measured }) => `${asked} % by ${pods.join('+')} pods ${round(measured, 2)} %`).join(', ')}`,
      ),
      goal('peer_shares', [], "Envoy Gateway's HTTPRoute: npm run gateway:check measures it"),
    ],
  )
  await lost('scale_down_failed', () => scaleDown(world))
  await lost('pod_kill_failed', () => podKill(world))
  await lost('router_delete_failed', () => routerDelete(world))
  await lost('router_kill_failed', () => routerKill(world))
  await lost('operator_down_failed', () => operatorDown(world, values.long ? 600 : quick ? 20 : 120))
  await measure(
    'mirror',
    ['mirror_independent', 'mirror_dead_p99_ratio'],
    async () => {
      await world.whole()
      await startShadow(world)
      return {
        copies: await copiesOf(world, quick ? 4000 : 20_000),
        broken: await brokenShadows(world, pairs, quick ? 1000 : 4000),
      }
    },
    ({ copies, broken }) => [
      goal(
        'mirror_independent',
        [copies.p],
        `${copies.copied} of ${copies.stable} requests of stable copied, and ${copies.ofOthers} of others`,
      ),
      goal(
        'mirror_dead_p99_ratio',
        broken.reduce<readonly number[]>((worst, { ratios }) => (median(ratios) > median(worst) ? ratios : worst), [0]),
        broken.map(({ kind, ratios, failed }) => `${kind} ${round(median(ratios), 2)}, ${failed} failed`).join('; '),
      ),
    ],
  )
  await measure(
    'costs',
    ['agent_rss_mib', 'router_200_models'],
    async () => {
      await world.whole()
      // Where Envoy may follow few files only some fit.
      return routerCosts(world, [1, 6, 11, 100, 200])
    },
    ({ costs, refused }) => {
      const told = costs.map(
        (c) =>
          `${c.models}: agent ${round(c.agentRssMib, 0)} MiB, Envoy ${round(c.envoyRssMib, 0)} MiB, ` +
          `write ${round(median(c.writeMs), 0)} ms, /state ${round(c.stateBytes / 1000, 0)} KB`,
      )
      const bends = [bend(costs, (c) => c.stateBytes), bend(costs, (c) => c.agentRssMib + c.envoyRssMib)]
      const many = goal('router_200_models', bends, [...told, ...(refused === undefined ? [] : [refused])].join('; '))
      return [
        goal('agent_rss_mib', costs.map((c) => c.agentRssMib).slice(0, 1)),
        { ...many, met: many.met && refused === undefined },
      ]
    },
  )
  const machine = machineNow()
  const load = machine.loadAverage.map((average) => round(average, 1)).join(' ')
  console.log(`${machine.cores} × ${machine.cpu}, ${machine.memoryGib} GiB, load ${load}`)
  console.log(`node ${versions.node}, Kubernetes ${versions.kubernetes}, Envoy ${versions.envoy}\n`)
  console.log(tableOf(goals))
} finally {
  await world.close()
}

function hopGoals(hops: readonly Hop[]): Goal[] {
  const names: Readonly<Record<string, GoalName>> = {
    'small 1': 'hop_p50_ms',
    'small 16': 'hop_c16_p50_ms',
    '602 KB 1': 'hop_602kb_p50_ms',
    '602 KB 16': 'hop_602kb_c16_p50_ms',
  }
  return hops.flatMap(({ kind, workers, addedMs, cpuUs }) => {
    const name = names[`${kind} ${workers}`]
    if (name === undefined) return []
    const cpu = workers === 16 ? [goal(kind === 'small' ? 'hop_cpu_us' : 'hop_602kb_cpu_us', cpuUs)] : []
    return [goal(name, addedMs), ...cpu]
  })
}

/** In so many parts of the same length, in order. */
function slices(values: readonly number[], parts: number): (readonly number[])[] {
  const size = Math.ceil(values.length / parts)
  return Array.from({ length: parts }, (_, i) => values.slice(i * size, (i + 1) * size)).filter(
    (part) => part.length > 0,
  )
}
