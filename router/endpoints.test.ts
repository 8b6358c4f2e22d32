import { describe, expect, test } from '@jest/globals'
import type { EndpointSlice } from '../operator/kube/resources.ts'
import { endpointsOf, readEndpoints } from './endpoints.ts'

const slice = (
  endpoints: readonly object[],
  more: object = {},
  labels: object = { 'slipway.dev/revision': 'fraud-a' },
) =>
  ({
    metadata: { name: 's', labels },
    addressType: 'IPv4',
    ports: [
      { name: 'http', port: 8080 },
      { name: 'grpc', port: 9000 },
      { name: 'metrics', port: 9090 },
    ],
    endpoints,
    ...more,
  }) as unknown as EndpointSlice

const at = (address: string, conditions?: object) => ({ addresses: [address], ...(conditions && { conditions }) })
const addresses = (slices: EndpointSlice[]): string[] =>
  endpointsOf(readEndpoints(slices), 'fraud-a').http.map(({ address }) => address)

describe('pods of a revision', () => {
  test('are those that are ready and stay, each once, sorted; what is not said counts as ready', () => {
    const one = slice([at('10.0.0.3'), at('10.0.0.1', { ready: true }), at('10.0.0.2', { ready: false })])
    const two = slice([at('10.0.0.3'), at('10.0.0.4', { ready: true, terminating: true })])
    expect(addresses([one, two])).toEqual(['10.0.0.1', '10.0.0.3'])
    expect(endpointsOf(readEndpoints([one, two]), 'fraud-a')).toMatchObject({
      ready: 2,
      grpc: [
        { address: '10.0.0.1', port: 9000, healthPort: 8080 },
        { address: '10.0.0.3', port: 9000, healthPort: 8080 },
      ],
    })
  })

  test('are the ones that end and still serve, where no other is left; none of them counts as ready', () => {
    const ending = slice([
      at('10.0.0.1', { ready: false, serving: true, terminating: true }),
      at('10.0.0.2', { serving: false, terminating: true }),
    ])
    expect(addresses([ending])).toEqual(['10.0.0.1'])
    expect(endpointsOf(readEndpoints([ending]), 'fraud-a').ready).toBe(0)
  })

  test('are not found in slices of users, who are sent to routers, nor in names', () => {
    const foreign = slice([at('10.0.0.9')], {}, { 'slipway.dev/model-deployment': 'fraud' })
    const named = slice([at('pod.example')], { addressType: 'FQDN' })
    expect(readEndpoints([foreign, named]).size).toBe(0)
  })
})
