import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { specOf } from '../../api/fixtures.ts'
import type { ModelDeploymentSpec } from '../../api/modeldeployment.ts'
import { deploymentOf } from '../fixtures.ts'
import { gatewayService, grpcRoute, httpRoute, reachableWeights } from './routes.ts'

const traffic: ModelDeploymentSpec['traffic'] = {
  mode: 'Gateway',
  gateway: { parentRefs: [{ name: 'public', namespace: 'gateways', sectionName: 'https', port: 443 }] },
}
const owner = (rest: Partial<ModelDeploymentSpec['traffic']> = {}) =>
  deploymentOf(specOf('https://models.example/1.onnx', { traffic: { ...traffic, ...rest } }))
const weights = [
  { revision: 'fraud-1', weight: 995 },
  { revision: 'fraud-2', weight: 5 },
]

describe('an HTTPRoute', () => {
  test('names the Gateway as the user wrote it, and each revision with its thousandths', () => {
    const { metadata, spec } = httpRoute(owner(), { epoch: 7, weights }, weights)
    expect(metadata).toMatchObject({ name: 'fraud', annotations: { 'slipway.dev/epoch': '7' } })
    expect(spec.parentRefs).toEqual(traffic.gateway?.parentRefs)
    expect(spec.rules).toEqual([
      {
        backendRefs: [
          { name: 'fraud-1-gateway', port: 8080, weight: 995 },
          { name: 'fraud-2-gateway', port: 8080, weight: 5 },
        ],
        timeouts: { request: '1m' },
      },
    ])
  })

  test('leaves out who gets nothing: a Gateway may keep sessions on a backend of weight 0', () => {
    const shares = [
      { revision: 'fraud-1', weight: 1000 },
      { revision: 'fraud-2', weight: 0 },
    ]
    const [rule] = httpRoute(owner(), { epoch: 1, weights: shares }, shares).spec.rules
    expect(rule?.backendRefs).toEqual([{ name: 'fraud-1-gateway', port: 8080, weight: 1000 }])
  })

  test.each([
    ['60s', '1m'],
    ['1500ms', '1s500ms'],
    ['90s', '1m30s'],
    ['2h', '2h'],
  ])('has the timeout %s as %s, which the Gateway API takes', (timeout, written) => {
    const [rule] = httpRoute(owner({ timeout }), { epoch: 1, weights }, weights).spec.rules
    expect(rule?.timeouts.request).toBe(written)
    // Its pattern. @see GEP-2257
    expect(written).toMatch(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/)
  })
})

test('a GRPCRoute names the services of the runtime, and has no timeout: its kind knows none', () => {
  const { rules } = grpcRoute(owner(), { epoch: 1, weights }, weights).spec
  expect(rules).toHaveLength(1)
  expect(rules[0]?.matches.map(({ method }) => method.service)).toContain('inference.GRPCInferenceService')
  expect(rules[0]?.backendRefs?.map(({ port }) => port)).toEqual([9000, 9000])
  expect(rules[0]).not.toHaveProperty('timeouts')
})

test('the Service that a route names has an address of its own, and says that gRPC is h2c', () => {
  const { spec, metadata } = gatewayService(owner(), 'fraud-1')
  expect(metadata.name).toBe('fraud-1-gateway')
  expect(spec).not.toHaveProperty('clusterIP')
  expect(spec.ports.map(({ appProtocol }) => appProtocol)).toEqual([undefined, 'kubernetes.io/h2c'])
})

describe('the share of a revision without a ready pod', () => {
  test('is that of stable for as long', () => {
    expect(reachableWeights(weights, 'fraud-1', { 'fraud-1': 2 })).toEqual([{ revision: 'fraud-1', weight: 1000 }])
    expect(reachableWeights(weights, 'fraud-1', { 'fraud-1': 2, 'fraud-2': 1 })).toEqual(weights)
  })

  test('stays where it is when stable has none either, or there is no stable', () => {
    expect(reachableWeights(weights, 'fraud-1', { 'fraud-2': 1 })).toEqual(weights)
    expect(reachableWeights(weights, undefined, {})).toEqual(weights)
  })

  test('comes to stable also when stable itself was to get nothing', () => {
    const all = [{ revision: 'fraud-2', weight: 1000 }]
    expect(reachableWeights(all, 'fraud-1', { 'fraud-1': 1 })).toEqual([{ revision: 'fraud-1', weight: 1000 }])
  })

  test('is never lost and never doubled, and nobody without a pod keeps one beside a stable that has', () => {
    const names = ['a', 'b', 'c']
    const shares = fc
      .uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 2 })
      .map((cuts) => [0, ...cuts.toSorted((x, y) => x - y), 1000])
      .map((cuts) => cuts.slice(1).map((cut, i) => ({ revision: names[i] ?? '', weight: cut - (cuts[i] ?? 0) })))
    const pods = fc.record({ a: fc.nat(2), b: fc.nat(2), c: fc.nat(2) })
    fc.assert(
      fc.property(shares, fc.constantFrom(...names, undefined), pods, (asked, stable, ready) => {
        const got = reachableWeights(asked, stable, ready)
        expect(got.reduce((sum, { weight }) => sum + weight, 0)).toBe(1000)
        expect(new Set(got.map(({ revision }) => revision)).size).toBe(got.length)
        const served = new Map(Object.entries(ready))
        if (stable !== undefined && (served.get(stable) ?? 0) > 0)
          for (const { revision } of got) expect(served.get(revision)).toBeGreaterThan(0)
        // Nobody but stable ever gets more than was asked for it.
        for (const { revision, weight } of got) {
          const wanted = asked.find((share) => share.revision === revision)?.weight ?? 0
          if (revision !== stable) expect(weight).toBeLessThanOrEqual(wanted)
        }
      }),
    )
  })
})
