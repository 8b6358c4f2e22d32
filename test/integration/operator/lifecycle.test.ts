import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import {
  deployments,
  endpointslices,
  jobs,
  pods,
  replicasets,
  services,
  type ResourceType,
} from '../../../operator/kube/resources.ts'
import { modelDeployments, modelRevisions } from '../../../operator/modeldeployment/resources.ts'
import { helmPath, kubectlPath } from '../../cluster/binaries.ts'
import { shellFor } from '../../kit/shell.ts'
import { kubeconfig } from '../kube/server.ts'
import { eventually } from './eventually.ts'
import { digestOf, pulledDigest } from './hands.ts'
import { openStage, revisionOf, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
  await stage.start()
})

afterAll(async () => stage.close())

const kubectl = async (...args: string[]): Promise<string> => {
  const shell = shellFor(kubeconfig(), await kubectlPath(), await helmPath())
  return shell.kubectl([...args, '--namespace', stage.namespace])
}

/** Names of the pods that endpoints of the object's Service list as ready. */
const answering = async (name: string): Promise<string[]> => {
  const labelSelector = `kubernetes.io/service-name=${name}`
  const { items } = await stage.client.list(endpointslices, { namespace: stage.namespace, labelSelector })
  const ready = items.flatMap((slice) => slice.endpoints ?? []).filter((e) => e.conditions?.ready === true)
  return ready.map((e) => e.targetRef?.name ?? '').toSorted()
}

const podsOf = (revision: string): string[] =>
  stage.hands
    .pods()
    .filter((pod) => pod.metadata.labels?.['slipway.dev/revision'] === revision)
    .map((pod) => pod.metadata.name)
    .toSorted()

