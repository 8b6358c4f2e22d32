// The real reducer explored for small bounds, and the protocol with one part missing at a time: each must be found out.
// `npm run explore` explores more.
import { describe, expect, test } from '@jest/globals'
import { explore, orderOf, type Bounds } from './explore.ts'
import { routerSpec } from './world.ts'

const canary = routerSpec({ strategy: 'Canary', steps: [{ weight: 50, minDuration: '0s' }] }, { replicas: 1 })
const bounds: Bounds = {
  spec: canary,
  versions: 2,
  routers: 2,
  controllers: 1,
  edits: 1,
  losses: 0,
  replacements: 0,
  hours: 0,
  commands: [],
  faults: {},
  maxStates: 100_000,
}

describe('every state within small bounds keeps every invariant and can settle', () => {
  const cases: [string, Partial<Bounds>][] = [
    ['a canary whose spec changes twice, with two controllers', { edits: 2, controllers: 2, routers: 1 }],
    ['a canary that loses a pod and a router while hours pass', { losses: 1, replacements: 1, hours: 1 }],
    [
      'a canary that a person aborts, promotes or takes back',
      { commands: [orderOf('abort', 2), orderOf('rollback', 2)] },
    ],
    ['a canary among three versions', { versions: 3, edits: 2 }],
    [
      'blue-green with two controllers, back to a version that is being taken away',
      { spec: routerSpec({ strategy: 'BlueGreen' }, { replicas: 1 }), controllers: 2, edits: 2, hours: 1 },
    ],
    [
      'a recreation whose spec changes twice',
      { spec: routerSpec({ strategy: 'Recreate' }, { replicas: 1 }), edits: 2 },
    ],
    [
      'a canary that borrows pods',
      { spec: { ...canary, replicas: 2, rollout: { ...canary.rollout, capacity: 'Borrow' } } },
    ],
  ]
  test.each(cases)('%s', (_, rest) => {
    const found = explore({ ...bounds, ...rest })
    expect(found.violations).toEqual([])
    expect(found.complete).toBe(true)
    expect(found.stuck).toEqual({ count: 0, path: [] })
    expect(found.states).toBeGreaterThan(100)
  })
})

describe('without one part of the protocol a revision is taken away under its users', () => {
  const cases: [string, Partial<Bounds>][] = [
    ['the acknowledgements of routers', { faults: { withoutAcks: true }, edits: 2 }],
    ['routers that refuse a lower epoch', { faults: { withoutMonotony: true }, edits: 2 }],
    [
      'the fencing of Deployments, with two controllers',
      {
        faults: { withoutFencing: true },
        spec: routerSpec({ strategy: 'BlueGreen' }, { replicas: 1 }),
        edits: 2,
        controllers: 2,
        hours: 1,
      },
    ],
  ]
  test.each(cases)('without %s', (_, rest) => {
    const found = explore({ ...bounds, ...rest, untilBroken: true })
    expect(found.violations.map(({ violation }) => violation.invariant)).toEqual(['I3'])
  })
})
