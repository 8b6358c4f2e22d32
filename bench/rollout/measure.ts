// The measurements, each by itself: what is done to a ModelDeployment, and which samples come of it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import type { Pod } from '../../operator/kube/resources.ts'
import { weightOf } from '../../operator/rollout/traffic.ts'
import { installSlipway } from '../../test/kit/install.ts'
import type { StreamSummary } from '../../test/kit/stream.ts'
import { seeded } from '../../test/proxy/random.ts'
import { faultsOf, inWords, leadOn, mend, nodeReady, setLink, spread, strike } from './faults.ts'
import { isHome, isSettledOn, type Scene } from './scene.ts'
import { play, storyNames, type StoryName } from './stories.ts'
import { stretchesOf, wrongStretches, type Change, type Stretch } from './timeline.ts'

type Report = (line: string) => void

/** Routers take a setting over one by one, and the observer's clock is not the client's. */
const graceMs = 5000

export interface ChaosRun {
  readonly seed: number
  readonly story: StoryName
  readonly faults: string
  readonly seconds: number
  /** Why it did not settle where it had to. */
  readonly unsettled?: string
}

export interface Chaos {
  readonly runs: readonly ChaosRun[]
  readonly loads: readonly StreamSummary[]
  readonly wrong: readonly Stretch[]
}

export interface ChaosOptions {
  readonly seed: number
  readonly runs: number
  /** How many of the runs drain a node. */
  readonly drains: number
}

/** A rollout takes some 15 s here; faults fall anywhere into it, or just after. */
const longestWaitMs = 20_000

/** Rollouts under constant load while things go wrong. */
export const chaos = async (scene: Scene, options: ChaosOptions, report: Report): Promise<Chaos> => {
  const streams = [
    await scene.load('chaos-kept', { keepAlive: true }),
    await scene.load('chaos-fresh', { keepAlive: false }),
  ]
  const runs: ChaosRun[] = []
  const every = options.drains === 0 ? Infinity : Math.max(1, Math.floor(options.runs / options.drains))
  for (let index = 0; index < options.runs; index += 1) {
    const seed = options.seed + index
    const random = seeded(seed)
    const story = storyNames[index % storyNames.length] ?? 'up'
    const isDrain = index % every === every - 1
    const { nodes } = scene
    const drained = isDrain ? nodes[Math.floor(random() * nodes.length)] : undefined
    const planned = faultsOf(random, drained, longestWaitMs)
    const began = performance.now()
    const [ending, ...struck] = await Promise.allSettled([
      play(scene, story, random),
      ...planned.map((one) => strike(scene, one, random)),
    ])
    const seconds = Math.round((performance.now() - began) / 100) / 10
    const failed = [ending, ...struck].flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
    const run: ChaosRun = {
      seed,
      story,
      faults: inWords(planned),
      seconds,
      ...(failed.length > 0 && { unsettled: failed.join('\n') }),
    }
    runs.push(run)
    report(
      `run ${index + 1} of ${options.runs}, seed ${seed}: ${story}, ${run.faults}: ${run.unsettled ?? `settled after ${seconds} s`}`,
    )
    await mend(scene, planned)
  }
  const logs = await Promise.all(streams.map((stream) => stream.changes()))
  const loads = await Promise.all(streams.map((stream) => stream.stop()))
  const end = Date.now()
  const stretches = logs.flatMap((log) => stretchesOf(changesIn(log), end))
  return { runs, loads, wrong: wrongStretches(stretches, scene.timeline, scene.versions, graceMs) }
}

const changesIn = (log: string): Change[] =>
  log
    .split('\n')
    .filter((line) => line.startsWith('{"at"'))
    .map((line) => JSON.parse(line) as Change)

export interface NodeLoss {
  readonly seed: number
  /** From the cut until the last request that failed was sent, in seconds; 0 when none failed. */
  readonly recoveredSeconds: number
  readonly failed: number
  /** When the first hundred were sent, in seconds after the cut, and how they failed. */
  readonly failures: readonly {
    readonly afterSeconds: number
    readonly error: string
    readonly onUsedConnection: boolean
  }[]
  readonly sent: number
  /** Whether the operator that led ran on the node that was cut off; the other replica is on the node that stays. */
  readonly withLeader: boolean
  readonly settledSeconds: number
  readonly unsettled?: string
}

/** A client gives a request up after this time: what hangs on a lost node is lost. */
const clientTimeoutMs = 2000

/**
 * The second node is cut off at a random moment of a rollout; the users are on the first.
 * @param withLeader whether the operator that leads is lost with it
 */
