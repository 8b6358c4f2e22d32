// The whole machinery together on a real API server: a small operator that keeps a Deployment for each ConfigMap with a
// label. What it must do for models, it must do for these.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { Consistency } from '../../../operator/controller/consistency.ts'
import { Controller } from '../../../operator/controller/controller.ts'
import { Manager } from '../../../operator/controller/manager.ts'
import { Applier } from '../../../operator/kube/apply.ts'
import { EventRecorder } from '../../../operator/kube/events.ts'
import { controllerOf, keyFor, splitKey } from '../../../operator/kube/key.ts'
import { LeaderLease } from '../../../operator/kube/lease.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import {
  configmaps,
  deployments,
  events,
  leases,
  type ConfigMap,
  type Deployment,
} from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import type { KubeObject } from '../../../operator/kube/types.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import {
  configMap,
  connect,
  createNamespace,
  credentials,
  deployment,
  leaseTimes,
  ownedBy,
  startRelay,
  until,
  type Connected,
} from './server.ts'

let server: Connected
let namespace: string
const endings: (() => unknown)[] = []

beforeAll(async () => {
  server = await connect()
})

beforeEach(async () => {
  namespace = await createNamespace(server.client)
})

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

afterAll(() => server.close())

interface Operator extends Connected {
  readonly controller: Controller
  readonly manager: Manager
  readonly children: Store<Deployment>
  /** Keys in the order in which they were reconciled. */
  readonly reconciled: string[]
  /** Resolves or rejects when the manager ends. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

const startOperator = async (identity: string, childrenThrough?: Connected): Promise<Operator> => {
  const own = await connect()
  const { client, registry } = own
  const log = silent
  const parents = new Store<ConfigMap>()
  const children = new Store<Deployment>()
  const consistency = new Consistency()
  consistency.track(deployments, children)
  const recorder = new EventRecorder({ client, log, component: 'test', instance: identity, registry })
  const ownerKey = (child: KubeObject): string | undefined => {
    const owner = controllerOf(child)
    return owner && keyFor(child.metadata.namespace, owner.name)
  }
  const applier = new Applier({
    client,
    log,
    onWritten: (type, written) => {
      const owner = ownerKey(written)
      if (owner !== undefined) consistency.record(owner, type, written.metadata.resourceVersion)
    },
  })
  const reconciled: string[] = []
  const controller = new Controller({
    name: 'parents',
    log,
    registry,
    consistency,
    maxConcurrentReconciles: 4,
    reconcile: async (key, { signal }) => {
      reconciled.push(key)
      const { namespace: within, name } = splitKey(key)
      const parent = parents.get(within, name)
      if (parent === undefined) return
      const desired = deployment(within ?? '', `${name}-child`, ownedBy(parent), Number(parent.data?.['replicas']))
      const { difference } = await applier.applyIfDifferent(deployments, children, desired, { signal })
      if (difference === undefined) return
      recorder.record(parent, { type: 'Normal', reason: 'Applied', message: difference })
    },
  })
  controller.for(parents)
  controller.watch(children, ownerKey)
  const scope = { namespace, log, registry }
  const lease = new LeaderLease({ client, name: 'operator', identity, log, registry, namespace, ...leaseTimes })
  const manager = new Manager({
    log,
    registry,
    transport: client.transport,
    followers: [
      new Reflector({ ...scope, client, type: configmaps, store: parents, labelSelector: 'role=parent' }),
      new Reflector({ ...scope, client: childrenThrough?.client ?? client, type: deployments, store: children }),
    ],
    controllers: [controller],
    lease,
    events: recorder,
  })
  const abort = new AbortController()
  const running = manager.run(abort.signal)
  const stop = (): Promise<void> => {
    abort.abort(new Error('the test is over'))
    return running
  }
  endings.push(stop)
  return { ...own, controller, manager, children, reconciled, ended: running, stop }
}

const parent = (name: string, replicas: number) =>
  server.client.apply(
    configmaps,
    configMap(namespace, name, {
      metadata: { name, labels: { role: 'parent' } },
      data: { replicas: String(replicas) },
    }),
  )

const replicasOf = async (name: string): Promise<number | undefined> =>
  (await server.client.find(deployments, namespace, `${name}-child`))?.spec?.replicas

const writes = async (operator: Operator): Promise<number> =>
  (await operator.sent('POST')) + (await operator.sent('PATCH')) + (await operator.sent('DELETE'))

const value = async (operator: Operator, name: string, labels: Record<string, string> = {}): Promise<number> => {
  const values = (await operator.registry.getSingleMetric(name)?.get())?.values ?? []
  return values
    .filter((sample) => Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted))
    .reduce((sum, sample) => sum + sample.value, 0)
}

test('it converges, follows changes, repairs what others break, and ten resyncs make no write', async () => {
  const names = Array.from({ length: 12 }, (_, index) => `p${index}`)
  await Promise.all(names.map((name) => parent(name, 0)))
  const operator = await startOperator('a')
  for (const name of names) await until(`${name} has a child`, async () => (await replicasOf(name)) === 0)

  await parent('p3', 2)
  await until('the change is applied', async () => (await replicasOf('p3')) === 2)
  await server.client.delete(deployments, namespace, 'p4-child')
  await until('the child is back', async () => (await replicasOf('p4')) === 0)
  await server.client.mergePatch(deployments, namespace, 'p5-child', {
    spec: { replicas: 0, paused: true, minReadySeconds: 3 },
  })
  await server.client.mergePatch(deployments, namespace, 'p5-child', { spec: { replicas: 4 } })
  await until('the drift is repaired', async () => (await replicasOf('p5')) === 0)

  // The Deployment controller writes status for a moment more; then nothing is left to do.
  await until('all is quiet', async () => {
    const before = operator.reconciled.length
    await new Promise((resolve) => setTimeout(resolve, 700))
    return operator.reconciled.length === before
  })
  const before = await writes(operator)
  for (let round = 1; round <= 10; round += 1) {
    const seen = operator.reconciled.length
    operator.controller.resync()
    await until('every key was looked at', () => operator.reconciled.length >= seen + names.length)
  }
  expect((await writes(operator)) - before).toBe(0)
  expect(await value(operator, 'controller_runtime_reconcile_errors_total')).toBe(0)
  expect(await value(operator, 'controller_runtime_reconcile_panics_total')).toBe(0)
}, 120_000)

test('a key is not looked at again until the cache has seen what was written for it', async () => {
  const relay = await startRelay((await credentials()).server)
  const late = await connect(relay.server)
  endings.push(
    () => relay.close(),
    () => late.close(),
  )
  const operator = await startOperator('a', late)
  await until('it is ready', () => operator.manager.notReady() === undefined)
  await until('it leads', async () => (await value(operator, 'leader_election_master_status')) === 1)

  relay.cut()
  await parent('p', 1)
  await until('the child is written', async () => (await replicasOf('p')) === 1)
  // Three more reasons to look, while the cache does not have the child.
  for (const replicas of [2, 3, 4]) await parent('p', replicas)
  await until('it was put off', async () => (await value(operator, 'controller_runtime_reconcile_deferred_total')) >= 5)
  expect(operator.reconciled).toEqual([`${namespace}/p`])
  expect(await replicasOf('p')).toBe(1)

  relay.heal()
  await until('it has caught up', async () => (await replicasOf('p')) === 4)
}, 180_000)

test('a standby has its cache filled, writes nothing, and goes on where the stopped leader ended', async () => {
  const first = await startOperator('a')
  await parent('p', 1)
  await until('the first one works', async () => (await replicasOf('p')) === 1)
  const second = await startOperator('b')
  await until('the second one is ready', () => second.manager.notReady() === undefined)
  expect(second.children.size).toBe(1)
  expect(second.reconciled).toEqual([])

  await first.stop()
  expect(first.manager.notReady()).toBe('stopping')
  await parent('p', 2)
  await until('the second one works', async () => (await replicasOf('p')) === 2)
  expect((await server.client.get(leases, namespace, 'operator')).spec?.holderIdentity).toBe('b')
}, 180_000)

test('an operator that loses its lease ends with an error and leaves its work', async () => {
  const operator = await startOperator('a')
  await until('it leads', async () => (await value(operator, 'leader_election_master_status')) === 1)
  endings.pop()
  await server.client.mergePatch(leases, namespace, 'operator', { spec: { holderIdentity: 'thief' } })
  await expect(operator.ended).rejects.toThrow('thief holds it now')
  expect((await server.client.get(leases, namespace, 'operator')).spec?.holderIdentity).toBe('thief')
}, 180_000)

test('what happens again is counted on one Event; a flood is held back', async () => {
  const own = await connect()
  endings.push(() => own.close())
  const recorder = new EventRecorder({
    client: own.client,
    log: silent,
    component: 'test',
    instance: 'i',
    registry: own.registry,
  })
  const about = await parent('p', 1)
  for (let n = 0; n < 3; n += 1) recorder.record(about, { type: 'Warning', reason: 'Same', message: 'as before' })
  recorder.record(about, { type: 'Normal', reason: 'Long', message: 'x'.repeat(5000) })
  await recorder.flush(20_000)
  const listed = async (reason: string) =>
    (await server.client.list(events, { namespace, fieldSelector: `involvedObject.name=p,reason=${reason}` })).items
  const same = await listed('Same')
  expect(same).toHaveLength(1)
  expect(same[0]).toMatchObject({ count: 3, type: 'Warning', message: 'as before', source: { component: 'test' } })
  expect((await listed('Long'))[0]?.message).toHaveLength(1024)

  for (let n = 0; n < 60; n += 1) recorder.record(about, { type: 'Normal', reason: 'Flood', message: `number ${n}` })
  await recorder.flush(20_000)
  const flood = await listed('Flood')
  // Ten of their own, and one that stands for all that follow.
  expect(flood).toHaveLength(11)
  expect(flood.filter(({ message }) => message?.startsWith('(combined from similar events)'))).toHaveLength(1)
  const metric = await own.registry.getSingleMetric('event_recorder_events_total')?.get()
  const counted = Object.fromEntries(
    (metric?.values ?? []).map(({ labels, value: count }) => [labels['result'], count]),
  )
  // A burst of 25 for one object: 4 from before, 21 of the flood.
  expect(counted).toEqual({ created: 13, counted: 12, limited: 39 })
}, 180_000)
