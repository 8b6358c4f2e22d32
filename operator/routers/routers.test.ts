import { describe, expect, test } from '@jest/globals'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import { specOf } from '../api/fixtures.ts'
import type { KubeClient } from '../kube/client.ts'
import { resource, type EndpointSlice } from '../kube/resources.ts'
import { Store } from '../kube/store.ts'
import type { RouterEndpoint } from './ask.ts'
import { answerOf } from './fixtures.ts'
import { Routers, serviceIndex } from './routers.ts'

const sliceOf = (pods: readonly string[], ready = true): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: 'slipway-router-x',
    namespace: 'shop',
    uid: 'slice',
    resourceVersion: String(Math.random()),
    labels: { 'kubernetes.io/service-name': 'slipway-router' },
  },
  addressType: 'IPv4',
  endpoints: pods.map((name, i) => ({
    addresses: [`10.0.0.${i}`],
    targetRef: { kind: 'Pod', name },
    conditions: { ready },
  })),
})

/** Routers whose rounds are answered by hand, and a clock that stands still until it is moved. */
const desk = (pods: readonly string[], ready = true) => {
  const endpointSlices = new Store<EndpointSlice>(serviceIndex)
  const scope = endpointSlices.scope()
  scope.replace([sliceOf(pods, ready)], '1')
  const asked: string[] = []
  const clock = { now: 1000 }
  let held: Promise<void> | undefined
  const silent = new Set<string>()
  const routers = new Routers({
    client: {} as KubeClient,
    modelDeployments: resource<ModelDeployment>('slipway.dev', 'v1alpha1', 'modeldeployments', 'ModelDeployment'),
    endpointSlices,
    asker: {
      ask: async ({ name, ...rest }: RouterEndpoint) => {
        asked.push(name)
        await held
        if (silent.has(name)) {
          // The others have answered long before.
          await new Promise(setImmediate)
          clock.now += 2000
          return { router: name, ...rest, error: 'no answer within 2000 ms' }
        }
        const { state } = answerOf(name, 1, {})
        return { router: name, ready: rest.ready, terminating: rest.terminating, ...(state && { state }) }
      },
    },
    clock: () => clock.now,
  })
  return {
    routers,
    asked,
    clock,
    silent,
    list: (names: readonly string[], nowReady = true) => scope.replace([sliceOf(names, nowReady)], '2'),
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return resolve
    },
  }
}

describe('the routers of a namespace', () => {
  test('are asked once for all who want to know at the same time', async () => {
    const { routers, asked, hold } = desk(['a', 'b'])
    const go = hold()
    const waiting = Array.from({ length: 5000 }, () => routers.answers('shop'))
    go()
    const answers = await Promise.all(waiting)
    expect(asked).toEqual(['a', 'b'])
    expect(answers.every((a) => a.length === 2 && a.every(({ state }) => state !== undefined))).toBe(true)
  })

  test('are not asked again within 200 ms, and for at most a sixth of the time', async () => {
    const { routers, asked, clock, hold } = desk(['a'])
    await routers.answers('shop')
    clock.now += 199
    await routers.answers('shop')
    expect(asked).toHaveLength(1)
    clock.now += 1
    const go = hold()
    const slow = routers.answers('shop')
    clock.now += 1000
    go()
    await slow
    expect(asked).toHaveLength(2)
    clock.now += 4999
    await routers.answers('shop')
    expect(asked).toHaveLength(2)
    clock.now += 1
    await routers.answers('shop')
    expect(asked).toHaveLength(3)
  })

  test('are asked as often as ever when one of them is silent: to wait is no work', async () => {
    const { routers, asked, clock, silent } = desk(['a', 'b'])
    silent.add('b')
    await routers.answers('shop')
    clock.now += 199
    await routers.answers('shop')
    expect(asked).toHaveLength(2)
    clock.now += 1
    await routers.answers('shop')
    expect(asked).toHaveLength(4)
  })

  test('that came since the last round are there without an answer, and those that went are not', async () => {
    const { routers, list } = desk(['a', 'b'])
    await routers.answers('shop')
    list(['b', 'c'])
    const answers = await routers.answers('shop')
    expect(answers.map(({ router, state }) => [router, state !== undefined])).toEqual([
      ['b', true],
      ['c', false],
    ])
  })

  test('are remembered as having served, also when they are not ready any more', async () => {
    const { routers, list } = desk(['a'])
    await routers.answers('shop')
    list(['a'], false)
    expect(await routers.answers('shop')).toMatchObject([{ router: 'a', ready: false, hasServed: true }])
  })
})

describe('ports', () => {
  const objectOf = (name: string, port?: number): ModelDeployment => ({
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace: 'shop', uid: `uid-of-${name}` },
    spec: specOf('https://models.example/1.onnx'),
    ...(port !== undefined && { status: { traffic: { epoch: 1, weights: [], port } } }),
  })

  test('are known from one read of the API server, and a read that failed is made again', async () => {
    let reads = 0
    const client = {
      list: () => {
        reads++
        if (reads === 1) return Promise.reject(new Error('gone'))
        return Promise.resolve({ items: [objectOf('other', 20_000)], resourceVersion: '1' })
      },
    }
    const routers = new Routers({
      client: client as unknown as KubeClient,
      modelDeployments: resource<ModelDeployment>('slipway.dev', 'v1alpha1', 'modeldeployments', 'ModelDeployment'),
      endpointSlices: new Store<EndpointSlice>(serviceIndex),
      asker: { ask: () => Promise.reject(new Error('nobody is asked')) },
    })
    await expect(routers.portOf(objectOf('fraud'))).rejects.toThrow('gone')
    const ports = await Promise.all(['a', 'b', 'c'].map((name) => routers.portOf(objectOf(name))))
    expect(new Set([...ports, 20_000]).size).toBe(4)
    expect(reads).toBe(2)
    expect(await routers.portOf(objectOf('other', 20_000))).toBe(20_000)
    // The cache does not show the port yet that the object was given.
    expect(await routers.portOf(objectOf('a'))).toBe(ports[0])
    await routers.release('shop', 'uid-of-a')
    expect(await routers.portOf(objectOf('a'))).toBe(ports[0])
  })
})
