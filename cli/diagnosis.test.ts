import { describe, expect, test } from '@jest/globals'
import { reasons } from '../operator/api/conditions.ts'
import type { ModelDeployment, ModelDeploymentStatus } from '../operator/api/modeldeployment.ts'
import { failingContainers, renderWhy, whyOf } from './diagnosis.ts'
import { canary, conditions, crashingPod, hashOf, nameOf, objectOf, specV7, specV8, warning, at } from './fixtures.ts'
import { painter } from './layout.ts'

const v8 = nameOf(specV8)
const nothing = { pods: [], events: [], logs: [] }
const crash = `Container runtime of pod ${v8}-a exited with code 3: cannot load.`
const crashing = (): ModelDeployment => {
  const object = canary()
  const message = `${crash} v7 keeps serving.`
  const status: ModelDeploymentStatus = {
    ...object.status,
    conditions: conditions(
      ['Ready', 'False', 'PodCrashed', message],
      ['Reconciling', 'True', 'PodCrashed', message],
      ['Available', 'True', 'Serving', 'v7 answers.'],
    ),
  }
  if (status.candidate) status.candidate = { ...status.candidate, reason: 'PodCrashed', message: crash }
  return { ...object, status }
}
const rejected = (): ModelDeployment => {
  const { candidate: _, ...rest } = canary().status ?? {}
  const message = `${v8} was rejected: 9 of 1000 requests failed. v7 keeps serving.`
  return objectOf(specV8, {
    ...rest,
    rejected: [
      {
        hash: hashOf(specV8),
        revision: v8,
        attempt: 1,
        class: 'Evidence',
        reason: 'TooManyErrors',
        message: '9 of 1000 requests failed.',
        retryToken: '',
        at: at(-5),
      },
    ],
    conditions: conditions(
      ['Ready', 'False', 'TooManyErrors', message],
      ['Stalled', 'True', 'TooManyErrors', message],
      ['Available', 'True', 'Serving', 'v7 answers.'],
    ),
  })
}

describe('why', () => {
  test('a rejected version: the cause and the fix of the table, the figures of the operator', () => {
    const [finding] = whyOf({ deployment: rejected(), ...nothing }).findings
    expect(finding).toEqual({
      reason: 'TooManyErrors',
      revision: v8,
      cause: reasons.TooManyErrors.meaning,
      evidence: [{ from: 'operator', text: '9 of 1000 requests failed.' }],
      fix: 'Read the log of its pods and correct the model.',
    })
  })

  test('pods that crash: every one is looked at, one of a kind speaks, and the log of its last run is shown', () => {
    const pods = ['a', 'b', 'c'].map((x) => crashingPod(v8, `${v8}-${x}`, 'cannot load'))
    expect(failingContainers(pods)).toContainEqual({ pod: `${v8}-a`, container: 'runtime', previous: true })
    const other = crashingPod(nameOf(specV7), 'of-stable', 'another story')
    const logs = [{ pod: `${v8}-a`, container: 'runtime', previous: true, lines: ['loading', 'cannot load'] }]
    const events = [
      warning('Pod', `${v8}-a`, 'BackOff', 'Back-off restarting failed container', 4),
      warning('Pod', 'fraudulent-1', 'BackOff', 'of someone else'),
    ]
    const report = whyOf({ deployment: crashing(), pods: [...pods, other], events, logs })
    expect(renderWhy(report, 110, painter(false))).toBe(
      `fraud in shop: PodCrashed, ${v8}
  cause      A container keeps exiting.
  evidence   ${crash}
             pods: 3 of 3 say PodCrashed.
             Event BackOff (4 times) of Pod ${v8}-a: Back-off restarting failed container
             log of ${v8}-a, container runtime, the run before: loading
             cannot load
  fix        Read its log, mend the cause, then change spec.rollout.retryToken to try the same spec again.

  users      v7 answers.`,
    )
  })

  test('users who are not answered come first, before a rollout that waits', () => {
    const object = crashing()
    const rest = object.status?.conditions?.filter((c) => c.type !== 'Available') ?? []
    const down = conditions(['Available', 'False', 'NoReadyPods', 'No pod of v7 is ready.'])
    const deployment = { ...object, status: { ...object.status, conditions: [...rest, ...down] } }
    expect(whyOf({ deployment, ...nothing }).findings.map((f) => f.reason)).toEqual(['NoReadyPods', 'PodCrashed'])
  })

  test('a canary that is being judged needs nobody', () => {
    expect(renderWhy(whyOf({ deployment: canary(), ...nothing }), 110, painter(false))).toContain(
      'fix        Nothing is to be done: it goes on by itself.',
    )
  })

  test('where all is well it says so, in the words of Ready', () => {
    const deployment = objectOf(specV7, {
      observedGeneration: 7,
      conditions: conditions(
        ['Ready', 'True', 'RolledOut', 'v7 serves on 4 of 4 pods.'],
        ['Available', 'True', 'Serving', 'v7 answers.'],
      ),
    })
    expect(renderWhy(whyOf({ deployment, ...nothing }), 110, painter(false))).toBe(
      'fraud in shop: nothing is wrong.\n             v7 serves on 4 of 4 pods.',
    )
  })

  test('a reason that a later release has added is shown by its name, and nothing is invented', () => {
    const deployment = objectOf(specV8, {
      observedGeneration: 7,
      conditions: conditions(
        ['Ready', 'False', 'LaterReason', 'A later word.'],
        ['Stalled', 'True', 'LaterReason', 'A later word.'],
      ),
    })
    expect(whyOf({ deployment, ...nothing }).findings).toEqual([
      { reason: 'LaterReason', cause: 'LaterReason.', evidence: [{ from: 'operator', text: 'A later word.' }] },
    ])
  })
})
