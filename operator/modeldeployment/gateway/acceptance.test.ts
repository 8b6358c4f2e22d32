import { describe, expect, test } from '@jest/globals'
import type { Route, RouteCondition } from '../resources.ts'
import { acceptances, factsOf } from './acceptance.ts'

const condition = (type: string, status = 'True', observedGeneration = 3): RouteCondition => ({
  type,
  status,
  observedGeneration,
})
const good = [condition('Accepted'), condition('ResolvedRefs')]
const at = (parents: NonNullable<Route['status']>['parents'], parentRefs = [{ name: 'public' }]): Route => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: 'fraud', namespace: 'shop', uid: 'u', generation: 3, annotations: { 'slipway.dev/epoch': '7' } },
  spec: {
    parentRefs,
    rules: [
      {
        backendRefs: [
          { name: 'fraud-1-gateway', weight: 900 },
          { name: 'fraud-2-gateway', weight: 100 },
        ],
      },
    ],
  },
  ...(parents && { status: { parents } }),
})
const one = (route: Route) => {
  const [first] = acceptances(route)
  if (first === undefined) throw new Error('the route names no Gateway')
  return first
}

describe('a route', () => {
  test('is current when its controller has accepted this very generation and knows its backends', () => {
    expect(one(at([{ parentRef: { name: 'public' }, conditions: good }]))).toMatchObject({
      name: 'HTTPRoute fraud at Gateway shop/public',
      isCurrent: true,
      isUsed: true,
    })
  })

  test.each([
    ['an older generation', [condition('Accepted', 'True', 2), condition('ResolvedRefs', 'True', 2)], true],
    ['acceptance alone', [condition('Accepted')], true],
    [
      'acceptance of this and backends of an older one',
      [condition('Accepted'), condition('ResolvedRefs', 'True', 2)],
      true,
    ],
    ['a controller that knows no backend', [condition('Accepted'), condition('ResolvedRefs', 'False')], true],
    ['a refusal', [condition('Accepted', 'False'), condition('ResolvedRefs')], false],
    ['no condition', [], false],
  ])('is not current with %s', (_, conditions, isUsed) => {
    expect(one(at([{ parentRef: { name: 'public' }, conditions }]))).toMatchObject({ isCurrent: false, isUsed })
  })

  test('is not current where the status is about another Gateway, listener or port', () => {
    for (const parentRef of [
      { name: 'other' },
      { name: 'public', namespace: 'else' },
      { name: 'public', sectionName: 'https' },
      { name: 'public', port: 80 },
    ])
      expect(one(at([{ parentRef, conditions: good }])).isCurrent).toBe(false)
    expect(one(at([{ parentRef: { name: 'public', namespace: 'shop' }, conditions: good }])).isCurrent).toBe(true)
  })

  test('has one entry for each Gateway, and the objection in the words of its controller', () => {
    const refused = { ...condition('Accepted', 'False'), reason: 'NotAllowedByListeners', message: 'no such host' }
    const found = acceptances(
      at(
        [
          { parentRef: { name: 'public' }, conditions: good },
          { parentRef: { name: 'private' }, conditions: [refused] },
        ],
        [{ name: 'public' }, { name: 'private' }],
      ),
    )
    expect(found.map(({ isCurrent }) => isCurrent)).toEqual([true, false])
    expect(found[1]?.objection).toBe('HTTPRoute fraud at Gateway shop/private: NotAllowedByListeners: no such host')
  })
})

describe('to the rollout', () => {
  const taken = at([{ parentRef: { name: 'public' }, conditions: good }])

  test('a route has applied its epoch only when that was accepted, and has settled', () => {
    expect(factsOf(taken, one(taken), 7, true)).toEqual({
      name: 'HTTPRoute fraud at Gateway shop/public',
      isRoute: true,
      epoch: 7,
      serving: 'fraud-1',
    })
    expect(factsOf(taken, one(taken), 7, false).epoch).toBeUndefined()
    const silent = at([])
    expect(factsOf(silent, one(silent), 7, true).epoch).toBeUndefined()
  })

  test('a later epoch than the status knows is told at once: the status was lost, and is numbered above it', () => {
    const silent = at([])
    expect(factsOf(silent, one(silent), 2, false).epoch).toBe(7)
    expect(factsOf(silent, one(silent), undefined, false)).toMatchObject({ epoch: 7, serving: 'fraud-1' })
  })
})
