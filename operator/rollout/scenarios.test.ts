// What has hurt users of other rollout tools, and what happens here: the rows of research/rollouts.md section 4 by
// number, each with the issues that it comes from, as far as the reducer alone can show it. The rest needs a cluster:
// 8 (weights in objects of the user: there are none), 12 (which revision an address leads to: the routers'),
// 13 (fields that are ignored: schema rules and notimplemented.ts) and 18's latency.
import { afterEach, describe, expect, test } from '@jest/globals'
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { next } from './next.ts'
import { Player } from './player.ts'
import { judge } from './verdict.ts'
import { nameOf, observe, routerSpec, withSpec, withTarget } from './world.ts'
import { wantedPods } from './wanted.ts'
import { waitsFor } from './words.ts'

let players: Player[] = []
afterEach(() => {
  const broken = players.flatMap((p) => p.violations)
  players = []
  if (broken.length > 0) throw new Error(`broken: ${JSON.stringify(broken)}`)
})

const slow = { weight: 20, minDuration: '10m' } as const

/** Version 1 serves on `replicas` pods through two routers; what is asked for is version 2. */
const updating = (rollout: Partial<ModelDeploymentSpec['rollout']> = {}, replicas = 2): Player => {
  const player = new Player({ first: false, replicas, rollout: { steps: [slow, { weight: 50 }], ...rollout } })
  players.push(player)
  player.world = withTarget(player.world, 2)
  return player
}

const reasons = (p: Player): string[] => p.world.rollout.history?.map((h) => h.reason) ?? []
const ready = (p: Player, version: number, count: number): void => p.play({ do: 'pods', version, ready: count })
const order = (p: Player, op: string, version: number | 'candidate' = 'candidate', id = 1): void =>
  p.play({ do: 'command', op, version, id })
const pullAll = (p: Player): void => [0, 1].forEach((router) => p.play({ do: 'pull', router }))
/** A router still has the setting before. */
const lag = (p: Player, router: number): void => {
  p.world = { ...p.world, routers: p.world.routers.map((r, i) => (i === router ? p.world.lastTraffic : r)) }
}
const promoted = (p: Player, version: number): void => {
  for (let i = 0; i < 80 && p.world.rollout.stable?.hash !== `${version}`; i++)
    p.play({ do: 'rounds', count: 1, lucky: true })
  expect(p.world.rollout.stable?.hash).toBe(`${version}`)
}
const minutes = (p: Player, count: number): void => p.play({ do: 'clock', ms: count * 60_000 })

