// The reflector against a real API server: its store becomes and stays what the server has, whatever happens between.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { KubeClient } from '../../../operator/kube/client.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { byLabel, Store, type StoreEvent } from '../../../operator/kube/store.ts'
import { configmaps, type ConfigMap } from '../../../operator/kube/resources.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { startControlPlane } from '../../cluster/controlplane.ts'
import { configMap, connect, createNamespace, credentials, startRelay, until, type Connected } from './server.ts'

let server: Connected
let client: KubeClient
let namespace: string
const endings: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await connect()
  client = server.client
})

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

afterAll(() => server.close())

interface Following {
  readonly store: Store<ConfigMap>
  readonly events: StoreEvent<ConfigMap>[]
}

const follow = async (
  through: Connected,
  more: { labelSelector?: string; pageSize?: number; watchSeconds?: [number, number] } = {},
): Promise<Following> => {
  const store = new Store<ConfigMap>({ colour: byLabel('colour') })
  const events: StoreEvent<ConfigMap>[] = []
  store.subscribe((event) => events.push(event))
  const abort = new AbortController()
  const { registry } = through
  const reflector = new Reflector({
    client: through.client,
    type: configmaps,
    store,
    namespace,
    log: silent,
    registry,
    ...more,
  })
  const running = reflector.run(abort.signal)
  endings.push(() => {
    abort.abort()
    return running
  })
  await store.whenSynced(AbortSignal.timeout(20_000))
  return { store, events }
}

/** What the server has and what the store has, as comparable text. */
const same = async (store: Store<ConfigMap>): Promise<boolean> => {
  const { items } = await client.list(configmaps, { namespace })
  const text = (objects: Iterable<ConfigMap>) =>
    [...objects]
      .map(({ metadata, data }) => `${metadata.name} ${metadata.resourceVersion} ${JSON.stringify(data)}`)
      .toSorted()
  return JSON.stringify(text(items)) === JSON.stringify(text(store.list()))
}

const restarts = async ({ registry }: Connected, reason: string): Promise<number> => {
  const metric = await registry.getSingleMetric('reflector_watch_restarts_total')?.get()
  return (metric?.values ?? []).find(({ labels }) => labels['reason'] === reason)?.value ?? 0
}

const lists = async ({ registry }: Connected): Promise<number> =>
  (await registry.getSingleMetric('reflector_lists_total')?.get())?.values[0]?.value ?? 0

/**
 * A namespace in which nobody else writes any more: the controller manager puts `kube-root-ca.crt` into every new one,
 * and a test that counts ConfigMaps must not meet it half way.
 */
const quietNamespace = async (): Promise<string> => {
  const name = await createNamespace(client)
  await until('the namespace has its root certificate', () => client.find(configmaps, name, 'kube-root-ca.crt'))
  return name
}

const write = (name: string, value: string, labels = {}) =>
  client.apply(configmaps, configMap(namespace, name, { data: { value }, metadata: { name, labels } }))

