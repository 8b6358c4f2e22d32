import { describe, expect, test } from '@jest/globals'
import type { ModelDeployment, ModelDeploymentStatus } from '../operator/api/modeldeployment.ts'
import {
  at,
  canary,
  canaryWorkloads,
  conditions,
  nameOf,
  noon,
  objectOf,
  specV7,
  specV8,
  stableOf,
} from './fixtures.ts'
import { painter } from './layout.ts'
import { reportOf } from './report.ts'
import { renderHistory, renderList, renderStatus } from './status.ts'

const plain = painter(false)
const text = (object: ModelDeployment) => renderStatus(reportOf(object, canaryWorkloads), noon, 120, plain)
const changed = (status: Partial<ModelDeploymentStatus>): ModelDeployment => {
  const object = canary()
  return { ...object, status: { ...object.status, ...status } }
}
const [v7, v8] = [nameOf(specV7), nameOf(specV8)]

describe('status on one screen', () => {
  test('in mode Gateway counts routes, not routers', () => {
    const object = canary()
    const gateway = { mode: 'Gateway' as const, gateway: { parentRefs: [{ name: 'public' }] } }
    const shown = text({ ...object, spec: { ...object.spec, traffic: gateway } })
    expect(shown).toContain('routes     2 of 2 are accepted with epoch 12.')
    expect(shown).not.toContain('routers')
  })

  test('a canary: shares asked and measured, pods, steps, routers, verdict, what it waits for', () => {
    expect(text(canary())).toBe(
      `fraud in shop: Canary, generation 7

             VERSION  REVISION          ASKED  MEASURED                FAILED        PODS READY
  stable     v7       ${v7}  95%    94.8% (94.1% to 95.5%)  212 of 93812  4 of 4
  candidate  v8       ${v8}  5%     5.2% (4.6% to 5.9%)     1 of 5123     1 of 1

  rollout    Canary.Analyse for 42s, at most 29m18s more
  steps      ✔ 1%   ▶ 5%   · 20% (gate)   · 100%
  routers    2 of 2 have applied epoch 12.

  CHECK   VERDICT  SAMPLES  CANDIDATE  STABLE  LOG E
  errors  Pass     5123     1          12      -0.42

  CONDITION    STATUS  REASON
  Ready        False   Analysing
  Reconciling  True    Analysing
  Stalled      False   AsExpected
  Available    True    Serving

  waits for  v8 gets 5% of the requests and is judged for at least 60 s.
  users      v7 answers.`,
    )
  })

  test('at a gate it says which command lets it go on', () => {
    const message = 'v8 has passed at 20%; the gate waits for the command promote.'
    const object = changed({
      conditions: conditions(
        ['Ready', 'False', 'AwaitingPromotion', message],
        ['Reconciling', 'True', 'AwaitingPromotion', message],
      ),
    })
    expect(text(object)).toContain(`  waits for  ${message}\n  to do      Give the command promote, or abort.`)
  })

  test('a rejected version: stopped, what to do, and that users are answered', () => {
    const message = `${v8} was rejected: 9 of 1000 requests failed. v7 keeps serving.`
    const { candidate: _, ...rest } = canary().status ?? {}
    const object = objectOf(specV8, {
      ...rest,
      conditions: conditions(
        ['Ready', 'False', 'TooManyErrors', message],
        ['Reconciling', 'False', 'AsExpected', 'Nothing is under way.'],
        ['Stalled', 'True', 'TooManyErrors', message],
        ['Available', 'True', 'Serving', 'v7 answers.'],
      ),
    })
    expect(reportOf(object, undefined)).toMatchObject({ outcome: 'Stalled', available: true })
    expect(text(object)).toContain(
      `  stopped    ${message}\n  to do      Read the log of its pods and correct the model.\n  users      v7 answers.`,
    )
  })

  test('a spec that the operator has not seen yet is under way, whatever the old status says', () => {
    const old = conditions(['Ready', 'True', 'RolledOut', 'v7 serves.'])
    const object = { ...changed({ conditions: old }), metadata: { ...canary().metadata, generation: 8 } }
    expect(reportOf(object, undefined)).toMatchObject({ outcome: 'UnderWay', waitsFor: { reason: 'NotObserved' } })
    expect(text(object)).toContain('generation 8, of which the operator has seen 7')
  })

  test('without the right to read Deployments, pods are unknown and not zero', () => {
    expect(renderStatus(reportOf(canary(), undefined), noon, 120, plain)).toContain('1 of 5123     ?')
  })

  test('the previous version says how long it is kept', () => {
    const object = changed({ previous: { ...stableOf(specV8, 'v6'), expiresAt: at(480) } })
    expect(text(object)).toMatch(/previous {3}v6 .* kept for 8m more/)
  })

  test('an object that nobody has looked at says so', () => {
    const object = objectOf(specV7)
    expect(text(object)).toContain('fraud has no version yet.')
    expect(text(object)).toContain('no operator watches its namespace')
  })
})

test('the list has one line an object', () => {
  expect(renderList([reportOf(canary(), undefined)])).toBe(
    'NAME   VERSION  CANDIDATE  PHASE   WEIGHT  OUTCOME   AVAILABLE\nfraud  v7       v8         Canary  5%      UnderWay  True',
  )
})

describe('history', () => {
  test('each transition has its reason and, below, its sentence', () => {
    expect(renderHistory(canary(), 120)).toBe(
      `WHEN                  FROM          TO              REASON     REVISION  BY
2026-03-05T11:55:00Z  Idle          Pending         Resolving
             v8 is a new version.
2026-03-05T11:59:18Z  Canary.Shift  Canary.Analyse  Analysing
             2 of 2 routers agree.`,
    )
  })

  test('of a new object there is none', () => {
    expect(renderHistory(objectOf(specV7), 120)).toBe('Nothing has happened yet.')
  })
})