describe('other tools have done it, this one does not', () => {
  test('1: the old pods stay until every router sends elsewhere (argo #587 #2235 #3586 #3681 #4195 #4347 #4828)', () => {
    const p = updating()
    p.reach('Promoting.Shift')
    // However long one router takes, the old pods stay and nothing is promoted.
    lag(p, 1)
    minutes(p, 20)
    p.look(20)
    expect(p.place).toBe('Promoting.Shift')
    expect(p.world.workloads[1]).toMatchObject({ replicas: 2 })
    expect(p.world.rollout.stable?.revision).toBe(nameOf(1))
    p.play({ do: 'pull', router: 1 })
    p.reach('Idle')
    expect(p.world.rollout.stable?.revision).toBe(nameOf(2))
  })

  test('2: a third version in the middle takes the second to zero, acknowledged, before anything else (argo #4390 #4564 #4612 #1372 #1690)', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.world = withTarget(p.world, 3)
    p.look(10)
    expect(p.place).toBe('Superseding')
    expect([p.weight(1), p.weight(2)]).toEqual([1000, 0])
    expect(p.world.workloads[2]?.replicas).toBeGreaterThan(0)
    expect(p.world.workloads[3]).toBeUndefined()
    pullAll(p)
    p.reach('Canary.Analyse')
    expect(p.weight(3)).toBe(200)
    expect(p.world.workloads[2]).toBeUndefined()
  })

  test('3: a promotion is a pointer: no pod is written, no weight changes (flagger #1898 #1202 #1591 #1932)', () => {
    const p = updating()
    p.reach('Promoting.Analyse')
    const { workloads, rollout } = p.world
    while (p.world.rollout.stable?.revision === nameOf(1)) p.play({ do: 'rounds', count: 1, lucky: true })
    expect(p.world.workloads).toEqual(workloads)
    expect(p.world.rollout.traffic).toEqual(rollout.traffic)
  })

  test('4: an analysis that never ran is no pass (argo #1411 #943 #4479)', () => {
    const p = updating({ onNoTraffic: 'Hold' })
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'missing' })
    minutes(p, 20)
    p.look(10)
    expect(p.place).toBe('Canary.Analyse')
    p.play({ do: 'figures', kind: 'few' })
    p.look(10)
    expect(p.place).toBe('Canary.Analyse')
  })

  test('5: no traffic and no figures neither fail it nor pass it for free (flagger #1633, argo #1905)', () => {
    const quiet = updating()
    quiet.reach('Canary.Analyse')
    quiet.play({ do: 'figures', kind: 'none' })
    minutes(quiet, 11)
    quiet.look(3)
    expect(reasons(quiet)).toContain('NoTraffic')
    expect(quiet.world.rollout.rejected ?? []).toEqual([])

    // The operator was started again and has forgotten the figures: that nobody asked since then is no news.
    const forgetful = updating()
    forgetful.reach('Canary.Analyse')
    forgetful.play({ do: 'figures', kind: 'none' })
    minutes(forgetful, 11)
    const { spec, rollout, now } = forgetful.world
    const seen = observe(forgetful.world, forgetful.mood)
    if (seen.evidence === undefined) throw new Error('nothing was counted')
    const { evidence } = seen
    const since = (ms: number) => ({ ...seen, evidence: { ...evidence, since: ms } })
    expect(next(spec, rollout, since(now - 1000), now).transitions).toEqual([])
    expect(next(spec, rollout, since(now - 600_000), now).transitions).toMatchObject([{ reason: 'NoTraffic' }])

    const blind = updating()
    blind.reach('Canary.Analyse')
    blind.play({ do: 'figures', kind: 'missing' })
    minutes(blind, 60)
    blind.look(5)
    expect([blind.place, blind.weight(2)]).toEqual(['Canary.Analyse', 200])
  })

  test('6: every deadline fires, also the last one, and never while a person holds it (argo #4128 #4319 #3316; flagger #379 #1152)', () => {
    const stuck = updating()
    stuck.reach('Provisioning')
    for (let i = 0; i < 40; i++) {
      stuck.look()
      minutes(stuck, 1)
    }
    expect(stuck.world.rollout.rejected).toMatchObject([{ reason: 'DeadlineExceeded' }])

    const silent = updating({ onInconclusive: 'Hold' })
    silent.reach('Canary.Analyse')
    silent.play({ do: 'figures', kind: 'few' })
    minutes(silent, 5 * 60)
    silent.look()
    pullAll(silent)
    silent.look(2)
    expect(silent.world.rollout.rejected).toMatchObject([{ reason: 'DeadlineExceeded' }])

    const gated = updating({ steps: [{ weight: 20, gate: 'Manual' }] })
    gated.reach('Canary.Gate')
    minutes(gated, 24 * 60)
    gated.look(5)
    expect(gated.place).toBe('Canary.Gate')
  })

  test('7: a mend goes out while stable is broken (argo #995 #1774 #1416; flagger #639)', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    ready(p, 1, 0)
    p.look(2)
    expect(p.weight(2)).toBe(200)
    minutes(p, 2)
    p.look()
    expect(p.weight(2)).toBe(1000)
    expect(reasons(p).at(-1)).toBe('StableUnhealthy')
    const held = updating({ onStableUnhealthy: 'Hold' })
    held.reach('Canary.Analyse')
    ready(held, 1, 0)
    held.look(2)
    minutes(held, 2)
    held.look(3)
    expect(held.weight(2)).toBe(200)
  })

  test('9: no weight before pods are ready, and stable keeps its size (kserve #5983)', () => {
    const p = updating({}, 4)
    p.reach('Provisioning')
    p.look(10)
    expect([p.weight(2), p.world.workloads[1]?.replicas]).toEqual([0, 4])
    p.reach('Promoting.Analyse')
    expect(p.world.workloads[1]?.replicas).toBe(4)
  })

  test('10: an autoscaler that follows the shrinking load of stable does not shrink it (argo #2857 #3849 #4369 #4607 #1415; flagger #634 #1209)', () => {
    const p = updating({}, 4)
    p.reach('Canary.Analyse')
    p.play({ do: 'replicas', count: 1 })
    p.look(5)
    expect(p.world.workloads[1]?.replicas).toBe(4)
    p.play({ do: 'replicas', count: 6 })
    p.look(5)
    expect(p.world.workloads[1]?.replicas).toBe(6)
  })

  test('11: a command is carried out once, whoever reads it how often (argo #4694 #720 #4804 #2117)', () => {
    const p = updating({
      steps: [
        { weight: 20, gate: 'Manual' },
        { weight: 50, gate: 'Manual' },
      ],
    })
    p.reach('Canary.Gate')
    order(p, 'promote', 2, 7)
    p.play({ do: 'plan', controller: 0 })
    p.play({ do: 'plan', controller: 1 })
    p.play({ do: 'perform', controller: 0 })
    p.play({ do: 'perform', controller: 1 })
    p.play({ do: 'rounds', count: 30, lucky: true })
    expect([p.place, p.weight(2)]).toEqual(['Canary.Gate', 500])
    expect(p.world.rollout.lastCommand).toMatchObject({ id: '7', result: 'Done' })
  })

  test('14: where there is no room, the old pods stop first, and only when nobody is sent to them (knative #12971 #12551; progressive-rollout #200 #203 #204)', () => {
    const p = updating({ strategy: 'Recreate' })
    p.reach('Provisioning')
    p.look(3)
    expect(p.world.rollout.traffic?.weights).toEqual([])
    expect(p.world.workloads[1]?.replicas).toBe(2)
    pullAll(p)
    p.look(3)
    expect([p.world.workloads[1]?.replicas, p.world.workloads[2]?.replicas]).toEqual([0, 2])
    p.reach('Idle')
    expect(p.weight(2)).toBe(1000)
    const small = updating({ capacity: 'Borrow' }, 4)
    small.reach('Canary.Analyse')
    expect([small.world.workloads[1]?.replicas, small.world.workloads[2]?.replicas]).toEqual([3, 1])
  })

  test('15: copies of requests are judged before any user is sent to it (kserve #2978 #3085)', () => {
    const p = updating({ shadow: {} })
    p.reach('Shadowing.Analyse')
    expect([p.weight(1), p.weight(2)]).toEqual([1000, 0])
    expect(p.world.rollout.traffic?.mirror?.revision).toBe(nameOf(2))
    p.play({ do: 'shadow', verdict: 'Fail', late: false })
    p.look()
    expect(p.place).toBe('RollingBack')
    expect(p.world.rollout.traffic?.mirror).toBeUndefined()
  })

  test('16: the way back after a promotion is one epoch (argo #574 #2168 #2939; flagger #1800)', () => {
    const p = updating()
    promoted(p, 2)
    expect(p.world.rollout.previous?.revision).toBe(nameOf(1))
    p.world = withTarget(p.world, 1)
    p.look()
    expect([p.place, p.weight(1)]).toEqual(['Promoting.Shift', 1000])
    pullAll(p)
    p.look()
    expect(p.world.rollout.stable?.revision).toBe(nameOf(1))
  })

  test('17: a result of an earlier attempt says nothing about this one (argo #2897 #2929)', () => {
    const p = updating({ golden: { configMap: 'golden' } })
    p.reach('Validating')
    p.play({ do: 'golden', verdict: 'Fail', late: true })
    p.look(3)
    expect(p.place).toBe('Validating')
  })

  test('18: a candidate that fails a hundred times as often does not pass (kayenta #780, spinnaker #6278)', () => {
    const p = updating()
    const spec = routerSpec()
    const seen = observe(p.world, { calls: { 1: [100_000, 100], 2: [1000, 100] } })
    expect(judge(spec, seen, p.world.rollout.traffic, nameOf(2)).kind).toBe('Fail')
  })

  test('19: a pause or a gate keeps nothing from being taken back, and a person can abort (flagger #1801 #1432 #1248 #724)', () => {
    for (const place of ['Canary.Analyse', 'Canary.Gate']) {
      const p = updating({ steps: [{ weight: 20, gate: 'Manual' }] })
      p.reach(place)
      p.world = withSpec(p.world, { paused: true })
      p.play({ do: 'figures', kind: 'bad' })
      p.look()
      expect([p.place, p.weight(2)]).toEqual(['RollingBack', 0])
    }
    const aborted = updating()
    aborted.reach('Canary.Shift')
    order(aborted, 'abort')
    aborted.look()
    expect(aborted.world.rollout.candidate?.outcome).toMatchObject({ reason: 'Aborted', class: 'User', by: 'kate' })
  })

  test('20: whatever happens is in the history, with the epoch and who asked (flagger #1663 #1816; kserve #347)', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    order(p, 'pause')
    p.look()
    expect(p.world.rollout.history?.at(-1)).toMatchObject({ reason: 'Paused', by: 'kate', epoch: 2 })
  })

  test('21: another number of replicas starts no rollout (flagger #1157 #574 #1163)', () => {
    const p = updating()
    p.world = withTarget(p.world, 1)
    p.play({ do: 'replicas', count: 5 })
    p.look(5)
    expect(p.world.rollout.history ?? []).toEqual([])
    expect(p.world.workloads[1]?.replicas).toBe(5)
  })

  test('22: canaries one after the other end with two revisions, the last two (kserve #2130 #1968)', () => {
    const p = updating()
    for (const version of [2, 3, 4]) {
      p.world = withTarget(p.world, version)
      promoted(p, version)
    }
    p.play({ do: 'rounds', count: 3, lucky: true })
    expect(p.world.rollout).toMatchObject({ stable: { hash: '4' }, previous: { hash: '3' } })
    expect(Object.keys(p.world.workloads)).toEqual(['3', '4'])
  })
})

