import { expect, test } from '@jest/globals'
import { createServer, type AddressInfo } from 'node:net'
import type { Pod } from '../kube/resources.ts'
import { knock } from './knock.ts'
import { withoutReady } from './takeout.ts'

const podThatIs = (status: 'True' | 'False'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'router', namespace: 'team' },
  spec: { containers: [] },
  status: {
    podIP: '10.0.0.1',
    conditions: [
      { type: 'ContainersReady', status: 'True' },
      { type: 'Ready', status },
    ],
  },
})

test('only the condition Ready of a pod changes, and says why', () => {
  const pod = withoutReady(podThatIs('True'), 'node-b', new Date(0))
  expect(pod?.status?.podIP).toBe('10.0.0.1')
  expect(pod?.status?.conditions).toEqual([
    { type: 'ContainersReady', status: 'True' },
    {
      type: 'Ready',
      status: 'False',
      reason: 'NodeSilent',
      message: expect.stringContaining('Node node-b does not answer'),
      lastTransitionTime: '1970-01-01T00:00:00.000Z',
    },
  ])
})

test('a pod that is not ready is left as it is', () => {
  expect(withoutReady(podThatIs('False'), 'node-b', new Date(0))).toBeUndefined()
})

test('whoever listens answers a knock, and so does a machine on which nobody does', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  expect(await knock('127.0.0.1', port, 60_000)).toBe(true)
  await new Promise((resolve) => server.close(resolve))
  expect(await knock('127.0.0.1', port, 60_000)).toBe(true)
})
