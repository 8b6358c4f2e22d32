// The plan where routers stand between users and pods: when the Service moves, and what may go.
import { describe, expect, test } from '@jest/globals'
import { directSpecOf, specOf } from '../api/fixtures.ts'
import type { ModelDeploymentSpec, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { directService, routedService } from './desired/children.ts'
import { deploymentOf, resolvedOf, revisionOf, seenOf } from './fixtures.ts'
import { plan, type Action, type Seen } from './plan.ts'
import { isWatched, type Routing } from './routing.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const uri = 'https://models.example/1.onnx'
const direct = directSpecOf(uri)
const routed = specOf(uri)
const first = deploymentOf(routed)
const { revision, hash, version, digest, image } = resolvedOf(first, 'v1')
const stable = { revision, hash, version, digest, image, promotedAt: '2026-01-01T00:00:00.000Z' }
const weights = [{ revision, weight: 1000 }]

const pods = { destination: { kind: 'Pods', revision }, readyRouters: 0, port: 20_001 } as const
const atRouters = { destination: { kind: 'Routers' }, readyRouters: 2, port: 20_001 } as const

/** The object with this traffic in its status, as it is once its first version serves. */
const seen = (
  spec: ModelDeploymentSpec,
  traffic: ModelDeploymentStatus['traffic'],
  routing: Routing,
  epochs: readonly number[],
  rest: Partial<Seen> = {},
): Seen =>
  seenOf(
    deploymentOf(spec, { stable, ...(traffic && { traffic }) }),
    {
      pods: [{ revision, total: 2, ready: 2, current: true }],
      service: {
        ...(spec.traffic.mode === 'Direct' && routing.destination.kind === 'Pods' && { revision }),
        readyEndpoints: { [revision]: 2 },
      },
      routers: epochs.map((epoch, i) => ({ name: `r${i}`, epoch })),
    },
    { routing, revisions: [revisionOf(first, 'v1')], deployments: [revision], ...rest },
  )

const address = (actions: readonly Action[]): string | undefined => {
  for (const action of actions) {
    if (action.do !== 'apply' || action.object.kind !== 'Service' || action.object.metadata.name !== 'fraud') continue
    const { selector, ports } = action.object.spec as ReturnType<typeof routedService | typeof directService>['spec']
    const to: Readonly<Record<string, string>> = selector
    return to['slipway.dev/revision'] ?? `routers:${ports[0]?.targetPort ?? 0}`
  }
  return undefined
}
const applied = (actions: readonly Action[]): string[] =>
  actions.flatMap((a) => (a.do === 'apply' ? [`${a.object.kind} ${a.object.metadata.name}`] : []))
const deleted = (actions: readonly Action[]): string[] =>
  actions.flatMap((a) => (a.do === 'delete' ? [`${a.kind} ${a.name}`] : []))

describe('an object that goes to the routers', () => {
  const unported = { epoch: 4, weights }
  const ported = { ...unported, port: 20_001, routers: { total: 2, acked: 0 } }

  test('first has its port in the status, under the epoch that it has', () => {
    const { status } = plan(seen(routed, unported, pods, []), now)
    expect(status.traffic).toEqual({ epoch: 4, port: 20_001, weights, routers: { total: 0, acked: 0 } })
  })

  test('keeps its Service on the pods until every router has applied the epoch', () => {
    for (const epochs of [[], [4, 3], [4]]) {
      const { actions } = plan(seen(routed, ported, pods, epochs), now)
      expect(address(actions)).toBe(epochs.length === 1 ? 'routers:20001' : revision)
      // Without it the routers would find no pods, and never apply anything.
      expect(applied(actions)).toContain(`Service ${revision}`)
    }
  })

  test('keeps its Service on pods that answer while a router sees none of them', () => {
    const before = seen(routed, ported, pods, [4, 4])
    const reaching = (reaches: number) => ({
      ...before,
      observed: {
        ...before.observed,
        routers: [4, 4].map((epoch, i) => ({ name: `r${i}`, epoch, reaches: i + reaches })),
      },
    })
    expect(address(plan(reaching(0), now).actions)).toBe(revision)
    expect(address(plan(reaching(1), now).actions)).toBe('routers:20001')
  })

  test('is watched while the version before is warm, however well its shares are verified', () => {
    const settled = {
      stable,
      traffic: { epoch: 4, port: 20_001, weights, routers: { total: 2, acked: 2 } },
      conditions: [
        { type: 'TrafficVerified', status: 'True', reason: 'Verified', message: '', lastTransitionTime: '' } as const,
      ],
    }
    const previous = { ...stable, expiresAt: '2026-01-01T00:10:00.000Z' }
    expect(isWatched(deploymentOf(routed, settled))).toBe(false)
    expect(isWatched(deploymentOf(routed, { ...settled, previous }))).toBe(true)
  })

  test('stays on the routers when one of them falls behind or all are gone', () => {
    for (const epochs of [[], [3, 4]])
      expect(address(plan(seen(routed, ported, atRouters, epochs), now).actions)).toBe('routers:20001')
  })

  test('whose Service was deleted gets it again at once', () => {
    const nowhere = { ...pods, destination: { kind: 'Nowhere' } } as const
    expect(address(plan(seen(routed, ported, nowhere, []), now).actions)).toBe('routers:20001')
  })

  test('that has settled has the same status and children, whatever the time, and however many routers there are', () => {
    const { status } = plan(seen(routed, ported, atRouters, [4, 4]), now)
    for (const epochs of [[4, 4], [], [4, 4, 3]]) {
      const settled = seen(routed, status.traffic, atRouters, epochs)
      const later = plan({ ...settled, deployment: { ...settled.deployment, status } }, now + 86_400_000)
      expect(later.status).toEqual(status)
      expect(later.transitions).toEqual([])
      expect(applied(later.actions)).toEqual([
        `Deployment ${revision}`,
        `Service ${revision}`,
        'Service fraud',
        'PodDisruptionBudget fraud-serving',
      ])
    }
  })
})

describe('an object that leaves the routers', () => {
  const ported = { epoch: 4, port: 20_001, weights }

  test('goes to its pods at once, and keeps its port and its Services for routers until its time has come', () => {
    const before = plan(seen(direct, ported, atRouters, [4]), now)
    expect(address(before.actions)).toBe(revision)
    expect(before.status.traffic).toEqual(ported)
    const leaving = plan(seen(direct, ported, { ...pods, leavesAt: now + 1000 }, [4], { services: [revision] }), now)
    expect(leaving.status.traffic).toEqual(ported)
    expect(deleted(leaving.actions)).toEqual([])
    expect(leaving.wakeAt).toBe(now + 1000)
    const { port: _, ...unported } = pods
    const gone = plan(seen(direct, ported, unported, [4], { services: [revision] }), now)
    expect(gone.status.traffic).toEqual({ epoch: 4, weights })
    expect(deleted(gone.actions)).toEqual([`Service ${revision}`])
  })

  test('keeps pods that routers may still send requests to', () => {
    const rest = { deployments: [revision, 'fraud-other'] }
    const stray = (epochs: readonly number[]) =>
      deleted(plan(seen(direct, ported, { ...pods, leavesAt: now }, epochs, rest), now).actions)
    expect(stray([4, 3])).toEqual([])
    expect(stray([])).toEqual([])
    expect(stray([4, 4])).toEqual(['Deployment fraud-other'])
  })
})

describe('Available, behind routers', () => {
  const available = (routing: Routing, readyEndpoints: Record<string, number>) => {
    const view = seen(routed, { epoch: 4, port: 20_001, weights }, routing, [4])
    const observed = { ...view.observed, service: { readyEndpoints } }
    const { status } = plan({ ...view, observed }, now)
    const { status: holds, reason } = status.conditions?.find(({ type }) => type === 'Available') ?? {}
    return [holds, reason]
  }

  test('needs a router and a pod', () => {
    expect(available(atRouters, { [revision]: 1 })).toEqual(['True', 'Serving'])
    expect(available({ ...atRouters, readyRouters: 0 }, { [revision]: 1 })).toEqual(['False', 'RoutersNotReady'])
    expect(available(atRouters, {})).toEqual(['False', 'NoReadyPods'])
  })
})