describe('sequences that are pinned (research/rollouts.md 6.6)', () => {
  test('a: v2 at 20 %, then v3, then back to v1 within one tick', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.world = withTarget(withTarget(p.world, 3), 1)
    expect(p.calm()).toBe(true)
    expect(p.world.rollout.stable?.hash).toBe('1')
    expect(reasons(p).filter((r) => r === 'Resolving')).toHaveLength(1)
    expect(p.world.rollout.rejected ?? []).toEqual([])
  })

  test('b: v2 aborted, v3 promoted, v2 applied again takes every step (the hole in Argo’s window)', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    order(p, 'abort')
    p.look()
    p.world = withTarget(p.world, 3)
    promoted(p, 3)
    p.world = withTarget(p.world, 2)
    p.play({ do: 'rounds', count: 30, lucky: true })
    expect(p.world.rollout.stable?.hash).toBe('3')
    expect(p.world.rollout.candidate).toBeUndefined()
    order(p, 'retry', 2, 2)
    p.look(2)
    expect(p.place).toBe('Provisioning')
    p.reach('Canary.Analyse')
    expect(p.weight(2)).toBe(200)
  })

  test('c: a failure that is seen in the same look as the last pass wins', () => {
    const p = updating()
    p.reach('Promoting.Analyse')
    minutes(p, 20)
    p.play({ do: 'figures', kind: 'good' })
    p.play({ do: 'trouble', fatal: true })
    p.look()
    expect([p.place, p.weight(1)]).toEqual(['RollingBack', 1000])
  })

  test('d: the swap is written and the operator dies before anything else', () => {
    const p = updating()
    p.reach('Promoting.Analyse')
    p.play({ do: 'figures', kind: 'good' })
    for (let i = 0; i < 5; i++) {
      minutes(p, 1)
      p.look()
    }
    expect(p.world.rollout.stable?.hash).toBe('2')
    expect(p.world.workloads).toMatchObject({ 1: { replicas: 2 }, 2: { replicas: 2 } })
    expect(p.calm()).toBe(true)
    expect(p.world.rollout.stable?.hash).toBe('2')
  })

  test('e: back to a previous revision whose pods are being taken away is a new rollout with every step', () => {
    const p = updating()
    promoted(p, 2)
    minutes(p, 11)
    p.look()
    expect(p.world.rollout.previous).toBeUndefined()
    p.play({ do: 'plan', controller: 0 })
    p.world = withTarget(p.world, 1)
    p.look(3)
    // The deletion that was decided on before comes late, and is refused: the Deployment carries another number.
    p.play({ do: 'perform', controller: 0 })
    expect(p.world.workloads[1]?.replicas).toBeGreaterThan(0)
    p.reach('Canary.Analyse')
  })

  test('f: a rollback of a rollback is fast both times', () => {
    const p = updating()
    promoted(p, 2)
    for (const version of [1, 2]) {
      p.world = withTarget(p.world, version)
      p.play({ do: 'rounds', count: 4, lucky: true })
      expect(p.world.rollout.stable?.hash).toBe(`${version}`)
    }
  })

  test('g: all routers are replaced while they take over a share', () => {
    const p = updating()
    p.reach('Canary.Shift')
    p.play({ do: 'replace', router: 0 })
    p.play({ do: 'replace', router: 1 })
    p.look(5)
    expect(p.place).toBe('Canary.Shift')
    p.reach('Canary.Analyse')
  })

  test('i: the figures are gone for an hour at 20 %: the share stays, and it goes on when they are back', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'missing' })
    for (let i = 0; i < 60; i++) {
      minutes(p, 1)
      p.look()
    }
    expect([p.place, p.weight(2)]).toEqual(['Canary.Analyse', 200])
    p.play({ do: 'figures', kind: 'good' })
    p.look()
    expect(p.weight(2)).toBe(500)
  })

  test('j: a spec reverted while its version is rejected is settled at once, without a rollout', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'bad' })
    p.look()
    p.world = withTarget(p.world, 1)
    pullAll(p)
    p.look(4)
    expect(p.world.rollout).toMatchObject({ stable: { hash: '1' }, rejected: [{ hash: '2', class: 'Evidence' }] })
    expect(p.world.rollout.candidate).toBeUndefined()
  })

  test('k: a retry token that changes together with the spec starts the new version, and the old stays rejected', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'bad' })
    p.look()
    pullAll(p)
    p.look()
    p.world = withTarget(withSpec(p.world, { retryToken: 'again' }), 3)
    p.look()
    expect(p.world.rollout.candidate?.hash).toBe('3')
    expect(p.world.rollout.rejected).toMatchObject([{ hash: '2' }])
  })

  test('m: a GPU that never comes free is the infrastructure’s fault, and a retry goes through once it does', () => {
    const p = updating()
    p.reach('Provisioning')
    p.mood = { ...p.mood, trouble: { reason: 'Unschedulable', message: 'No node can take the pod.', fatal: false } }
    for (let i = 0; i < 20; i++) {
      p.look()
      minutes(p, 1)
    }
    expect(p.world.rollout.rejected).toMatchObject([{ class: 'Infra', reason: 'Unschedulable' }])
    p.world = withSpec(p.world, { retryToken: 'there are GPUs now' })
    expect(p.calm()).toBe(true)
    expect(p.world.rollout.stable?.hash).toBe('2')
  })

  test('m: with the scheduler saying that it waits for room, the GPU that comes free after a day is taken without a retry', () => {
    const p = updating()
    p.reach('Provisioning')
    p.mood = { ...p.mood, trouble: { reason: 'InsufficientCapacity', message: 'Free: 0 of 1 GPU.', fatal: false } }
    for (let i = 0; i < 24; i++) {
      p.look()
      minutes(p, 60)
    }
    expect(p.world.rollout.candidate).toMatchObject({ state: 'Provisioning', reason: 'InsufficientCapacity' })
    const { trouble: _, ...mood } = p.mood
    p.mood = mood
    expect(p.calm()).toBe(true)
    expect(p.world.rollout.stable?.hash).toBe('2')
  })

  test('a drained node takes the only pod of a step: the share goes back at once, and the candidate begins again without blame', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    ready(p, 2, 0)
    p.look()
    expect(p.world.rollout.candidate).toMatchObject({ state: 'Superseding', outcome: { reason: 'PodsLost' } })
    expect(p.world.rollout.traffic?.weights).toEqual([{ revision: nameOf(1), weight: 1000 }])
    expect(p.calm()).toBe(true)
    expect(p.world.rollout.rejected ?? []).toEqual([])
    expect(p.world.rollout.stable?.hash).toBe('2')
  })

  test('a candidate that loses all its pods for the third time is rejected', () => {
    const p = updating()
    for (let time = 1; time <= 3; time++) {
      p.reach('Canary.Analyse')
      ready(p, 2, 0)
      p.look()
    }
    expect(p.world.rollout.candidate).toMatchObject({ state: 'RollingBack', outcome: { reason: 'NotReady' } })
  })

  test('a candidate whose pods say that they crash is taken back at once', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'pods', version: 2, ready: 0 })
    p.mood = { ...p.mood, trouble: { reason: 'PodCrashed', message: 'It exited with code 1.', fatal: false } }
    p.look()
    expect(p.world.rollout.candidate).toMatchObject({ state: 'RollingBack', outcome: { reason: 'PodCrashed' } })
  })

  test('n: a tag that moves under the same spec changes nothing', () => {
    const p = updating()
    promoted(p, 2)
    const { rollout } = p.world
    p.mood = { ...p.mood, resolution: { kind: 'Resolved', digest: 'sha256:another', version: 'v9' } }
    p.look(5)
    expect(p.world.rollout).toBe(rollout)
  })

  test('p: a command for a candidate of before is refused', () => {
    const p = updating({ steps: [{ weight: 20, gate: 'Manual' }] })
    p.reach('Canary.Gate')
    p.world = withTarget(p.world, 3)
    p.play({ do: 'rounds', count: 2, lucky: true })
    p.reach('Canary.Gate')
    order(p, 'promote', 2)
    p.look(3)
    expect(p.place).toBe('Canary.Gate')
    expect(p.world.rollout.lastCommand).toMatchObject({
      result: 'Refused',
      message: expect.stringContaining(nameOf(3)),
    })
  })
})

