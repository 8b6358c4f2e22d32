import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deployments, jobs, pods, services } from '../../../operator/kube/resources.ts'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { eventually } from './eventually.ts'
import { digestOf, ended, graph, resolved } from './hands.ts'
import { conditionOf, openStage, revisionOf, uriOf, type Stage, type WrittenSpec } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
  await stage.start({ environment: { SLIPWAY_RESYNC_INTERVAL: '1s' } })
})

afterAll(async () => stage.close())

const spec = (model: string, rest: Partial<WrittenSpec> = {}): WrittenSpec => ({
  model: { uri: uriOf(model) },
  ...rest,
})
const jobNames = async (name: string): Promise<string[]> => {
  const labelSelector = `slipway.dev/model-deployment=${name}`
  const { items } = await stage.client.list(jobs, { namespace: stage.namespace, labelSelector })
  return items.map((job) => job.metadata.name).toSorted()
}

describe('a user who changes their mind', () => {
  test('a spec changed five times within one second ends with the last one, and nothing else is left', async () => {
    await stage.apply('hasty', spec('0'))
    await stage.ready('hasty')
    const passing = ['1', '2', '3', '4'].map(uriOf)
    // On a fast machine a version between could be serving before the next edit comes, and would rightly be kept.
    const between = stage.hands.rule(({ deployment, uri, does }) =>
      deployment === 'hasty' && does === 'serve' && passing.includes(uri) ? { do: 'start' } : undefined,
    )
    for (const model of ['1', '2', '3', '4', '5']) {
      await stage.apply('hasty', spec(model))
      // Long enough for the operator to have begun with each.
      await sleep(150)
    }
    const { status } = await stage.ready('hasty')
    const [zero, last] = [revisionOf('hasty', spec('0')), revisionOf('hasty', spec('5'))]
    expect(status?.stable?.revision).toBe(last)
    expect(status?.previous?.revision).toBe(zero)
    expect(status?.rejected ?? []).toEqual([])
    between()
    await eventually('no child of a version in between is at work', async () => {
      const { deployments: left, serving } = await stage.children('hasty')
      return serving === last && Object.keys(left).toSorted().join(' ') === [zero, last].toSorted().join(' ')
    })
  })

  test('a fetch that nobody waits for any more is stopped', async () => {
    stage.hands.rule(({ deployment, uri, does }) =>
      deployment === 'slow' && does === 'resolve' && uri === uriOf('1') ? { do: 'start' } : undefined,
    )
    await stage.apply('slow', spec('1'))
    const first = `${revisionOf('slow', spec('1'))}-resolve`
    await eventually('the first fetch runs', async () => (await jobNames('slow')).includes(first))
    await stage.apply('slow', spec('2'))
    const { status } = await stage.ready('slow')
    await eventually('the first fetch is gone', async () => !(await jobNames('slow')).includes(first))
    expect(status?.history?.map((h) => h.reason)).toContain('Superseded')
    expect(await jobNames('slow')).toEqual([`${revisionOf('slow', spec('2'))}-resolve`])
  })

  test('an object deleted while its Job runs leaves nothing, and the same object made again starts afresh', async () => {
    const never = stage.hands.rule(({ deployment }) => (deployment === 'gone' ? { do: 'start' } : undefined))
    await stage.apply('gone', spec('1'))
    const job = `${revisionOf('gone', spec('1'))}-resolve`
    await eventually('its Job runs', async () => {
      const { items } = await stage.client.list(pods, { namespace: stage.namespace, labelSelector: `job-name=${job}` })
      return items.some((pod) => pod.status?.phase === 'Running')
    })
    const { uid } = (await stage.client.get(jobs, stage.namespace, job)).metadata
    await stage.client.delete(modelDeployments, stage.namespace, 'gone')
    never()
    await stage.apply('gone', spec('1'))
    const { status } = await stage.ready('gone')
    expect(status?.history?.map((h) => h.to)).toEqual(['Pending', 'Provisioning', 'Promoting', 'Idle'])
    expect((await stage.client.get(jobs, stage.namespace, job)).metadata.uid).not.toBe(uid)
    // What the first one left behind was waited for; nobody was told to rename anything.
    expect((await stage.events('gone')).filter((e) => e.type === 'Warning')).toEqual([])
  })

  test('suspend leaves everything as it is, whatever is edited or deleted, until it is taken back', async () => {
    const [before, after] = [spec('1', { replicas: 2 }), spec('2', { replicas: 1 })]
    const revision = revisionOf('frozen', before)
    await stage.apply('frozen', before)
    await stage.ready('frozen')
    await stage.apply('frozen', { ...before, suspend: true })
    await stage.says('frozen', 'Ready', 'False', 'Suspended')

    const written = (await stage.audit.writes()).length
    await stage.client.delete(services, stage.namespace, 'frozen')
    await stage.client.mergePatch(deployments, stage.namespace, revision, { spec: { replicas: 3 } })
    await stage.apply('frozen', { ...after, suspend: true })
    await stage.until('frozen', 'tells of three pods', (o) => o.status?.readyReplicas === 3)
    await sleep(2000)
    const touched = (await stage.audit.writes()).slice(written).map(({ resource, name }) => `${resource} ${name}`)
    // The status says what is; nothing is done about it.
    expect(new Set(touched)).toEqual(new Set(['modeldeployments.slipway.dev/status frozen']))
    expect((await stage.get('frozen')).status).toMatchObject({ phase: 'Suspended', stable: { revision } })

    await stage.apply('frozen', after)
    const { status } = await stage.ready('frozen')
    expect(status?.stable?.revision).toBe(revisionOf('frozen', after))
    expect((await stage.children('frozen')).serving).toBe(revisionOf('frozen', after))
  })

  test('suspend stops a rollout where it is, and it goes on from there', async () => {
    const [before, after] = [spec('1'), spec('2')]
    await stage.apply('halted', before)
    await stage.ready('halted')
    const hold = stage.hands.rule(({ uri, does, deployment }) =>
      deployment === 'halted' && does === 'serve' && uri === uriOf('2') ? { do: 'start' } : undefined,
    )
    await stage.apply('halted', after)
    await eventually('the new pod runs', () =>
      stage.hands.pods().some((p) => {
        return (
          p.metadata.labels?.['slipway.dev/revision'] === revisionOf('halted', after) && p.status?.phase === 'Running'
        )
      }),
    )
    await stage.apply('halted', { ...after, suspend: true })
    await stage.says('halted', 'Ready', 'False', 'Suspended')
    hold()
    await eventually('the new pod is ready', async () => {
      const workload = await stage.client.find(deployments, stage.namespace, revisionOf('halted', after))
      return workload?.status?.readyReplicas === 1
    })
    await sleep(1500)
    expect((await stage.children('halted')).serving).toBe(revisionOf('halted', before))
    await stage.apply('halted', after)
    const { status } = await stage.ready('halted')
    expect(status?.history?.slice(-4).map((h) => h.to)).toEqual(['Pending', 'Provisioning', 'Promoting', 'Observing'])
  })

  test('rollout.paused holds a version whose pods are ready before the Service moves, and lets it go on', async () => {
    const [before, after] = [spec('1'), spec('2')]
    await stage.apply('paused', before)
    await stage.ready('paused')
    const hold = stage.hands.rule(({ uri, does, deployment }) =>
      deployment === 'paused' && does === 'serve' && uri === uriOf('2') ? { do: 'start' } : undefined,
    )
    await stage.apply('paused', after)
    await stage.until('paused', 'provisions', (o) => o.status?.candidate?.state === 'Provisioning')
    // Pausing does not stop the pods from starting: nothing that users see changes by that.
    await stage.apply('paused', { ...after, rollout: { paused: true } })
    await stage.says('paused', 'Paused', 'True', 'Paused')
    hold()
    await eventually('the new pod is ready', async () => {
      const workload = await stage.client.find(deployments, stage.namespace, revisionOf('paused', after))
      return workload?.status?.readyReplicas === 1
    })
    await sleep(1500)
    expect((await stage.children('paused')).serving).toBe(revisionOf('paused', before))
    const held = await stage.get('paused')
    expect(conditionOf(held, 'Ready')?.message).toContain('It is held by spec.rollout.paused.')
    expect(held.status?.candidate?.state).toBe('Provisioning')
    await stage.apply('paused', after)
    expect((await stage.ready('paused')).status?.stable?.revision).toBe(revisionOf('paused', after))
  })
})

