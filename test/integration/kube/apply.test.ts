// Applying children against a real API server: nothing is written when nothing differs, what we stop saying goes, and an
// object of someone else is never taken over.
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Applier, NameConflictError } from '../../../operator/kube/apply.ts'
import { KubeClient } from '../../../operator/kube/client.ts'
import { configmaps, deployments, type ConfigMap } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import type { OwnerReference } from '../../../operator/kube/types.ts'
import { silent, type Logger } from '../../../operator/telemetry/log.ts'
import { configMap, connect, createNamespace, deployment, ownedBy, until, type Connected } from './server.ts'

let server: Connected
let client: KubeClient
let namespace: string
let owner: OwnerReference

beforeAll(async () => {
  server = await connect()
  client = server.client
  namespace = await createNamespace(client)
  owner = ownedBy(await client.create(configmaps, configMap(namespace, 'owner')))
})

afterAll(() => server.close())

const applier = () => new Applier({ client, log: silent })

const child = (name: string, data: Record<string, string>): ConfigMap =>
  configMap(namespace, name, { metadata: { name, ownerReferences: [owner] }, data })

/** A store with what the server has now, as if a reflector had just filled it. */
const storeOf = async (name: string): Promise<Store<ConfigMap>> => {
  const store = new Store<ConfigMap>()
  const found = await client.find(configmaps, namespace, name)
  store.scope().replace(found === undefined ? [] : [found], '1')
  return store
}

test('ten applies of the same Deployment make one write; the server agrees by its audit log', async () => {
  const desired = deployment(namespace, 'still', owner, 1)
  const subject = applier()
  const first = await subject.applyIfDifferent(deployments, undefined, desired)
  expect(first).toMatchObject({ created: true, difference: 'it did not exist' })
  const writesBefore = await server.sent('PATCH')
  for (let round = 0; round < 10; round += 1) {
    const { difference } = await subject.applyIfDifferent(deployments, undefined, desired)
    expect(difference).toBeUndefined()
  }
  expect((await server.sent('PATCH')) - writesBefore).toBe(0)
  expect(await auditedWrites('deployments', 'still')).toBe(1)
}, 30_000)

test('someone else changes a field of ours: it is put back, and the place is named', async () => {
  const desired = deployment(namespace, 'drifted', owner, 1)
  await applier().applyIfDifferent(deployments, undefined, desired)
  await until('the change is through', async () =>
    client.mergePatch(deployments, namespace, 'drifted', { spec: { replicas: 3 } }),
  )
  const { difference, object } = await applier().applyIfDifferent(deployments, undefined, desired)
  expect(difference).toBe('spec.replicas is 3, should be 1')
  expect(object.spec?.replicas).toBe(1)
}, 30_000)

test('a field that we stop setting is removed, though no comparison of values shows it', async () => {
  const before = child('shrinks', { kept: '1', dropped: '2' })
  await applier().applyIfDifferent(configmaps, await storeOf('shrinks'), before)
  const after = child('shrinks', { kept: '1' })
  const { difference, object } = await applier().applyIfDifferent(configmaps, await storeOf('shrinks'), after)
  expect(difference).toContain('something that was set before is not any more')
  expect(object.data).toEqual({ kept: '1' })
})

test('the name of an object that nobody or someone else controls is a conflict, and the object is left alone', async () => {
  const other = ownedBy(await client.create(configmaps, configMap(namespace, 'other-owner')))
  const free = await client.create(configmaps, configMap(namespace, 'free', { data: { theirs: '1' } }))
  const held = await client.create(
    configmaps,
    configMap(namespace, 'held', { metadata: { name: 'held', ownerReferences: [other] } }),
  )
  for (const [object, who] of [
    [free, 'nobody'],
    [held, 'ConfigMap other-owner'],
  ] as const) {
    const { name } = object.metadata
    const trying = applier().applyIfDifferent(configmaps, await storeOf(name), child(name, { ours: '1' }))
    await expect(trying).rejects.toThrow(`ConfigMap ${namespace}/${name} exists already and is controlled by ${who}`)
    await expect(trying).rejects.toMatchObject({ name: 'NameConflictError', passing: false })
    expect(await client.get(configmaps, namespace, name)).toEqual(object)
  }
})

