// The plan where a Gateway stands between users and pods: which routes are made, in which order, and what may go when.
import { describe, expect, test } from '@jest/globals'
import { directSpecOf, specOf } from '../api/fixtures.ts'
import type { ModelDeploymentSpec, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import { deploymentOf, resolvedOf, revisionOf, seenOf } from './fixtures.ts'
import type { RouteSight } from './gateway/sight.ts'
import { plan, type Action, type Seen } from './plan.ts'
import type { Routing } from './routing.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const uri = 'https://models.example/1.onnx'
const atGateway = specOf(uri, { traffic: { mode: 'Gateway', gateway: { parentRefs: [{ name: 'public' }] } } })
const first = deploymentOf(atGateway)
const { revision, hash, version, digest, image } = resolvedOf(first, 'v1')
const stable = { revision, hash, version, digest, image, promotedAt: '2026-01-01T00:00:00.000Z' }
const old = 'fraud-00000000'
const weights = [{ revision, weight: 1000 }]
const traffic = { epoch: 4, weights, routers: { total: 2, acked: 2 } }

const settled: RouteSight = { exist: ['HTTPRoute', 'GRPCRoute'], mayBeUsed: true, hasHttpSettled: true, isUsed: true }
const none: RouteSight = { exist: [], mayBeUsed: false, hasHttpSettled: false, isUsed: false }
const pods = { destination: { kind: 'Pods', revision }, readyRouters: 0 } as const

const seen = (
  spec: ModelDeploymentSpec,
  routing: Routing,
  {
    rest,
    status,
    observed,
  }: {
    readonly rest?: Partial<Seen>
    readonly status?: Partial<ModelDeploymentStatus>
    readonly observed?: Partial<Seen['observed']>
  } = {},
): Seen =>
  seenOf(
    deploymentOf(spec, { stable, traffic, ...status }),
    {
      pods: [{ revision, total: 2, ready: 2, current: true }],
      service: { revision, readyEndpoints: { [revision]: 2 } },
      routers: [{ name: 'HTTPRoute', isRoute: true, epoch: 4 }],
      ...observed,
    },
    { routing, revisions: [revisionOf(first, 'v1')], deployments: [revision], gatewayServices: [revision], ...rest },
  )

const applied = (actions: readonly Action[]): string[] =>
  actions.flatMap((a) => (a.do === 'apply' ? [`${a.object.kind} ${a.object.metadata.name}`] : []))
const deleted = (actions: readonly Action[]): string[] =>
  actions.flatMap((a) => (a.do === 'delete' ? [`${a.kind} ${a.name}`] : []))
const claim = ({ status }: ReturnType<typeof plan>, type: string) => {
  const { status: is, reason, message } = status.conditions?.find((c) => c.type === type) ?? {}
  return { is, reason, message }
}

describe('an object in mode Gateway', () => {
  test('has the Service of the routes before the routes, and the GRPCRoute after the HTTPRoute', () => {
    const { actions } = plan(seen(atGateway, { ...pods, routes: settled }), now)
    const made = applied(actions)
    expect(made).toEqual([
      `Deployment ${revision}`,
      `Service ${revision}-gateway`,
      'Service fraud',
      'HTTPRoute fraud',
      'GRPCRoute fraud',
      'PodDisruptionBudget fraud-serving',
    ])
    expect(deleted(actions)).toEqual([])
  })

  test('gets no GRPCRoute before the HTTPRoute has settled, and loses one whose HTTPRoute is gone', () => {
    const unsettled = plan(
      seen(atGateway, { ...pods, routes: { ...settled, exist: ['HTTPRoute'], hasHttpSettled: false } }),
      now,
    )
    expect(applied(unsettled.actions)).not.toContain('GRPCRoute fraud')
    const orphan = plan(
      seen(atGateway, { ...pods, routes: { ...settled, exist: ['GRPCRoute'], hasHttpSettled: false } }),
      now,
    )
    expect(applied(orphan.actions)).toContain('HTTPRoute fraud')
    expect(applied(orphan.actions)).not.toContain('GRPCRoute fraud')
    expect(deleted(orphan.actions)).toEqual(['GRPCRoute fraud'])
  })

  test('writes no route that is refused or belongs to somebody else', () => {
    for (const reason of ['GatewayApiMissing', 'NameConflict'] as const) {
      const refusal = { reason, message: 'no' }
      const { actions } = plan(seen(atGateway, { ...pods, routes: none }, { observed: { refusal } }), now)
      expect(applied(actions)).not.toContain('HTTPRoute fraud')
    }
  })

  test('has no route while nobody is to be sent anywhere', () => {
    const status = { traffic: { epoch: 5, weights: [] } }
    const { actions } = plan(seen(atGateway, { ...pods, routes: settled }, { status }), now)
    expect(deleted(actions)).toEqual(['HTTPRoute fraud', 'GRPCRoute fraud'])
    expect(applied(actions)).not.toContain('HTTPRoute fraud')
  })

  test('is available only when a Gateway sends users, and tells in its words why none does', () => {
    const problem = 'HTTPRoute fraud at Gateway shop/public: NotAllowedByListeners: not here'
    const refused = plan(seen(atGateway, { ...pods, routes: { ...settled, isUsed: false, problem } }), now)
    expect(claim(refused, 'Available')).toEqual({ is: 'False', reason: 'RouteNotAccepted', message: problem })
    const taken = plan(seen(atGateway, { ...pods, routes: settled }), now)
    expect(claim(taken, 'Available').is).toBe('True')
  })

  test('is not Ready before the routes have its shares, and is never said to be verified', () => {
    const observed = { routers: [{ name: 'HTTPRoute', isRoute: true as const }] }
    const waiting = plan(
      seen(atGateway, { ...pods, routes: settled }, { observed, status: { traffic: { epoch: 4, weights } } }),
      now,
    )
    expect(claim(waiting, 'Ready')).toMatchObject({ is: 'False', reason: 'RouteNotAccepted' })
    expect(claim(waiting, 'TrafficVerified')).toMatchObject({ is: 'Unknown', reason: 'RouteNotAccepted' })
    expect(waiting.status.traffic?.routers).toEqual({ total: 1, acked: 0 })
    const done = plan(seen(atGateway, { ...pods, routes: settled }), now)
    expect(claim(done, 'TrafficVerified')).toMatchObject({ is: 'Unknown', reason: 'NotMeasured' })
  })

  test('wakes when an acceptance has settled, which no watch tells', () => {
    expect(plan(seen(atGateway, { ...pods, routes: { ...settled, settlesAt: now + 5000 } }), now).wakeAt).toBe(
      now + 5000,
    )
  })

  test('keeps the pods of a revision that a route may still name', () => {
    const rest = { deployments: [revision, old], gatewayServices: [revision, old] }
    const routing = { ...pods, routes: settled }
    const held = { routers: [{ name: 'HTTPRoute', isRoute: true as const }] }
    expect(deleted(plan(seen(atGateway, routing, { rest, observed: held }), now).actions)).toEqual([])
    expect(deleted(plan(seen(atGateway, routing, { rest }), now).actions)).toEqual([`Deployment ${old}`])
    const gone = { deployments: [revision], gatewayServices: [revision, old] }
    expect(deleted(plan(seen(atGateway, routing, { rest: gone }), now).actions)).toEqual([`Service ${old}-gateway`])
  })
})

describe('an object that leaves its Gateway', () => {
  const routed = specOf(uri)
  const atRouters = { destination: { kind: 'Routers' }, readyRouters: 2, port: 20_001 } as const
  const routes = { routes: settled }
  const kept = { deployments: [revision, old], gatewayServices: [revision, old] }

  test('for routers keeps its routes until the Service is on routers that are ready', () => {
    for (const routing of [pods, { ...atRouters, readyRouters: 0 }])
      expect(deleted(plan(seen(routed, { ...routing, ...routes }), now).actions)).toEqual([])
    const { actions } = plan(seen(routed, { ...atRouters, ...routes }), now)
    expect(deleted(actions)).toEqual(['HTTPRoute fraud', 'GRPCRoute fraud'])
  })

  test('for routers is not kept from them by its routes, which go only afterwards', () => {
    const observed = {
      service: { readyEndpoints: { [revision]: 2 } },
      routers: [
        { name: 'r1', epoch: 4 },
        { name: 'HTTPRoute', isRoute: true as const },
      ],
    }
    const status = { traffic: { ...traffic, port: 20_001 } }
    const { actions } = plan(seen(routed, { ...pods, ...routes, port: 20_001 }, { observed, status }), now)
    const service = actions.find(
      (a) => a.do === 'apply' && a.object.metadata.name === 'fraud' && a.object.kind === 'Service',
    )
    expect(service?.why).toContain('users come to the routers')
  })

  test('keeps every pod and every Service of the routes until those are gone, and for a while after', () => {
    const direct = directSpecOf(uri)
    const there = plan(seen(direct, { ...pods, ...routes }, { rest: kept }), now)
    expect(deleted(there.actions)).toEqual(['HTTPRoute fraud', 'GRPCRoute fraud'])
    const justGone = plan(seen(direct, { ...pods, routes: { ...none, mayBeUsed: true } }, { rest: kept }), now)
    expect(deleted(justGone.actions)).toEqual([])
    const gone = plan(seen(direct, pods, { rest: kept }), now)
    expect(deleted(gone.actions)).toEqual([
      `Deployment ${old}`,
      `Service ${revision}-gateway`,
      `Service ${old}-gateway`,
    ])
  })

  test('for no proxy at all keeps its routes while the address answers nobody', () => {
    const observed = { service: { revision, readyEndpoints: {} } }
    expect(deleted(plan(seen(directSpecOf(uri), { ...pods, ...routes }, { observed }), now).actions)).toEqual([])
  })
})
