// Caches of kinds that come and go with somebody else's CRDs, against a real API server: what is in them is there.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { OptionalFollowers } from '../../../operator/kube/optional.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import {
  customresourcedefinitions,
  resource,
  type CustomResourceDefinition,
  type ResourceType,
} from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import type { KubeObject } from '../../../operator/kube/types.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { connect, createNamespace, credentials, startRelay, until, type Connected, type Relay } from './server.ts'

const group = `optional-${randomBytes(4).toString('hex')}.test`
const things: ResourceType = resource(group, 'v1', 'things', 'Thing')

let direct: Connected
let relay: Relay
let through: Connected
let namespace = ''

beforeAll(async () => {
  direct = await connect()
  namespace = await createNamespace(direct.client)
  relay = await startRelay((await credentials()).server)
  through = await connect(relay.server)
})

afterAll(async () => {
  await remove()
  await Promise.all([through.close(), relay.close(), direct.close()])
})

const served = async (): Promise<boolean> => (await direct.client.servedKinds(group, 'v1')).includes('Thing')

const install = async (): Promise<void> => {
  const crd: CustomResourceDefinition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  }
  await direct.client.apply(customresourcedefinitions, crd, { fieldManager: 'test' })
  await until('the kind is served', served)
}

const remove = async (): Promise<void> => {
  if ((await direct.client.find(customresourcedefinitions, undefined, `things.${group}`)) === undefined) return
  await direct.client.delete(customresourcedefinitions, undefined, `things.${group}`)
  await until('the kind is gone', async () => !(await served()))
}

const make = (name: string): Promise<KubeObject> =>
  direct.client.create(things, { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name, namespace } })

test('kinds that are removed unseen and put back leave nothing of before in the cache', async () => {
  const store = new Store<KubeObject>()
  /** What was in the cache each time that the kinds were said to be served, or not. */
  const said: [served: boolean, names: string[]][] = []
  const names = (): string[] => [...store.list()].map(({ metadata }) => metadata.name)
  const { client, registry } = through
  const kinds = new OptionalFollowers({
    client,
    types: [things],
    log: silent,
    pollMs: 50,
    followers: () => [new Reflector({ client, type: things, store, namespace, log: silent, registry })],
    onChange: () => said.push([kinds.served, names()]),
  })
  const stop = new AbortController()
  const running = kinds.run(stop.signal)
  try {
    await kinds.store.whenSynced(AbortSignal.timeout(60_000))
    expect(kinds.served).toBe(false)
    await install()
    await make('before')
    await until('it is in the cache', () => kinds.served && names().includes('before'))

    // Nobody is told of its end.
    relay.cut()
    await remove()
    relay.heal()
    await until('the end is noticed', () => !kinds.served)
    await until('the cache is empty', () => names().length === 0)

    await install()
    await until('they are served again', () => kinds.served)
    expect(said.at(-1)).toEqual([true, []])
    await make('after')
    await until('what comes then is in the cache', () => names().includes('after'))
    expect(names()).toEqual(['after'])
    expect(said.map(([is]) => is)).toEqual([true, false, true])
  } finally {
    stop.abort()
    await running
  }
})

test('an API server that was away at the start is asked again soon, not after a whole period', async () => {
  const { client, registry } = through
  const failed: string[] = []
  const kinds = new OptionalFollowers({
    client,
    types: [things],
    log: { ...silent, warn: (message: string) => void failed.push(message) },
    // Whoever waits for a period to go by waits longer than this test.
    pollMs: 3_600_000,
    followers: () => [
      new Reflector({ client, type: things, store: new Store<KubeObject>(), namespace, log: silent, registry }),
    ],
    onChange: () => undefined,
  })
  relay.cut()
  const stop = new AbortController()
  const running = kinds.run(stop.signal)
  try {
    await until('it was asked in vain', () => failed.length > 1)
    expect(kinds.store.synced).toBe(false)
    relay.heal()
    await kinds.store.whenSynced(AbortSignal.timeout(90_000))
  } finally {
    relay.heal()
    stop.abort()
    await running
  }
}, 180_000)
