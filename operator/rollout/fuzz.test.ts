// Random lives of a rollout (fuzz.ts), and what must not depend on luck. A failing life is printed with its seed; pin it
// in scenarios.test.ts. `make test` lives 100,000 more of them by `npm run explore`.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { next } from './next.ts'
import { type Life, events, lives } from './fuzz.ts'
import { type Event, versions } from './events.ts'
import { Player } from './player.ts'
import { judge } from './verdict.ts'
import { nameOf, observe, routerSpec, serving } from './world.ts'

/** @throws at the first broken invariant, with the history that led there. */
const lived = ({ events: all, ...beginning }: Life): Player => {
  const player = new Player(beginning)
  for (const event of all) {
    player.play(event)
    expect(player.violations).toEqual([])
    expect(player.historyAgrees()).toBe(true)
  }
  return player
}

test('whatever happens in whatever order, no invariant is broken, and when it calms down everything settles', () => {
  fc.assert(
    fc.property(lives, (life) => {
      const player = lived(life)
      const settled = player.calm()
      expect(player.violations).toEqual([])
      expect({ settled, ...(!settled && { rollout: player.world.rollout }) }).toEqual({ settled: true })
      // Settled means settled: a hundred more looks change nothing.
      const { rollout } = player.world
      player.look(100)
      expect(player.world.rollout).toBe(rollout)
    }),
    { numRuns: 500 },
  )
}, 120_000)

test('a status that is lost in the middle of anything breaks no invariant, and everything settles', () => {
  fc.assert(
    fc.property(lives, fc.nat(), (life, at) => {
      const wipe: Event = { do: 'wipe' }
      const player = lived({ ...life, events: life.events.toSpliced(at % (life.events.length + 1), 0, wipe) })
      expect(player.calm()).toBe(true)
      expect(player.violations).toEqual([])
    }),
    { numRuns: 400 },
  )
}, 120_000)

describe('what must not depend on luck', () => {
  test('the same inputs give the same decision, and neither spec, status nor what was seen is changed by it', () => {
    fc.assert(
      fc.property(lives, (life) => {
        const { world, mood } = lived(life)
        const seen = frozen(observe(world, mood))
        const [spec, rollout] = [frozen(world.spec), frozen(world.rollout)]
        expect(next(spec, rollout, seen, world.now)).toEqual(next(spec, rollout, seen, world.now))
      }),
      { numRuns: 200 },
    )
  }, 60_000)

  test('an operator that dies and starts again anywhere changes when things happen, not what happens', () => {
    const calmEvents = events.filter(
      ({ do: what }) => what === 'ready' || what === 'pull' || what === 'plan' || what === 'perform',
    )
    fc.assert(
      fc.property(
        fc.array(calmEvents, { maxLength: 80, size: 'max' }),
        fc.array(fc.nat(), { maxLength: 6 }),
        (all, deaths) => {
          const life: Life = { first: false, replicas: 2, rollout: {}, events: [{ do: 'edit', version: 2 }, ...all] }
          const withDeaths = deaths.reduce<Event[]>(
            (list, at) => list.toSpliced(at % (list.length + 1), 0, { do: 'die', controller: at % 2 }),
            [...life.events],
          )
          const ends = [life, { ...life, events: withDeaths }].map((each) => {
            const player = lived(each)
            expect(player.calm()).toBe(true)
            return ended(player)
          })
          expect(ends[1]).toEqual(ends[0])
        },
      ),
      { numRuns: 150 },
    )
  }, 60_000)

  test('events that have nothing to do with each other may come in any order', () => {
    const independent = fc.shuffledSubarray<Event>(
      [
        { do: 'pull', router: 0 },
        { do: 'pull', router: 1 },
        { do: 'ready', version: 1 },
        { do: 'ready', version: 2 },
        { do: 'routers', count: 3 },
        { do: 'policy', rollout: { onNoTraffic: 'Hold' } },
      ],
      { minLength: 6 },
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 12 }), independent, independent, (rounds, one, other) => {
        const begin: Event[] = [
          { do: 'edit', version: 2 },
          { do: 'rounds', count: rounds, lucky: true },
        ]
        const ends = [one, other].map((order) => {
          const player = lived({ first: false, replicas: 2, rollout: {}, events: [...begin, ...order] })
          expect(player.calm()).toBe(true)
          return ended(player)
        })
        expect(ends[1]).toEqual(ends[0])
      }),
      { numRuns: 100 },
    )
  }, 60_000)

  test('more of the same figures never turns a Fail into a Pass', () => {
    const calls = fc.tuple(fc.nat(5000), fc.nat(5000)).map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const)
    fc.assert(
      fc.property(calls, calls, fc.integer({ min: 2, max: 50 }), ([n1, f1], [n2, f2], k) => {
        const world = serving(routerSpec())
        const verdict = (m: number) =>
          judge(
            world.spec,
            observe(world, { calls: { 1: [n1 * m, f1 * m], 2: [n2 * m, f2 * m] } }),
            world.rollout.traffic,
            nameOf(2),
          ).kind
        if (verdict(1) === 'Fail') expect(verdict(k)).toBe('Fail')
        // And it needs evidence: nothing at all is no Pass.
        if (n2 === 0) expect(verdict(1)).not.toBe('Pass')
      }),
    )
  })
})

const ended = ({ world: { rollout, workloads } }: Player) => ({
  stable: rollout.stable?.hash,
  previous: rollout.previous?.hash,
  rejected: rollout.rejected?.map((r) => [r.hash, r.reason]) ?? [],
  weights: rollout.traffic?.weights,
  pods: versions.map((v) => workloads[v]?.replicas),
})

const frozen = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(frozen)
  }
  return value
}