describe('a spec that cannot be honoured', () => {
  test('a field that this release cannot do is named, the old version serves on, and a corrected spec goes on', async () => {
    await stage.apply('early', spec('1'))
    await stage.ready('early')
    await stage.apply('early', { model: { uri: uriOf('2') }, rollout: { capacity: 'Borrow' } })
    const { message } = await stage.says('early', 'Stalled', 'True', 'NotImplemented')
    expect(message).toMatch(
      /^This release cannot do: spec.rollout.capacity \(found Borrow; use Surge, or traffic\.mode Router\)\. .* keeps serving\.$/,
    )
    expect(conditionOf(await stage.get('early'), 'Available')?.status).toBe('True')
    expect(await jobNames('early')).toEqual([`${revisionOf('early', spec('1'))}-resolve`])
    await stage.apply('early', spec('2'))
    expect((await stage.ready('early')).status?.stable?.revision).toBe(revisionOf('early', spec('2')))
  })

  test('a model whose clients would break is rejected with the difference, unless contract Any says it is meant', async () => {
    const other = { ...graph, inputs: [{ name: 'x', datatype: 'INT64', shape: [-1, 4] }] }
    stage.hands.rule(({ does, uri }) =>
      does === 'resolve' && uri === uriOf('other') ? resolved(uri, other) : undefined,
    )
    await stage.apply('clients', spec('1'))
    await stage.ready('clients')
    await stage.apply('clients', spec('other'))
    const { message } = await stage.says('clients', 'Stalled', 'True', 'ContractIncompatible')
    expect(message).toContain(
      'Clients of the serving version would break: input x changed from FP32 to INT64. Keep the contract, or set spec.model.contract to Any.',
    )
    expect((await stage.children('clients')).revisions).toEqual([revisionOf('clients', spec('1'))])
    // The contract is not part of the identity, so this is the same rejected revision: the token tries it again.
    await stage.apply('clients', {
      model: { uri: uriOf('other'), contract: 'Any' },
      rollout: { retryToken: 'I mean it' },
    })
    const { status } = await stage.ready('clients')
    expect(status?.stable?.revision).toBe(revisionOf('clients', spec('other')))
    expect(status?.rejected ?? []).toEqual([])
  })
})

