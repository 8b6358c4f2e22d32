import { expect, test } from '@jest/globals'
import type { EndpointSlice } from '../kube/resources.ts'
import { placesIn } from './places.ts'

type Endpoint = NonNullable<EndpointSlice['endpoints']>[number]

const endpoint = (name: string, conditions: Endpoint['conditions'] = { ready: true }): Endpoint => ({
  addresses: ['10.0.0.1'],
  nodeName: 'node-a',
  targetRef: { kind: 'Pod', name, uid: `uid-${name}` },
  conditions,
})

const slice = (service: string, endpoints: Endpoint[]): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `${service}-x`, namespace: 'team', labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  ports: [
    { name: 'udp', port: 53, protocol: 'UDP' },
    { name: 'http', port: 8080 },
  ],
  endpoints,
})

test('a pod of two Services stands there once', () => {
  const slices = [slice('slipway-router', [endpoint('router')]), slice('fraud', [endpoint('router')])]
  const { byUid, byNode } = placesIn(slices)
  expect([...byNode.keys()]).toEqual(['node-a'])
  expect([...byUid.values()]).toEqual([
    {
      namespace: 'team',
      pod: 'router',
      uid: 'uid-router',
      node: 'node-a',
      address: '10.0.0.1',
      port: 8080,
      services: ['team/slipway-router', 'team/fraud'],
    },
  ])
})

test('pods that are not ready, or on their way out, or of no node are left out', () => {
  const { nodeName: _node, ...nowhere } = endpoint('nowhere')
  const endpoints = [
    endpoint('ready'),
    endpoint('unknown', {}),
    endpoint('not-ready', { ready: false }),
    endpoint('going', { ready: true, terminating: true }),
    nowhere,
  ]
  expect([...placesIn([slice('fraud', endpoints)]).byUid.values()].map(({ pod }) => pod)).toEqual(['ready', 'unknown'])
})