describe('a ModelDeployment from its first version to its end', () => {
  const first = { model: { uri: uriOf('first') }, replicas: 2 }
  const second = { model: { uri: uriOf('second'), version: 'v2' }, replicas: 2 }
  const [one, two] = [revisionOf('fraud', first), revisionOf('fraud', second)]

  test('its first version is fetched, gets its pods, and answers', async () => {
    await stage.apply('fraud', first)
    const { status } = await stage.ready('fraud')
    const digest = digestOf(first.model.uri)
    expect(status?.stable).toMatchObject({
      revision: one,
      version: digest.slice(7, 19),
      digest,
      image: `registry.test/slipway-runtime@${pulledDigest}`,
    })
    expect(status).toMatchObject({
      observedGeneration: 1,
      phase: 'Idle',
      replicas: 2,
      readyReplicas: 2,
      traffic: { epoch: 1, weights: [{ revision: one, weight: 1000 }] },
    })
    expect(status?.history?.map((h) => h.to)).toEqual(['Pending', 'Provisioning', 'Promoting', 'Idle'])
    expect(await stage.says('fraud', 'Available', 'True', 'Serving')).toMatchObject({
      message: `${digest.slice(7, 19)} (${one}) answers.`,
    })
    expect(await stage.children('fraud')).toEqual({ serving: one, deployments: { [one]: 2 }, revisions: [one] })
    expect(await answering('fraud')).toEqual(podsOf(one))
    // The fetch has done its work; its Job stays a while, so that a person can read its log.
    await eventually('the Job of the fetch is complete', async () => {
      const { status } = await stage.client.get(jobs, stage.namespace, `${one}-resolve`)
      return status?.conditions?.some((c) => c.type === 'Complete' && c.status === 'True')
    })
    // What the pods run is frozen in the revision, the image by the digest that was pulled.
    const workload = await stage.client.get(deployments, stage.namespace, one)
    const revision = await stage.client.get(modelRevisions, stage.namespace, one)
    expect(workload.spec?.template.spec).toMatchObject(revision.spec.podTemplate.spec)
    expect(revision.spec).toMatchObject({ hash: one.slice(-10), intent: { model: first.model }, model: { digest } })
  })

  test('users get the second version only when all of its pods are ready, and the first until then', async () => {
    const before = podsOf(one)
    let started: string | undefined
    const hold = stage.hands.rule(({ does, revision, pod }) => {
      if (does === 'resolve' || revision !== two) return undefined
      started ??= pod.metadata.name
      return { do: pod.metadata.name === started ? 'serve' : 'start' }
    })
    await stage.apply('fraud', second)
    const waiting = await stage.until('fraud', 'has one ready pod of the second', ({ status }) => {
      return status?.candidate?.readyReplicas === 1
    })
    expect(waiting.status).toMatchObject({
      phase: 'Provisioning',
      candidate: { revision: two, version: 'v2', weight: '0%' },
      stable: { revision: one },
      traffic: { weights: [{ revision: one }] },
    })
    expect(await stage.children('fraud')).toMatchObject({ serving: one, deployments: { [one]: 2, [two]: 2 } })
    expect(await answering('fraud')).toEqual(before)

    hold()
    const { status } = await stage.ready('fraud')
    expect(status).toMatchObject({ phase: 'Observing', stable: { revision: two }, previous: { revision: one } })
    expect(await answering('fraud')).toEqual(podsOf(two))
    // The old pods are the same ones as before, and stay warm.
    expect(podsOf(one)).toEqual(before)
  })

  test('a spec edited back while the old pods are warm is back at once, with the same pods and without a fetch', async () => {
    const before = podsOf(one)
    const fetches = (await stage.client.list(jobs, { namespace: stage.namespace })).items.length
    await stage.apply('fraud', first)
    const { status } = await stage.ready('fraud')
    expect(status).toMatchObject({ stable: { revision: one }, previous: { revision: two } })
    expect(podsOf(one)).toEqual(before)
    expect(await answering('fraud')).toEqual(before)
    expect((await stage.client.list(jobs, { namespace: stage.namespace })).items).toHaveLength(fetches)
  })

  test('rollback.to takes it to a kept version by name, holds edits back, and lets go when it is cleared', async () => {
    await stage.apply('fraud', { ...first, rollback: { to: 'v2' } })
    expect((await stage.ready('fraud')).status?.stable?.revision).toBe(two)
    const edited = { ...first, model: { uri: uriOf('third') } }
    await stage.apply('fraud', { ...edited, rollback: { to: 'v2' } })
    const held = await stage.ready('fraud')
    expect(held.status?.stable?.revision).toBe(two)
    expect(held.status?.conditions?.find((c) => c.type === 'Ready')?.message).toContain(
      'spec.rollback.to holds it there; the edited spec.model waits until that is cleared.',
    )
    await stage.apply('fraud', { ...edited, rollback: { to: 'v0' } })
    expect((await stage.says('fraud', 'Stalled', 'True', 'RollbackTargetNotFound')).message).toMatch(
      /spec.rollback.to is "v0", which is no kept revision; kept are: .*v2 \(.*keeps serving/,
    )
    await stage.apply('fraud', edited)
    expect((await stage.ready('fraud')).status?.stable?.revision).toBe(revisionOf('fraud', edited))
  })

  test('kubectl scale changes how many pods there are and nothing else', async () => {
    const { status: before } = await stage.get('fraud')
    await kubectl('scale', 'modeldeployment/fraud', '--replicas=3')
    const { spec, status } = await stage.until('fraud', 'has three pods', (o) => o.status?.readyReplicas === 3)
    expect(spec.replicas).toBe(3)
    expect(status?.stable).toEqual(before?.stable)
    expect(status?.history).toEqual(before?.history)
    const { deployments: kept } = await stage.children('fraud')
    expect(kept[before?.stable?.revision ?? '']).toBe(3)
    expect(await kubectl('get', 'modeldeployment/fraud', '-o', 'jsonpath={.status.replicas} {.status.selector}')).toBe(
      `3 slipway.dev/model-deployment=fraud,slipway.dev/revision=${before?.stable?.revision ?? ''}`,
    )
  })

  test('its end takes everything with it', async () => {
    await kubectl('delete', 'modeldeployment/fraud')
    const { client, namespace } = stage
    await eventually('nothing of fraud is left', async () => {
      const labelSelector = 'slipway.dev/model-deployment=fraud'
      const types: readonly ResourceType[] = [
        services,
        deployments,
        replicasets,
        jobs,
        pods,
        modelRevisions,
        endpointslices,
      ]
      const left = await Promise.all(types.map((type) => client.list(type, { namespace, labelSelector })))
      return left.every(({ items }) => items.length === 0)
    })
    expect(await client.find(modelDeployments, namespace, 'fraud')).toBeUndefined()
  })
})

describe('old versions', () => {
  test('the pods of the previous version go after keepPreviousFor; revisions stay up to revisionHistoryLimit', async () => {
    const spec = (model: string) => ({
      model: { uri: uriOf(model) },
      rollout: { keepPreviousFor: '1s' },
      revisionHistoryLimit: 1,
    })
    const [a, b, c] = [spec('a'), spec('b'), spec('c')].map((s) => revisionOf('churn', s)) as [string, string, string]
    await stage.apply('churn', spec('a'))
    await stage.ready('churn')
    await stage.apply('churn', spec('b'))
    await stage.until('churn', 'lets its previous version go', (o) => {
      return o.status?.stable?.revision === b && o.status?.previous === undefined
    })
    await eventually('the pods of the first are gone', async () => {
      const { deployments: left } = await stage.children('churn')
      return !Object.hasOwn(left, a)
    })
    expect(await stage.children('churn')).toEqual({ serving: b, deployments: { [b]: 1 }, revisions: [a, b].toSorted() })

    await stage.apply('churn', spec('c'))
    await stage.until('churn', 'lets its previous version go', (o) => {
      return o.status?.stable?.revision === c && o.status?.previous === undefined
    })
    await eventually('only the newest unused revision is left', async () => {
      const { revisions, deployments: left } = await stage.children('churn')
      return revisions.length === 2 && Object.keys(left).length === 1
    })
    expect(await stage.children('churn')).toEqual({ serving: c, deployments: { [c]: 1 }, revisions: [b, c].toSorted() })
  })
})