describe('a model that cannot be fetched', () => {
  test('a digest that is not the pinned one is rejected at once, remembered, and tried again only by a new retryToken', async () => {
    const pinned = { model: { uri: uriOf('moved'), digest: digestOf('what it was') } }
    const revision = revisionOf('pinned', pinned)
    const moved = 'The file has digest sha256:1…, the spec pins sha256:2…. Correct spec.model.digest or the file.'
    const mend = stage.hands.rule(({ deployment, does }) =>
      deployment === 'pinned' && does === 'resolve'
        ? ended({ ok: false, code: 'DigestMismatch', message: moved, retryable: false })
        : undefined,
    )
    await stage.apply('pinned', pinned)
    expect((await stage.says('pinned', 'Stalled', 'True', 'DigestMismatch')).message).toBe(
      `${revision} was rejected: ${moved}`,
    )
    const { status } = await stage.get('pinned')
    expect(status).toMatchObject({ phase: 'Rejected', rejected: [{ revision, attempt: 1, class: 'Invalid' }] })
    expect(status?.candidate).toBeUndefined()
    expect(await stage.says('pinned', 'Available', 'False', 'NoVersionYet')).toBeDefined()

    mend()
    stage.hands.rule(({ deployment, does }) =>
      deployment === 'pinned' && does === 'resolve'
        ? ended({ ok: true, digest: pinned.model.digest, sizeBytes: 1, ...graph })
        : undefined,
    )
    await sleep(2000)
    expect(await jobNames('pinned')).toEqual([`${revision}-resolve`])
    await stage.apply('pinned', { ...pinned, rollout: { retryToken: 'again' } })
    expect((await stage.ready('pinned')).status?.stable?.digest).toBe(pinned.model.digest)
    expect(await jobNames('pinned')).toEqual([`${revision}-resolve`, `${revision}-resolve-2`])
  })

  test('a store that does not answer is asked again by itself, each time by a Job of its own and after a longer wait', async () => {
    const revision = revisionOf('flaky', spec('1'))
    const message = 'The store refused the connection. Make it answer.'
    stage.hands.rule(({ deployment, does }) =>
      deployment === 'flaky' && does === 'resolve'
        ? ended({ ok: false, code: 'ModelUnreachable', message, retryable: true })
        : undefined,
    )
    await stage.apply('flaky', spec('1'))
    /** Milliseconds from the end of an attempt's Job to the next attempt. */
    const waitAfter = async (attempt: number, job: string): Promise<number> => {
      const { status } = await stage.until('flaky', `waits after attempt ${attempt}`, ({ status }) => {
        return status?.candidate?.attempt === attempt && status.candidate.retryAt !== undefined
      })
      const failed = await eventually('its Job has failed', async () => {
        const { status: ran } = await stage.client.get(jobs, stage.namespace, job)
        return ran?.conditions?.find((c) => c.type === 'Failed')?.lastTransitionTime
      })
      return Date.parse(status?.candidate?.retryAt ?? '') - Date.parse(failed)
    }
    const first = await waitAfter(1, `${revision}-resolve`)
    expect(conditionOf(await stage.get('flaky'), 'Reconciling')).toMatchObject({
      status: 'True',
      reason: 'ModelUnreachable',
      message,
    })
    const second = await waitAfter(2, `${revision}-resolve-2`)
    expect(second).toBeGreaterThan(2 * first)
    expect((await stage.get('flaky')).status?.history?.at(-1)?.message).toBe(
      `${revision} is fetched again, attempt 2; before: ${message}`,
    )
  })
})
