import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { tallied, type Answers, type Tally } from './answers.ts'
import { checkpointOf, resumed } from './checkpoint.ts'
import { answerOf } from './fixtures.ts'

const setting = { uid: 'uid-1', epoch: 7 }
const start = Date.parse('2026-01-01T00:00:00Z')

/** Both routers with these counters for stable and candidate. */
const both = (stable: number, candidate: number): Answers => [
  answerOf('a', 7, { stable, candidate }),
  answerOf('b', 7, { stable, candidate }),
]

const counted = (before: Tally | undefined, answers: Answers): Tally => {
  const tally = tallied(before, setting, answers)
  if (tally === undefined) throw new Error('nothing was counted')
  return { ...tally, since: tally.since ?? start }
}

describe('an operator that starts again', () => {
  test('knows all that was counted before and meanwhile, wherever it ended', () => {
    const growths = fc.array(fc.tuple(fc.nat(5000), fc.nat(500)), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(growths, fc.nat(), (grown, at) => {
        let [tally, total]: [Tally, [number, number]] = [counted(undefined, both(1000, 50)), [1000, 50]]
        let kept = checkpointOf(undefined, tally)
        for (const [i, [stable, candidate]] of grown.entries()) {
          total = [total[0] + stable, total[1] + candidate]
          // It dies here: what it knew is gone, but for what it had written.
          const before = i === at % grown.length ? resumed(kept, setting, both(...total), start + 60_000) : tally
          tally = counted(before, both(...total))
          kept = checkpointOf(kept, tally)
        }
        expect(tally.calls['candidate']?.requests).toBe(2 * (total[1] - 50))
        expect(tally.calls['stable']?.requests).toBe(2 * (total[0] - 1000))
        expect(tally.since).toBe(start)
      }),
    )
  })

  test('keeps what a router had counted that started again meanwhile, and trusts no silence then', () => {
    const tally = counted(counted(undefined, both(0, 0)), both(900, 100))
    const kept = checkpointOf(undefined, tally)
    const [, b] = both(900, 100)
    const after = [answerOf('a', 7, { stable: 30, candidate: 3 }, 'boot-2'), ...(b ? [b] : [])]
    const again = counted(resumed(kept, setting, after, start + 60_000), after)
    expect(again.calls['candidate']).toMatchObject({ requests: 200 })
    expect(again.since).toBe(start + 60_000)
  })

  test('takes up nothing of another epoch', () => {
    const kept = checkpointOf(undefined, counted(undefined, both(0, 0)))
    expect(resumed(kept, { ...setting, epoch: 8 }, both(0, 0), start)).toBeUndefined()
    expect(resumed(undefined, setting, both(0, 0), start)).toBeUndefined()
  })
})

describe('what is kept', () => {
  test('is written again some 20 times while a thousand million requests pass, and not while nothing does', () => {
    let [kept, writes, tally] = [
      checkpointOf(undefined, counted(undefined, both(0, 0))),
      0,
      counted(undefined, both(0, 0)),
    ]
    for (let n = 1; n < 5e8; n = Math.ceil(n * 1.1)) {
      tally = counted(tally, both(0, n))
      const next = checkpointOf(kept, tally)
      if (next !== kept) writes++
      kept = next
      expect(checkpointOf(kept, tally)).toBe(kept)
    }
    expect(writes).toBeGreaterThan(5)
    expect(writes).toBeLessThanOrEqual(20)
  })

  test('is bounded however many routers there are', () => {
    const many = Array.from({ length: 300 }, (_, i) => answerOf(`router-${i}`, 7, { stable: i, candidate: i }))
    expect(checkpointOf(undefined, counted(undefined, many)).counters).toHaveLength(256)
  })
})
