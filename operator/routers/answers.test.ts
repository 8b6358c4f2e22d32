import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isAcknowledged, routerFacts, tallied, type Answer, type Tally } from './answers.ts'
import { answerOf, revisionTraffic } from './fixtures.ts'

const uid = 'uid-1'
const setting = (epoch: number) => ({ uid, epoch })
const counts = (tally: Tally | undefined) =>
  Object.fromEntries(Object.entries(tally?.calls ?? {}).map(([name, { requests }]) => [name, requests]))

describe('an epoch', () => {
  test('is acknowledged when every router that users reach has applied it', () => {
    const answers = [answerOf('a', 3, {}), answerOf('b', 2, {})]
    expect(isAcknowledged(routerFacts(answers, uid), 2)).toBe(true)
    expect(isAcknowledged(routerFacts(answers, uid), 3)).toBe(false)
  })

  test('is acknowledged by nobody where there is no router', () => {
    expect(isAcknowledged([], 0)).toBe(false)
  })

  test('carries what the epoch asked of the router, which its number alone does not tell', () => {
    const answer = answerOf('a', 3, {})
    const applied = { weights: { 'fraud-1': 1000 } }
    const [model] = answer.state?.models ?? []
    if (answer.state === undefined || model === undefined) throw new Error('the fixture has no model')
    const told = { ...answer, state: { ...answer.state, models: [{ ...model, applied }] } }
    expect(routerFacts([told], uid)[0]?.applied).toEqual(applied)
    expect(routerFacts([answer], uid)[0]).not.toHaveProperty('applied')
  })

  test('waits for a router that does not answer, and says why', () => {
    const silent: Answer = { router: 'b', ready: true, terminating: false, hasServed: true, error: 'refused' }
    const facts = routerFacts([answerOf('a', 3, {}), silent], uid)
    expect(isAcknowledged(facts, 3)).toBe(false)
    expect(facts[1]).toEqual({ name: 'b', problem: 'refused' })
  })

  test('does not wait for a router that is going, nor for one that has never worked', () => {
    const going = { ...answerOf('b', 1, {}), terminating: true }
    const broken: Answer = { router: 'c', ready: false, terminating: false, hasServed: false, error: 'refused' }
    expect(isAcknowledged(routerFacts([answerOf('a', 3, {}), going, broken], uid), 3)).toBe(true)
  })

  test('waits for a router that is not ready any more, as long as it may hold connections', () => {
    const lost: Answer = { router: 'b', ready: false, terminating: false, hasServed: true, error: 'no route' }
    expect(isAcknowledged(routerFacts([answerOf('a', 3, {}), lost], uid), 3)).toBe(false)
  })
})

describe('what a revision was sent', () => {
  test('is counted from the answers on that show the epoch on every router', () => {
    expect(tallied(undefined, setting(2), [answerOf('a', 2, { x: 10 }), answerOf('b', 1, { x: 10 })])).toBeUndefined()
    const first = tallied(undefined, setting(2), [answerOf('a', 2, { x: 15 }), answerOf('b', 2, { x: 12 })])
    expect(counts(first)).toEqual({})
    const second = tallied(first, setting(2), [answerOf('a', 2, { x: 20, y: 1 }), answerOf('b', 2, { x: 13 })])
    expect(counts(second)).toEqual({ x: 6, y: 1 })
  })

  test('starts again with another epoch', () => {
    const first = tallied(undefined, setting(2), [answerOf('a', 2, { x: 15 })])
    const second = tallied(first, setting(2), [answerOf('a', 2, { x: 20 })])
    const third = tallied(second, setting(3), [answerOf('a', 3, { x: 30 })])
    expect(third).toMatchObject({ epoch: 3, calls: {} })
  })

  test('is not lost or doubled when an Envoy starts again, or a cluster of it', () => {
    const first = tallied(undefined, setting(2), [answerOf('a', 2, { x: 100 })])
    const rebooted = tallied(first, setting(2), [answerOf('a', 2, { x: 40 }, 'boot-2')])
    expect(counts(rebooted)).toEqual({})
    const later = tallied(rebooted, setting(2), [answerOf('a', 2, { x: 45 }, 'boot-2')])
    expect(counts(later)).toEqual({ x: 5 })
    const readded = tallied(later, setting(2), [answerOf('a', 2, { x: 2 }, 'boot-2')])
    expect(counts(readded)).toEqual({ x: 7 })
  })

  test('keeps what a router had counted when it is gone, and says so while one does not answer', () => {
    const first = tallied(undefined, setting(2), [answerOf('a', 2, { x: 0 }), answerOf('b', 2, { x: 0 })])
    const second = tallied(first, setting(2), [answerOf('a', 2, { x: 10 }), answerOf('b', 2, { x: 10 })])
    const silent: Answer = { router: 'b', ready: true, terminating: false, hasServed: true, error: 'refused' }
    const third = tallied(second, setting(2), [answerOf('a', 2, { x: 11 }), silent])
    expect(counts(third)).toEqual({ x: 21 })
    expect(third?.missing).toBe('b does not answer: refused')
    const fourth = tallied(third, setting(2), [answerOf('a', 2, { x: 12 })])
    expect(counts(fourth)).toEqual({ x: 22 })
    expect(fourth?.missing).toBeUndefined()
  })

  test('is not counted while a revision has no ready endpoint, because its share goes elsewhere', () => {
    const first = tallied(undefined, setting(2), [answerOf('a', 2, { x: 0, y: 0 })])
    const emptied = tallied(first, setting(2), [answerOf('a', 2, { x: 50, y: 0 }, 'boot-1', ['y'])])
    expect(counts(emptied)).toEqual({})
    const again = tallied(emptied, setting(2), [answerOf('a', 2, { x: 52, y: 3 })])
    expect(counts(again)).toEqual({ x: 2, y: 3 })
  })

  test('is apart from what was sent to it by name, which no weight has drawn', () => {
    const named = (completed: number, own: number) =>
      answerOf('a', 2, {}, 'boot-1', [], [{ ...revisionTraffic('x', completed), named: own }])
    const first = tallied(undefined, setting(2), [named(10, 4)])
    expect(tallied(first, setting(2), [named(30, 9)])?.calls['x']).toEqual({ requests: 20, failures: 0, drawn: 15 })
  })

  test('has the failures of HTTP and of gRPC', () => {
    const failing = (failures: number) =>
      answerOf('a', 2, {}, 'boot-1', [], [revisionTraffic('x', 100, { s5xx: failures, grpcFailure: failures })])
    const first = tallied(undefined, setting(2), [failing(1)])
    expect(tallied(first, setting(2), [failing(4)])?.calls['x']).toEqual({ requests: 0, failures: 6, drawn: 0 })
  })
})