describe('what a person does', () => {
  test('a rollback takes users to the previous revision, and the version stays away until it is asked for again', () => {
    const p = updating()
    promoted(p, 2)
    order(p, 'rollback', 2)
    p.look()
    expect(p.weight(1)).toBe(1000)
    pullAll(p)
    p.look(100)
    expect(p.world.rollout).toMatchObject({ stable: { hash: '1' }, rejected: [{ hash: '2', reason: 'TakenBack' }] })
    expect(p.world.rollout.candidate).toBeUndefined()
  })

  test('a version that fails while the old one is still warm goes back by itself', () => {
    const p = updating()
    promoted(p, 2)
    p.play({ do: 'figures', kind: 'bad' })
    p.look()
    expect([p.weight(1), p.weight(2)]).toEqual([1000, 0])
    pullAll(p)
    p.play({ do: 'figures', kind: 'good' })
    p.look(3)
    expect(p.world.rollout).toMatchObject({ stable: { hash: '1' }, rejected: [{ hash: '2', reason: 'TooManyErrors' }] })
  })

  test('a reason lets a step pass without its evidence, and the history says who gave it', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'few' })
    order(p, 'promote', 2, 3)
    p.look()
    expect(p.world.rollout.lastCommand?.result).toBe('Refused')
    order(p, 'promote', 2, 4)
    p.look()
    expect(p.weight(2)).toBe(500)
    expect(p.world.rollout.history?.at(-1)).toMatchObject({ reason: 'PromotedByHand', by: 'kate' })
  })

  test('steps edited in the middle count from the next step on', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.world = withSpec(p.world, { steps: [{ weight: 10 }, { weight: 30 }] })
    p.look(3)
    expect(p.weight(2)).toBe(200)
    while (p.weight(2) === 200) p.play({ do: 'rounds', count: 1, lucky: true })
    expect(p.weight(2)).toBe(300)
  })

  test('a status that was lost is recovered from what the routers still serve', () => {
    const p = updating()
    promoted(p, 2)
    const epoch = p.world.rollout.traffic?.epoch ?? 0
    p.play({ do: 'wipe' })
    p.look()
    expect(p.world.rollout).toMatchObject({ stable: { hash: '2' } })
    expect(p.world.rollout.traffic?.epoch).toBeGreaterThan(epoch)
    expect(p.calm()).toBe(true)
    expect(wantedPods(p.world.spec, p.world.rollout, observe(p.world))).toHaveLength(1)
  })
})

