import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { Registry } from 'prom-client'
import type { KubeClient } from '../kube/client.ts'
import { ConnectionError } from '../kube/errors.ts'
import type { Pod } from '../kube/resources.ts'
import { silent } from '../telemetry/log.ts'
import type { Place } from './places.ts'
import { ReachWatch } from './watch.ts'

const place = (pod: string, node: string): Place => ({
  namespace: 'team',
  pod,
  uid: pod,
  node,
  address: node,
  port: 9902,
  services: ['team/slipway-router'],
})

/** Two routers on two nodes, an API server that can be cut off, and time that passes when it is told to. */
const world = () => {
  const alive = new Set(['node-a', 'node-b'])
  const out: string[] = []
  const state = { hasServer: true, onRead: (): void => {} }
  const asked = { verb: 'get', resource: 'pods' } as const
  const client = {
    find: async (_type: unknown, _namespace: string, name: string): Promise<Pod> => {
      if (!state.hasServer) throw new ConnectionError('Timeout', asked, new Error('cut off'))
      state.onRead()
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, uid: name },
        status: { conditions: [{ type: 'Ready', status: 'True' }] },
      }
    },
    updateStatus: async (_type: unknown, pod: Pod): Promise<Pod> => {
      out.push(pod.metadata.name)
      return pod
    },
  }
  const stop = new AbortController()
  const places = [place('router-a', 'node-a'), place('router-b', 'node-b')]
  const watch = new ReachWatch({
    client: client as unknown as KubeClient,
    log: silent,
    registry: new Registry(),
    places: () => {
      const left = places.filter(({ pod }) => !out.includes(pod))
      return { byUid: new Map(left.map((one) => [one.uid, one])), byNode: Map.groupBy(left, ({ node }) => node) }
    },
    isSpare: () => false,
    knock: async (address) => alive.has(address),
  })
  const running = watch.run(stop.signal)
  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms)
  const end = async (): Promise<void> => {
    stop.abort()
    await running
  }
  return { alive, out, state, pass, end }
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] })
})
afterEach(() => {
  jest.useRealTimers()
})

test('a router on a silent node is taken out, once, and the other one never', async () => {
  const { alive, out, pass, end } = world()
  await pass(3000)
  alive.delete('node-b')
  await pass(10_000)
  expect(out).toEqual(['router-b'])
  alive.delete('node-a')
  await pass(60_000)
  expect(out).toEqual(['router-b'])
  await end()
})

test('an operator that was cut off takes nobody out when it is back', async () => {
  const { alive, out, state, pass, end } = world()
  await pass(3000)
  alive.delete('node-b')
  state.hasServer = false
  await pass(60_000)
  // The API server is heard again a moment before the node is.
  state.hasServer = true
  state.onRead = () => alive.add('node-b')
  await pass(60_000)
  expect(out).toEqual([])
  await end()
})