// --- a world of routers that restart, vanish, lag and lose clusters

class Router {
  boot = 0
  epoch = 0
  /** Counters of this boot. */
  counters: Record<string, number> = { x: 0, y: 0 }
  reachable = true
}

class World {
  epoch = 1
  readonly routers = new Map<string, Router>([
    ['a', new Router()],
    ['b', new Router()],
  ])
  /** What was really sent, by epoch of the router that sent it. */
  readonly sent = new Map<number, Record<string, number>>()
  tally: Tally | undefined
  #next = 0

  router(pick: number): Router | undefined {
    return [...this.routers.values()][pick % Math.max(this.routers.size, 1)]
  }

  send(pick: number, revision: string, count: number): void {
    const router = this.router(pick)
    if (router === undefined) return
    router.counters[revision] = (router.counters[revision] ?? 0) + count
    const sent = this.sent.get(router.epoch) ?? {}
    this.sent.set(router.epoch, { ...sent, [revision]: (sent[revision] ?? 0) + count })
  }

  add(): void {
    // A new router starts with the latest setting.
    const router = new Router()
    router.epoch = this.epoch
    this.routers.set(`r${this.#next++}`, router)
  }

  pull(): void {
    const answers = [...this.routers].map(([name, router]): Answer =>
      router.reachable
        ? answerOf(name, router.epoch, router.counters, `boot-${router.boot}`)
        : { router: name, ready: true, terminating: false, hasServed: true, error: 'refused' },
    )
    this.tally = tallied(this.tally, setting(this.epoch), answers)
  }
}

test('never more is counted than was sent in the epoch, whatever restarts, vanishes or lags', () => {
  const revision = fc.constantFrom('x', 'y')
  const steps = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(fc.nat(5), revision, fc.nat(50)).map(([pick, name, count]) => (w: World) => {
        w.send(pick, name, count)
      }),
    },
    { weight: 5, arbitrary: fc.constant((w: World) => w.pull()) },
    {
      weight: 4,
      arbitrary: fc.nat(5).map((pick) => (w: World) => {
        const router = w.router(pick)
        if (router !== undefined) router.epoch = w.epoch
      }),
    },
    {
      weight: 1,
      arbitrary: fc.constant((w: World) => {
        w.epoch += 1
      }),
    },
    {
      weight: 1,
      arbitrary: fc.nat(5).map((pick) => (w: World) => {
        const router = w.router(pick)
        if (router === undefined) return
        router.boot += 1
        router.epoch = w.epoch
        router.counters = { x: 0, y: 0 }
      }),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.nat(5), revision).map(([pick, name]) => (w: World) => {
        const router = w.router(pick)
        if (router !== undefined) router.counters[name] = 0
      }),
    },
    {
      weight: 1,
      arbitrary: fc.nat(5).map((pick) => (w: World) => {
        const router = w.router(pick)
        if (router !== undefined) router.reachable = !router.reachable
      }),
    },
    { weight: 1, arbitrary: fc.constant((w: World) => w.add()) },
    {
      weight: 1,
      arbitrary: fc.nat(5).map((pick) => (w: World) => {
        const name = [...w.routers.keys()][pick % Math.max(w.routers.size, 1)]
        if (name !== undefined) w.routers.delete(name)
      }),
    },
  )
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 100 }), (sequence) => {
      const world = new World()
      for (const step of sequence) {
        const before = world.tally
        step(world)
        const after = world.tally
        for (const [name, { requests }] of Object.entries(after?.calls ?? {})) {
          expect(requests).toBeLessThanOrEqual(world.sent.get(world.tally?.epoch ?? 0)?.[name] ?? 0)
          if (before?.epoch === after?.epoch)
            expect(requests).toBeGreaterThanOrEqual(before?.calls[name]?.requests ?? 0)
        }
      }
    }),
    { numRuns: 500 },
  )
})

test('everything is counted that is sent while the same routers run on', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), fc.constantFrom('x', 'y'), fc.nat(50)), { maxLength: 30 }), (sends) => {
      const world = new World()
      for (const router of world.routers.values()) router.epoch = 1
      world.pull()
      for (const [pick, name, count] of sends) {
        world.send(pick, name, count)
        world.pull()
      }
      const sent = world.sent.get(1) ?? {}
      expect(world.tally?.calls['x']?.requests ?? 0).toBe(sent['x'] ?? 0)
      expect(world.tally?.calls['y']?.requests ?? 0).toBe(sent['y'] ?? 0)
    }),
  )
})
