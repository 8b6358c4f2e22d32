// Mode Gateway: nobody counts, so no figure decides a step. What the policy says happens, or a person does.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { specOf } from '../api/fixtures.ts'
import type { Candidate, ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { Rollout } from './decision.ts'
import { next } from './next.ts'
import type { Observed } from './observed.ts'
import { judge } from './verdict.ts'
import { waitsFor } from './words.ts'

const start = Date.parse('2026-01-01T00:00:00Z')
const at = (ms: number): string => new Date(start + ms).toISOString()
const minute = 60_000

const spec = (onInconclusive: 'Hold' | 'Promote' | 'Rollback'): ModelDeploymentSpec => {
  const plain = specOf('https://models.example/1.onnx')
  return {
    ...plain,
    traffic: { mode: 'Gateway', gateway: { parentRefs: [{ name: 'public' }] } },
    rollout: { ...plain.rollout, onInconclusive, steps: [{ weight: 10, minDuration: '1m' }, { weight: 50 }] },
  }
}
const facts = (n: number) => ({ name: `fraud-${n}`, hash: `${n}`, version: `v${n}`, digest: `sha256:${n}`, image: 'i' })
const pointer = (n: number) => {
  const { name: revision, ...rest } = facts(n)
  return { revision, ...rest }
}
const candidate: Candidate = {
  ...pointer(2),
  attempt: 1,
  rollout: 2,
  state: 'Canary',
  substep: 'Analyse',
  step: 0,
  stepWeight: 100,
  replicas: 1,
  stableReplicas: 2,
  enteredAt: at(0),
  ackedAt: at(0),
  deadlineAt: at(31 * minute),
  endsBy: at(240 * minute),
}
const weights = [
  { revision: 'fraud-1', weight: 900 },
  { revision: 'fraud-2', weight: 100 },
]
const rollout: Rollout = {
  stable: { ...pointer(1), promotedAt: at(-minute) },
  candidate,
  traffic: { epoch: 5, weights },
  rollouts: 2,
}
const seen = (rest: Partial<Observed> = {}): Observed => ({
  target: { kind: 'Revision', hash: '2', revision: 'fraud-2' },
  specHash: '2',
  revisions: [facts(2), facts(1)],
  resolution: { kind: 'Running' },
  pods: [
    { revision: 'fraud-1', total: 2, ready: 2, current: true },
    { revision: 'fraud-2', total: 1, ready: 1, current: true, stamp: 2 },
  ],
  service: { revision: 'fraud-1', readyEndpoints: { 'fraud-1': 2, 'fraud-2': 1 } },
  routers: [{ name: 'HTTPRoute', isRoute: true, epoch: 5 }],
  ...rest,
})
const order = (): NonNullable<Observed['command']> => ({
  kind: 'Order',
  id: 'one',
  op: 'promote',
  candidate: 'fraud-2',
  reason: '',
  by: 'ana',
})
const after = (policy: Parameters<typeof spec>[0], ms: number, rest: Partial<Observed> = {}) =>
  next(spec(policy), rollout, seen(rest), start + ms).rollout

describe('a step that nobody can judge', () => {
  test('lasts its least time whatever the policy', () => {
    for (const policy of ['Hold', 'Promote', 'Rollback'] as const)
      expect(after(policy, minute - 1).candidate).toMatchObject({ substep: 'Analyse', stepWeight: 100 })
  })

  test('is passed by time with policy Promote, and says so', () => {
    const { transitions, rollout: went } = next(spec('Promote'), rollout, seen(), start + minute)
    expect(went.candidate).toMatchObject({ stepWeight: 500 })
    expect(transitions[0]?.message).toContain(
      'nobody counts what requests come to. spec.rollout.onInconclusive is Promote.',
    )
  })

  test('becomes a gate with policy Hold: no deadline ends it, and promote needs no reason', () => {
    const held = after('Hold', minute)
    expect(held.candidate).toMatchObject({ state: 'Canary', substep: 'Gate' })
    expect(held.candidate?.deadlineAt).toBeUndefined()
    expect(held.candidate?.endsBy).toBeUndefined()
    const days = next(spec('Hold'), held, seen(), start + 10_000 * minute)
    expect(days.rollout).toEqual(held)
    const went = next(spec('Hold'), held, seen({ command: order() }), start + 2 * minute).rollout
    expect(went).toMatchObject({ candidate: { stepWeight: 500 }, lastCommand: { result: 'Done' } })
    expect(waitsFor({ spec: spec('Hold'), rollout: held, seen: seen() })?.message).toContain(
      'it waits for the command promote',
    )
  })

  test('is taken back by its deadline with policy Rollback, unless a person promotes it before', () => {
    expect(after('Rollback', 31 * minute - 1).candidate?.state).toBe('Canary')
    expect(after('Rollback', 31 * minute).candidate).toMatchObject({
      state: 'RollingBack',
      outcome: { reason: 'Inconclusive' },
    })
    expect(after('Rollback', 2 * minute, { command: order() }).candidate).toMatchObject({ stepWeight: 500 })
    expect(after('Rollback', 1000, { command: order() }).lastCommand).toMatchObject({ result: 'Refused' })
  })

  test('is taken back at once when the pods of the new version are gone, also in the gate', () => {
    const pods = [
      { revision: 'fraud-1', total: 2, ready: 2, current: true },
      { revision: 'fraud-2', total: 1, ready: 0, current: true, stamp: 2 },
    ]
    for (const substep of ['Analyse', 'Gate'] as const) {
      const { traffic } = next(
        spec('Hold'),
        { ...rollout, candidate: { ...candidate, substep } },
        seen({ pods }),
        start + 2 * minute,
      ).rollout
      expect(traffic?.weights).toEqual([{ revision: 'fraud-1', weight: 1000 }])
    }
  })

  test('does not go on before every route is accepted', () => {
    const routers = [
      { name: 'HTTPRoute', isRoute: true as const, epoch: 5 },
      { name: 'GRPCRoute', isRoute: true as const },
    ]
    expect(after('Promote', 2 * minute, { routers }).candidate).toMatchObject({ stepWeight: 100, substep: 'Analyse' })
  })
})

test('no figure, however good or bad, is a verdict in mode Gateway', () => {
  const calls = fc.record({ requests: fc.nat(1e6), failures: fc.nat(1e6) })
  fc.assert(
    fc.property(calls, calls, (one, two) => {
      const evidence = { epoch: 5, calls: { 'fraud-1': one, 'fraud-2': two } }
      expect(judge(spec('Hold'), seen({ evidence }), rollout.traffic, 'fraud-2').kind).toBe('Inconclusive')
    }),
  )
})