export const nodeLoss = async (scene: Scene, seed: number, version: string, withLeader: boolean): Promise<NodeLoss> => {
  const random = seeded(seed)
  const [home = '', node = ''] = scene.nodes
  await leadOn(scene, withLeader ? node : home)
  // Nothing moves back by itself to a node that was away.
  await spread(scene, 'app.kubernetes.io/name=slipway-router', node)
  const { status } = await scene.until('it serves', (object) => object.status?.stable !== undefined)
  await spread(scene, `slipway.dev/revision=${status?.stable?.revision ?? ''}`, node)
  const streams = [
    await scene.load(`loss-${seed}-kept`, { keepAlive: true, timeoutMs: clientTimeoutMs }),
    await scene.load(`loss-${seed}-fresh`, { keepAlive: false, timeoutMs: clientTimeoutMs }),
  ]
  const before = await Promise.all(streams.map((stream) => stream.changes()))
  if (before.some((log) => log === '')) await sleep(1000)
  await scene.apply(version)
  await sleep(Math.round(random() * 10_000))
  const cutAt = Date.now()
  await setLink(scene, node, 'down')
  let unsettled: string | undefined
  try {
    await scene
      .until(`${version} is rolled out though ${node} is lost`, isSettledOn(version))
      .catch((error: unknown) => {
        unsettled = String(error)
      })
    const settledSeconds = (Date.now() - cutAt) / 1000
    // What is going to fail has failed by then: the node's pods are given up after some 25 s.
    await sleep(Math.max(0, cutAt + 45_000 - Date.now()))
    const loads = await Promise.all(streams.map((stream) => stream.stop()))
    const last = loads.flatMap(({ lastFailure }) =>
      lastFailure === undefined ? [] : [Date.parse(lastFailure.at) - lastFailure.tookMs],
    )
    return {
      seed,
      recoveredSeconds: last.length === 0 ? 0 : Math.max(0, Math.max(...last) - cutAt) / 1000,
      failed: loads.reduce((sum, { failed }) => sum + failed, 0),
      failures: loads
        .flatMap(({ failures }) => failures)
        .map(({ at, tookMs, error = 'answered with an error', onUsedConnection = false }) => ({
          afterSeconds: (Date.parse(at) - tookMs - cutAt) / 1000,
          error,
          onUsedConnection,
        }))
        .toSorted((a, b) => a.afterSeconds - b.afterSeconds),
      sent: loads.reduce((sum, { sent }) => sum + sent, 0),
      withLeader,
      settledSeconds,
      ...(unsettled !== undefined && { unsettled }),
    }
  } finally {
    await setLink(scene, node, 'up')
    await nodeReady(scene, node)
    await mend(scene, [])
    await scene
      .until(`${version} is rolled out with ${node} back`, isSettledOn(version), 120_000)
      .catch(() => undefined)
  }
}

export interface Promotion {
  /** Pods of the candidate that were there at its last step and were not, or had started anew, once it was promoted. */
  readonly restarts: number
  /** Seconds from the command until every router sends everything back, at a canary step. */
  readonly rollbackAckSeconds: number
  /** Seconds from the command until every router sends everything to the warm previous revision. */
  readonly fastRollbackSeconds: number
}

/** One version is aborted at a step; the next is promoted, looked at, and taken back to the warm one before it. */
export const promotion = async (
  scene: Scene,
  [aborted, promoted, next]: readonly [string, string, string],
  weight: number,
): Promise<Promotion> => {
  const steps = [{ weight, minDuration: '1s', gate: 'Manual' as const }]
  const stable = (await scene.until('it serves', ({ status }) => status?.stable !== undefined)).status?.stable
  const home = stable?.revision ?? ''
  const at = await gateOf(scene, aborted, steps)
  const abortedAt = performance.now()
  await scene.command('abort', at)
  await scene.until(`${aborted} has no user left`, (object) => isHome(object, home))
  const rollbackAckSeconds = (performance.now() - abortedAt) / 1000
  await scene.until(`${aborted} is gone`, ({ status }) => status?.candidate === undefined)

  const candidate = await gateOf(scene, promoted, steps)
  const before = await scene.pods(`slipway.dev/revision=${candidate}`)
  await scene.command('promote', candidate)
  await scene.until(`${promoted} is rolled out`, isSettledOn(promoted))
  const restarts = restartsBetween(before, await scene.pods(`slipway.dev/revision=${candidate}`))

  await scene.apply(next, { steps: [{ weight: 50, minDuration: '1s' }] })
  const there = await scene.until(`${next} is rolled out`, isSettledOn(next))
  const backAt = performance.now()
  await scene.command('rollback', there.status?.stable?.revision ?? '')
  await scene.until(`${promoted} has all users again`, (object) => isHome(object, candidate))
  const fastRollbackSeconds = (performance.now() - backAt) / 1000
  await scene.until(`${promoted} is stable again`, isSettledOn(promoted))
  return { restarts, rollbackAckSeconds, fastRollbackSeconds }
}

const gateOf = async (scene: Scene, version: string, steps: object): Promise<string> => {
  await scene.apply(version, { steps: steps as never })
  const { status } = await scene.until(`${version} waits at its gate`, (object: ModelDeployment) => {
    const { candidate, traffic } = object.status ?? {}
    return candidate?.version === version && candidate.substep === 'Gate' && weightOf(traffic, candidate.revision) > 0
  })
  return status?.candidate?.revision ?? ''
}

/** Pods of before that are gone, and containers that have started again since. */
export const restartsBetween = (before: readonly Pod[], after: readonly Pod[]): number =>
  before.reduce((sum, pod) => {
    const now = after.find(({ metadata }) => metadata.uid === pod.metadata.uid)
    return sum + (now === undefined ? 1 : startsOf(now) - startsOf(pod))
  }, 0)

const startsOf = ({ status }: Pod): number =>
  (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0)

/** The chart is installed again with other defaults, and the pods of stable are compared. */
export const upgrade = async (scene: Scene): Promise<number> => {
  const { world } = scene
  const { status } = await scene.until('it serves', (object) => object.status?.stable !== undefined)
  // Stable's alone: the version before it goes when its time is over, whoever looks after it.
  const selector = `slipway.dev/revision=${status?.stable?.revision ?? ''}`
  const before = await scene.pods(selector)
  // Another runtime, another size of routers, another log level: what a release may change.
  const images = { ...world.images, runtime: `${world.images.runtime.split('@')[0]}@sha256:${'0'.repeat(64)}` }
  try {
    await installSlipway(world.shell, images, ['logLevel=debug', 'router.agent.resources.requests.cpu=15m'])
    // The new operator has looked at everything once, and would have acted by now.
    await sleep(20_000)
    await scene.routersReady()
    return restartsBetween(before, await scene.pods(selector))
  } finally {
    await installSlipway(world.shell, world.images)
  }
}