test('what an earlier owner of the same name left behind is a conflict that passes', async () => {
  const earlier = { ...owner, uid: '00000000-0000-0000-0000-000000000001', controller: true }
  // The garbage collector takes this away before long, which is the point.
  const left = configMap(namespace, 'left', { metadata: { name: 'left', ownerReferences: [earlier] } })
  await client.create(configmaps, left)
  const subject = applier()
  const outcome = await subject.applyIfDifferent(configmaps, undefined, child('left', { ours: '1' })).then(
    ({ created }) => created,
    (error: unknown) => (error as NameConflictError).passing,
  )
  expect(outcome).toBe(true)
  const applied = await until('it is gone and ours is there', async () =>
    subject.applyIfDifferent(configmaps, undefined, child('left', { ours: '1' })).catch(() => undefined),
  )
  expect(applied.object.data).toEqual({ ours: '1' })
}, 180_000)

test('an object that someone makes between our look and our apply is given back untouched', async () => {
  // The real client, but someone is quicker at the one moment that matters.
  class Overtaken extends KubeClient {
    override async find<T>(...args: Parameters<KubeClient['find']>): Promise<T | undefined> {
      const seen = await super.find(...args)
      const theirs = configMap(namespace, 'raced', { data: { theirs: '1' } })
      await client.create(configmaps, theirs, { fieldManager: 'someone' })
      return seen as T | undefined
    }
  }
  const subject = new Applier({ client: new Overtaken(client.transport), log: silent })
  await expect(subject.applyIfDifferent(configmaps, undefined, child('raced', { ours: '1' }))).rejects.toThrow(
    NameConflictError,
  )
  const after = await client.get(configmaps, namespace, 'raced')
  expect(after.data).toEqual({ theirs: '1' })
  expect(after.metadata.ownerReferences).toBeUndefined()
  expect(after.metadata.annotations).toBeUndefined()
})

test('a stale cache cannot make it write to an object that took the name since', async () => {
  const first = await applier().applyIfDifferent(configmaps, undefined, child('replaced', { a: '1' }))
  const store = new Store<ConfigMap>()
  store.scope().replace([first.object], '1')
  await client.delete(configmaps, namespace, 'replaced')
  const theirs = await client.create(configmaps, configMap(namespace, 'replaced', { data: { theirs: '1' } }))
  await expect(applier().applyIfDifferent(configmaps, store, child('replaced', { a: '2' }))).rejects.toThrow(
    NameConflictError,
  )
  expect(await client.get(configmaps, namespace, 'replaced')).toEqual(theirs)
})

test('a value that the server keeps in another form is applied once, said once, and then left', async () => {
  const warned: string[] = []
  const log: Logger = { ...silent, warn: (message) => warned.push(message) }
  const subject = new Applier({ client, log })
  const desired = deployment(namespace, 'normalised', owner, 1)
  const spec = desired.spec!
  // A container's `readOnly: false` is dropped by the server: it is the zero value.
  const volume = { name: 'v', emptyDir: {} }
  const [main] = spec.template.spec!.containers
  const containers = [{ ...main!, volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: false }] }]
  const odd = { ...desired, spec: { ...spec, template: { ...spec.template, spec: { containers, volumes: [volume] } } } }
  await subject.applyIfDifferent(deployments, undefined, odd)
  expect(warned).toHaveLength(1)
  for (let round = 0; round < 3; round += 1) {
    expect((await subject.applyIfDifferent(deployments, undefined, odd)).difference).toBeUndefined()
  }
  expect(warned).toHaveLength(1)
})

/** Writes that the server itself recorded; undefined of a server whose audit log we cannot read. */
const auditedWrites = async (resource: string, name: string): Promise<number | undefined> => {
  const file = process.env['SLIPWAY_TEST_AUDIT_LOG']
  // Someone's own API server was given: its requests are counted on our side only.
  if (file === undefined) return 1
  const text = await until('the audit log has it', async () => {
    const content = await readFile(file, 'utf8')
    return content.includes(`"name":"${name}"`) && content
  })
  return text
    .split('\n')
    .filter((line) => line.includes(`"name":"${name}"`) && line.includes(namespace))
    .map(
      (line) =>
        JSON.parse(line) as {
          verb: string
          stage: string
          user?: { username?: string }
          objectRef?: { resource?: string; subresource?: string; namespace?: string }
        },
    )
    .filter(({ verb, stage, user, objectRef }) => {
      const isOurs =
        user?.username?.startsWith('system:kube-controller-manager') !== true &&
        user?.username?.includes(':serviceaccount:') !== true
      return (
        isOurs &&
        stage === 'ResponseComplete' &&
        objectRef?.resource === resource &&
        objectRef.namespace === namespace &&
        verb === 'patch'
      )
    }).length
}
