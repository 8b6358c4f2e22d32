import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deployments } from '../../../operator/kube/resources.ts'
import { eventually } from './eventually.ts'
import { ended } from './hands.ts'
import type { OperatorProcess } from './process.ts'
import { openStage, revisionOf, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await openStage()
  operator = await stage.start({ environment: { SLIPWAY_RESYNC_INTERVAL: '200ms' } })
})

afterAll(async () => stage.close())

const reconciles = () => operator.metric('controller_runtime_reconcile_total')

/** Everything that was asked for has been done, Events too: as many looks as it takes until none of them writes. */
const converged = async (objects: number): Promise<void> => {
  await eventually('two looks at each object write nothing', async () => {
    const [writes, looks] = [(await stage.audit.writes()).length, await reconciles()]
    await eventually('each object is looked at twice', async () => (await reconciles()) >= looks + 2 * objects)
    return (await stage.audit.writes()).length === writes
  })
}

describe('an operator with nothing to do', () => {
  test('writes nothing in ten resyncs, whether its objects serve, are rejected, suspended, scaled to zero or refused', async () => {
    stage.hands.rule(({ uri }) =>
      uri === uriOf('missing')
        ? ended({ ok: false, code: 'ModelNotFound', message: 'Nothing is there.', retryable: false })
        : undefined,
    )
    const [serving, rejected, suspended, zero] = [
      { model: { uri: uriOf('one') }, replicas: 2 },
      { model: { uri: uriOf('missing') } },
      { model: { uri: uriOf('one') }, suspend: true },
      { model: { uri: uriOf('one') }, replicas: 0 },
    ]
    await stage.apply('serving', serving)
    await stage.apply('rejected', rejected)
    await stage.apply('suspended', suspended)
    await stage.apply('zero', zero)
    await stage.apply('refused', { model: { uri: 's3://bucket/model.onnx' } })
    await stage.ready('serving')
    await stage.apply('serving', { ...serving, model: { uri: uriOf('two') } })
    await stage.ready('serving')
    await stage.ready('zero')
    await stage.says('rejected', 'Stalled', 'True', 'ModelNotFound')
    await stage.says('suspended', 'Ready', 'False', 'Suspended')
    await stage.says('refused', 'Stalled', 'True', 'NotImplemented')
    const objects = 5
    await converged(objects)

    const before = await stage.audit.writes()
    const looks = await reconciles()
    // A resync puts every object into the queue once; none of them is in it twice.
    await eventually('ten resyncs', async () => (await reconciles()) >= looks + 10 * objects)
    const after = await stage.audit.writes()
    expect(after.slice(before.length)).toEqual([])
    expect(after.length).toBeGreaterThan(0)
    expect(await operator.metric('controller_runtime_reconcile_errors_total')).toBe(0)
  })

  test('this count would have shown a write: a child that somebody edits is written within the next looks', async () => {
    const before = (await stage.audit.writes()).length
    const revision = revisionOf('serving', { model: { uri: uriOf('two') } })
    await stage.client.mergePatch(deployments, stage.namespace, revision, { spec: { replicas: 1 } })
    // A write that names the version it was planned for is refused while that version is being written by others.
    const write = await eventually('the operator writes', async () =>
      (await stage.audit.writes())
        .slice(before)
        .find(({ resource, code }) => resource === 'deployments.apps' && code !== 409),
    )
    expect(write).toMatchObject({ verb: 'patch', name: revision, code: 200 })
    await stage.ready('serving')
    await converged(5)
  })
})

describe('Events', () => {
  test('every transition leaves one, in the words of the history, and none comes after', async () => {
    for (const name of ['serving', 'rejected']) {
      const { status } = await stage.get(name)
      const told = (await stage.events(name)).map(({ reason, message, type }) => ({ reason, message, type }))
      const history = (status?.history ?? []).map(({ reason, message, to }) => {
        return { reason, message, type: to === 'Rejected' ? 'Warning' : 'Normal' }
      })
      expect(history.length).toBeGreaterThan(1)
      for (const entry of history) expect(told.filter((e) => e.message === entry.message)).toEqual([entry])
    }
    const counts = async (): Promise<string[]> => {
      const all = await Promise.all(
        ['serving', 'rejected', 'suspended', 'zero', 'refused'].map((name) => stage.events(name)),
      )
      return all.flat().map((e) => `${e.metadata.name} ${e.reason ?? ''} ${e.count ?? 0}`)
    }
    const before = await counts()
    const looks = await reconciles()
    await eventually('ten resyncs', async () => (await reconciles()) >= looks + 50)
    await sleep(100)
    expect(await counts()).toEqual(before)
  })

  test('what stands in the way is an Event once, with what to do', async () => {
    const told = await stage.events('refused')
    expect(told.map(({ reason, type, count }) => ({ reason, type, count }))).toEqual([
      { reason: 'NotImplemented', type: 'Warning', count: 1 },
    ])
    expect(told[0]?.message).toBe(
      'This release cannot do: spec.model.uri (found s3://; use http://, https:// or pvc://).',
    )
  })
})