describe('what random lives have found', () => {
  test('an epoch counted anew after a lost status is not acknowledged by a router that had it for another setting', () => {
    const p = new Player({ first: false, replicas: 1, rollout: { golden: { configMap: 'golden', minCases: 1 } } })
    players.push(p)
    p.play({ do: 'wipe' })
    p.play({ do: 'cut', router: 1 })
    p.play({ do: 'replace', router: 0 })
    p.play({ do: 'rounds', count: 1, lucky: false })
    // Router 1 still sends everything to version 1 as epoch 1; the status begun anew says as epoch 1: to nobody.
    expect([p.world.rollout.traffic?.epoch, p.world.routers[1]?.epoch]).toEqual([1, 1])
    p.play({ do: 'clock', ms: 5 * 3_600_000 })
    expect(p.calm()).toBe(true)
    expect(p.violations).toEqual([])
    expect(p.world.rollout.stable?.revision).toBe('fraud-1')
  })

  test('a record that is lost while stable is stopped for its version gives the users back to stable first', () => {
    const p = updating({ capacity: 'Recreate' }, 1)
    p.reach('Provisioning')
    p.play({ do: 'rounds', count: 1, lucky: true })
    expect([p.place, p.weight(1)]).toEqual(['Provisioning', 0])
    p.play({ do: 'lose', what: 'revision', version: 2 })
    p.play({ do: 'rounds', count: 3, lucky: true })
    expect([p.weight(1), reasons(p).includes('Superseded')]).toEqual([1000, true])
    promoted(p, 2)
  })

  test('a scale-down planned while stable was stopped comes too late once requests go back to it', () => {
    const p = updating({ strategy: 'Recreate' }, 1)
    p.reach('Provisioning')
    p.play({ do: 'rounds', count: 1, lucky: true })
    expect(p.world.rollout.traffic?.weights).toEqual([])
    p.play({ do: 'plan', controller: 0 })
    p.world = withTarget(p.world, 1)
    for (let i = 0; i < 4; i++) p.round()
    expect(p.weight(1)).toBe(1000)
    p.play({ do: 'perform', controller: 0 })
    expect(p.world.workloads[1]).toMatchObject({ replicas: 1, ready: 1 })
  })

  test('pods of stable that a late write brings back do not stop those of a candidate that have come', () => {
    const p = updating({ strategy: 'Recreate' })
    for (let i = 0; i < 40 && (p.world.workloads[2]?.replicas ?? 0) === 0; i++) {
      p.look()
      pullAll(p)
    }
    expect([p.place, p.world.workloads[1]?.replicas]).toEqual(['Provisioning', 0])
    const { workloads } = p.world
    p.world = { ...p.world, workloads: { ...workloads, 1: { ...workloads[1], replicas: 2, ready: 0, version: 99 } } }
    const seen = observe(p.world, p.mood)
    const wanted = wantedPods(p.world.spec, p.world.rollout, seen)
    expect(wanted.map(({ revision, replicas }) => [revision, replicas])).toEqual([
      [nameOf(1), 0],
      [nameOf(2), 2],
    ])
  })

  test('a record deleted while stable is being stopped, and a spec that changes then: stable is started again', () => {
    const p = updating({ capacity: 'Recreate' }, 1)
    p.reach('Provisioning')
    p.play({ do: 'rounds', count: 1, lucky: true })
    expect(p.world.rollout.traffic?.weights).toEqual([])
    p.play({ do: 'lose', what: 'revision', version: 2 })
    p.play({ do: 'rounds', count: 1, lucky: true })
    expect(p.place).toBe('Superseding')
    p.world = withTarget(p.world, 1)
    expect(p.calm()).toBe(true)
    expect([p.world.rollout.stable?.hash, p.weight(1)]).toEqual(['1', 1000])
  })

  test('a capacity that is changed while stable is stopped: a scale-down planned before comes too late', () => {
    const p = updating({}, 1)
    p.play({ do: 'policy', rollout: { capacity: 'Recreate' } })
    p.play({ do: 'rounds', count: 4, lucky: true })
    p.play({ do: 'plan', controller: 0 })
    p.play({ do: 'policy', rollout: { capacity: 'Borrow' } })
    p.play({ do: 'rounds', count: 2, lucky: true })
    p.play({ do: 'perform', controller: 0 })
    expect(p.violations).toEqual([])
    promoted(p, 2)
  })

  test('the pods of a first version that was dropped go, though nobody was ever sent to it', () => {
    const p = new Player({ first: true, replicas: 1, rollout: {} })
    players.push(p)
    p.reach('Provisioning')
    p.look(2)
    expect(p.world.workloads[1]).toBeDefined()
    p.world = withTarget(p.world, 2)
    p.mood = { resolution: { kind: 'Failed', reason: 'ModelNotFound', message: 'Nothing is there.', retryable: false } }
    for (let i = 0; i < 10; i++) p.round()
    expect(p.world.rollout.rejected).toMatchObject([{ hash: '2' }])
    expect(p.world.workloads).toEqual({})
  })

  test('commands one after the other do not hold up a step back', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'bad' })
    order(p, 'explode')
    p.look()
    expect(p.place).toBe('RollingBack')
    expect(p.world.rollout.lastCommand).toMatchObject({ op: 'explode', result: 'Refused' })
  })
})

