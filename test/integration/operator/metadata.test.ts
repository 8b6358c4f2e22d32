// What the caches leave out of an object (managedFields, kubectl's copy of what was applied) and what a status write
// therefore sends without it: the API server must keep all of it, or the next `kubectl apply` would do the wrong thing.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ModelDeployment } from '../../../operator/api/modeldeployment.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { Store } from '../../../operator/kube/store.ts'
import type { KubeObject } from '../../../operator/kube/types.ts'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { helmPath, kubectlPath } from '../../cluster/binaries.ts'
import { shellFor } from '../../kit/shell.ts'
import { kubeconfig } from '../kube/server.ts'
import { openStage, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(() => stage.close())

/** `kubectl apply` on the client's side, which puts its copy into an annotation. */
const kubectlApply = async (metadata: object, spec: object): Promise<void> => {
  const shell = shellFor(kubeconfig(), await kubectlPath(), await helmPath())
  const object = { apiVersion: 'slipway.dev/v1alpha1', kind: 'ModelDeployment', metadata, spec }
  await shell.kubectl(['apply', '-n', stage.namespace, '-f', '-'], JSON.stringify(object))
}

interface Managed {
  readonly manager?: string
  readonly subresource?: string
}

const managedFieldsOf = ({ metadata }: KubeObject): readonly Managed[] | undefined => metadata.managedFields

const managers = (object: ModelDeployment): string[] =>
  (managedFieldsOf(object) ?? [])
    .map(({ manager, subresource }) => `${manager ?? ''}${subresource === undefined ? '' : ` ${subresource}`}`)
    .toSorted()

const model = { uri: uriOf('kept') }
const direct = { traffic: { mode: 'Direct' }, rollout: { strategy: 'BlueGreen' } }

test('after the writes of a whole rollout kubectl still knows what it applied: what is left out next is removed', async () => {
  await stage.start()
  const metadata = { name: 'applied', labels: { team: 'a' }, annotations: { note: 'x' } }
  await kubectlApply(metadata, { model, ...direct, replicas: 2 })
  const { metadata: reached } = await stage.ready('applied')
  expect(reached.labels).toEqual({ team: 'a' })
  const copy = JSON.parse(reached.annotations?.[lastApplied] ?? '{}') as ModelDeployment
  expect(copy).toMatchObject({ spec: { replicas: 2 }, metadata: { annotations: { note: 'x' } } })
  expect(managers(await stage.get('applied'))).toEqual(['kubectl-client-side-apply', 'slipway-operator status'])

  await kubectlApply({ name: 'applied' }, { model, ...direct })
  const { metadata: after, spec } = await stage.ready('applied')
  expect(spec.replicas).toBe(1)
  expect({ labels: after.labels, note: after.annotations?.['note'] }).toEqual({ labels: undefined, note: undefined })
})

test('a status written from the cache, which holds less than the server, changes nothing but the status', async () => {
  const { client, namespace } = stage
  const finalizers = ['slipway.dev/test']
  await kubectlApply({ name: 'cached', labels: { team: 'b' }, finalizers }, { model, ...direct, suspend: true })
  await stage.says('cached', 'Ready', 'False', 'Suspended')
  const store = new Store<ModelDeployment>()
  const stop = new AbortController()
  const running = new Reflector({ client, type: modelDeployments, store, namespace, log: silent }).run(stop.signal)
  try {
    await store.whenSynced(AbortSignal.timeout(20_000))
    const cached = store.get(namespace, 'cached')
    const before = await stage.get('cached')
    expect(cached && managedFieldsOf(cached)).toBeUndefined()
    expect(cached?.metadata.annotations?.[lastApplied]).toBeUndefined()
    expect(before.metadata.annotations?.[lastApplied]).toBeDefined()
    if (cached === undefined) throw new Error('the cache has no such object')
    // Even what an outdated or trimmed cache says otherwise about the rest of it.
    const { labels: _labels, finalizers: _finalizers, ...metadata } = cached.metadata
    const status = { ...cached.status, phase: 'Idle' as const, replicas: 7 }
    const sent: ModelDeployment = { ...cached, metadata, spec: { ...cached.spec, replicas: 9 }, status }
    const written = await client.updateStatus(modelDeployments, sent)
    expect(written.status?.replicas).toBe(7)
    const { managedFields: _managed, resourceVersion: _version, ...kept } = (before as KubeObject).metadata
    expect(written.metadata).toMatchObject(kept)
    expect(written.spec).toEqual(before.spec)
    expect(managers(written)).toEqual(expect.arrayContaining(managers(before)))
  } finally {
    stop.abort()
    await running
    await client.mergePatch(modelDeployments, namespace, 'cached', { metadata: { finalizers: null } })
  }
})