describe('a reflector', () => {
  test('lists page by page, then follows adds, changes and deletes, with its indexes', async () => {
    namespace = await quietNamespace()
    await Promise.all(Array.from({ length: 11 }, (_, i) => write(`n${i}`, '1', { colour: i % 2 ? 'red' : 'blue' })))
    const { store, events } = await follow(server, { pageSize: 4 })
    expect(events.filter(({ initial }) => initial).length).toBe(store.size)
    expect(await same(store)).toBe(true)
    expect(store.byIndex('colour', 'red')).toHaveLength(5)

    await write('n1', '2', { colour: 'blue' })
    await client.delete(configmaps, namespace, 'n0')
    await write('new', '1', { colour: 'red' })
    await until('the store has followed', () => same(store))
    expect(
      store
        .byIndex('colour', 'red')
        .map(({ metadata }) => metadata.name)
        .toSorted(),
    ).toEqual(['n3', 'n5', 'n7', 'n9', 'new'])
    expect(
      events.filter(({ initial }) => !initial).map(({ type, object }) => `${type} ${object.metadata.name}`),
    ).toEqual(['modified n1', 'deleted n0', 'added new'])
    expect([...store.list()].every(({ metadata }) => metadata.managedFields === undefined)).toBe(true)
    expect(store.resourceVersion(namespace)).toBe(store.get(namespace, 'new')?.metadata.resourceVersion)
  }, 180_000)

  test('follows only what its label selector matches; what stops matching is deleted', async () => {
    namespace = await quietNamespace()
    await write('in', '1', { colour: 'red' })
    await write('out', '1', { colour: 'blue' })
    const { store } = await follow(server, { labelSelector: 'colour=red' })
    expect([...store.keys()]).toEqual([`${namespace}/in`])
    await write('in', '1', { colour: 'blue' })
    await write('out', '1', { colour: 'red' })
    await until('they have changed places', () => [...store.keys()].join() === `${namespace}/out`)
  }, 180_000)

  test('goes on without a list when the server ends its watch', async () => {
    namespace = await quietNamespace()
    const own = await connect()
    endings.push(() => own.close())
    const { store } = await follow(own, { watchSeconds: [1, 1] })
    await until('three watches have ended', async () => (await restarts(own, 'ServerTimeout')) >= 3)
    await write('after', '1')
    await until('the store has followed', () => same(store))
    expect(await lists(own)).toBe(1)
  }, 180_000)

  test('finds everything that it missed while all its connections were cut', async () => {
    namespace = await quietNamespace()
    await Promise.all(['a', 'b', 'c'].map((name) => write(name, '1')))
    const relay = await startRelay((await credentials()).server)
    const own = await connect(relay.server)
    endings.push(
      () => relay.close(),
      () => own.close(),
    )
    const { store, events } = await follow(own)

    relay.cut()
    await write('a', '2')
    await client.delete(configmaps, namespace, 'b')
    await write('d', '1')
    await until('it has met the cut', async () => (await restarts(own, 'Connection')) >= 2)
    expect(store.get(namespace, 'b')).toBeDefined()
    relay.heal()

    await until('the store has caught up', () => same(store))
    // It went on from the version it had: nothing was listed again, and nothing came twice.
    expect(await lists(own)).toBe(1)
    const late = events.filter(({ initial, object }) => !initial && object.metadata.name.length === 1)
    expect(late.map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual([
      'modified a',
      'deleted b',
      'added d',
    ])
  }, 180_000)

  test('two of them, a namespace each, fill one store', async () => {
    const store = new Store<ConfigMap>()
    const abort = new AbortController()
    const running: Promise<void>[] = []
    const made: string[] = []
    for (const value of ['1', '2']) {
      namespace = await quietNamespace()
      made.push(namespace)
      await write('x', value)
      running.push(new Reflector({ client, type: configmaps, store, namespace, log: silent }).run(abort.signal))
    }
    endings.push(() => {
      abort.abort()
      return Promise.all(running)
    })
    await store.whenSynced(AbortSignal.timeout(20_000))
    expect(made.map((one) => store.get(one, 'x')?.data)).toEqual([{ value: '1' }, { value: '2' }])
  }, 180_000)
})

describe('when its version has been compacted away', () => {
  test('it lists again and reports what was deleted meanwhile with its last state', async () => {
    // Without the watch cache a watch reads etcd, so that compaction is felt within seconds.
    const apiserverFlags = ['--watch-cache=false', '--etcd-compaction-interval=1s']
    const plane = await startControlPlane({ controllers: false, apiserverFlags })
    const before = process.env['SLIPWAY_TEST_KUBECONFIG']
    process.env['SLIPWAY_TEST_KUBECONFIG'] = plane.kubeconfig
    endings.push(
      () => plane.stop(),
      async () => (process.env['SLIPWAY_TEST_KUBECONFIG'] = before),
    )
    const direct = await connect()
    const relay = await startRelay(plane.server)
    const own = await connect(relay.server)
    endings.push(
      () => direct.close(),
      () => relay.close(),
      () => own.close(),
    )
    const shared = client
    client = direct.client
    endings.push(async () => (client = shared))
    namespace = await createNamespace(client)
    await write('kept', '1')
    await write('lost', '1')
    const { store, events } = await follow(own)

    relay.cut()
    await client.delete(configmaps, namespace, 'lost')
    for (let value = 2; value < 7; value += 1) {
      await write('kept', String(value))
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
    relay.heal()

    await until('the store has caught up', () => same(store))
    expect(await restarts(own, 'Gone')).toBeGreaterThanOrEqual(1)
    expect(await lists(own)).toBeGreaterThanOrEqual(2)
    const deleted = events.find(({ type }) => type === 'deleted')
    expect(deleted?.object).toMatchObject({ metadata: { name: 'lost' }, data: { value: '1' } })
  }, 90_000)
})