describe('the spec changes at a bad moment', () => {
  test('when every router sends everything to the candidate, its swap comes first', () => {
    const p = updating()
    p.reach('Promoting.Analyse')
    p.world = withTarget(p.world, 3)
    p.look()
    expect(p.world.rollout).toMatchObject({ stable: { hash: '2' }, previous: { hash: '1' } })
    p.reach('Canary.Analyse')
    expect([p.weight(2), p.weight(3)]).toEqual([800, 200])
  })

  test('when one router has not taken over everything yet, the candidate is taken back', () => {
    const p = updating()
    p.reach('Promoting.Shift')
    lag(p, 1)
    p.world = withTarget(p.world, 3)
    p.look()
    expect([p.place, p.weight(1)]).toEqual(['Superseding', 1000])
  })

  test('back to stable while the candidate is being taken back: it stays rejected, and no second rollout begins', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'bad' })
    p.look()
    expect(p.place).toBe('RollingBack')
    p.world = withTarget(p.world, 1)
    pullAll(p)
    p.look(10)
    expect([p.place, p.weight(1), p.world.rollout.stable?.hash]).toEqual(['Idle', 1000, '1'])
    expect(p.world.rollout.rejected).toMatchObject([{ hash: '2', reason: 'TooManyErrors' }])
    expect(p.world.rollout.rollouts).toBe(2)
  })

  test('on to a third version while the candidate is being taken back: only when every router has let it go', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'bad' })
    p.look()
    p.world = withTarget(p.world, 3)
    p.look(5)
    expect([p.place, p.world.rollout.candidate?.hash]).toEqual(['RollingBack', '2'])
    p.mood = { calls: {} }
    pullAll(p)
    promoted(p, 3)
    expect(p.world.rollout.rejected).toMatchObject([{ hash: '2' }])
  })

  test('an hour forth and an hour back, of a clock that is set in the middle of a step, takes nothing back that goes well', () => {
    const p = updating({ deadlines: { provision: '15m', step: '2h', total: '4h' } })
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind: 'few' })
    for (const hours of [1, -2, 1]) {
      minutes(p, 60 * hours)
      p.look(3)
      expect([p.place, p.weight(2)]).toEqual(['Canary.Analyse', 200])
    }
    promoted(p, 2)
  })

  test('no pods at all drop the candidate without blame, and the rollout begins again with the pods', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    p.play({ do: 'replicas', count: 0 })
    p.look()
    pullAll(p)
    p.look(3)
    expect([p.place, p.world.rollout.rejected ?? []]).toEqual(['Idle', []])
    p.play({ do: 'replicas', count: 2 })
    p.reach('Canary.Analyse')
  })

  test('a first version that nobody can reach makes way for the one that mends it', () => {
    const p = new Player({ first: true, replicas: 1, rollout: {} })
    players.push(p)
    p.reach('Promoting.Shift')
    ready(p, 1, 0)
    p.world = withTarget(p.world, 2)
    expect(p.calm()).toBe(true)
    expect(p.world.rollout.stable?.hash).toBe('2')
  })
})

describe('what the policies decide at the deadline of a step', () => {
  const atTheDeadline = (
    kind: 'few' | 'missing' | 'astray',
    rollout: Partial<ModelDeploymentSpec['rollout']>,
  ): Player => {
    const p = updating(rollout)
    p.reach('Canary.Analyse')
    p.play({ do: 'figures', kind })
    minutes(p, 41)
    p.look()
    return p
  }

  test('too few requests: hold, take back, or go on, and the history says which', () => {
    const held = atTheDeadline('few', {})
    expect([held.place, held.weight(2)]).toEqual(['Canary.Analyse', 200])
    const back = atTheDeadline('few', { onInconclusive: 'Rollback' })
    expect([back.place, reasons(back).at(-1)]).toEqual(['RollingBack', 'Inconclusive'])
    const on = atTheDeadline('few', { onInconclusive: 'Promote' })
    expect([on.weight(2), reasons(on).at(-1)]).toEqual([500, 'Inconclusive'])
  })

  test('routers that cannot be measured: hold, or take back as the fault of the infrastructure', () => {
    const held = atTheDeadline('missing', {})
    expect(held.weight(2)).toBe(200)
    const back = atTheDeadline('missing', { onMetricsError: 'Rollback' })
    expect(back.world.rollout.candidate?.outcome).toMatchObject({ reason: 'MetricsMissing', class: 'Infra' })
  })

  test('users who get other shares than asked: hold and say so, or take back as the fault of the infrastructure', () => {
    const held = atTheDeadline('astray', {})
    expect([held.place, held.weight(2)]).toEqual(['Canary.Analyse', 200])
    const { spec, rollout } = held.world
    expect(waitsFor({ spec, rollout, seen: observe(held.world, held.mood) })).toEqual({
      reason: 'SharesOff',
      message: 'v2 (fraud-2) is held at 20%: It should get 20% and got 60%.',
    })
    const back = atTheDeadline('astray', { onMetricsError: 'Rollback' })
    expect(back.world.rollout.candidate?.outcome).toMatchObject({ reason: 'SharesOff', class: 'Infra' })
  })

  test('shares that turn out as asked after all let it go on', () => {
    const p = atTheDeadline('astray', {})
    p.play({ do: 'figures', kind: 'good' })
    p.look()
    expect([p.weight(2), reasons(p).at(-1)]).toEqual([500, 'StepPassed'])
  })

  test('shares of an epoch before, and too few requests to tell them, hold nothing', () => {
    const p = updating()
    p.reach('Canary.Analyse')
    minutes(p, 11)
    p.play({ do: 'figures', kind: 'good' })
    const { spec, rollout, now } = p.world
    const seen = observe(p.world, p.mood)
    const old = { epoch: (rollout.traffic?.epoch ?? 0) - 1, asAsked: false, message: 'It was off.' }
    expect(next(spec, rollout, { ...seen, shares: old }, now).transitions[0]?.reason).toBe('StepPassed')
    expect(next(spec, rollout, seen, now).transitions[0]?.reason).toBe('StepPassed')
  })

  test('what is held there goes on when a person says so, without a reason', () => {
    const p = atTheDeadline('few', {})
    order(p, 'promote', 2, 3)
    p.look()
    expect([p.weight(2), p.world.rollout.lastCommand?.result]).toEqual([500, 'Done'])
  })
})

describe('what the infrastructure failed at is tried again by itself, what the model failed at is not', () => {
  /** The only node that could take its pods is gone until `until` minutes have passed. @returns when each attempt began */
  const withoutRoom = (p: Player, until: number): number[] => {
    const begun: number[] = []
    let attempt = 0
    for (let minute = 0; minute < until; minute++) {
      p.mood = { calls: {}, trouble: { reason: 'Unschedulable', message: 'No node can take it.', fatal: false } }
      minutes(p, 1)
      p.look(3)
      ready(p, 2, 0)
      pullAll(p)
      const now = p.world.rollout.candidate?.attempt ?? attempt
      if (now > attempt) begun.push(minute)
      attempt = now
    }
    return begun
  }

  test('no room on any node: attempts at growing distances, and it is rolled out when there is room', () => {
    const p = updating()
    const begun = withoutRoom(p, 300)
    // 15 minutes each without progress, then 1, 5, 15 and 60 minutes of waiting.
    const waits = begun.slice(1).map((minute, i) => minute - (begun[i] ?? 0) - 15)
    expect(waits.slice(0, 4).map((wait) => Math.round(wait / 5) * 5)).toEqual([0, 5, 15, 60])
    expect(p.world.rollout.rejected).toMatchObject([{ reason: 'Unschedulable', class: 'Infra' }])
    expect(p.weight(1)).toBe(1000)
    p.mood = { calls: {} }
    p.play({ do: 'rounds', count: 90, lucky: true })
    promoted(p, 2)
    expect(p.world.rollout.rejected).toEqual([])
  })

  test.each(['bad', 'good'] as const)(
    'a day later a version that users saw fail (figures %s) is as rejected as before',
    (kind) => {
      const p = updating()
      p.reach('Canary.Analyse')
      p.play({ do: 'figures', kind })
      // Too many errors; or all its pods end by themselves.
      if (kind === 'good') {
        p.mood = { ...p.mood, trouble: { reason: 'PodCrashed', message: 'It exits.', fatal: false } }
        ready(p, 2, 0)
      }
      p.look()
      pullAll(p)
      p.look(3)
      const rejected = p.world.rollout.rejected
      expect(rejected).toHaveLength(1)
      expect(rejected?.[0]).not.toHaveProperty('retryAt')
      for (let hour = 0; hour < 24; hour++) {
        minutes(p, 60)
        p.look(3)
      }
      expect([p.place, p.world.rollout.rejected]).toEqual(['Idle', rejected])
    },
  )

  test('what waits to be tried again wakes the operator then, and a new token does not wait', () => {
    const p = updating()
    withoutRoom(p, 17)
    const { spec, rollout, now } = p.world
    const [rejection] = rollout.rejected ?? []
    expect(rejection?.retryAt).toBeDefined()
    expect(next(spec, rollout, observe(p.world, p.mood), now).wakeAt).toBe(Date.parse(rejection?.retryAt ?? ''))
    p.world = withSpec(p.world, { retryToken: 'now' })
    p.look()
    expect(p.world.rollout.candidate).toMatchObject({ attempt: 2 })
  })
})
