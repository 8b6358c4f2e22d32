import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { enoughRequests, judged, judgements, sharesOff, type Weights } from './shares.ts'

const weights = (canary: number) => [
  { revision: 'stable', weight: 1000 - canary },
  { revision: 'canary', weight: canary },
]
const calls = (stable: number, canary: number) => ({
  stable: { requests: stable + 7, failures: 0, drawn: stable },
  canary: { requests: canary + 7000, failures: 0, drawn: canary },
})

const measuredShares = (counted: Parameters<typeof judged>[1], asked: Weights) =>
  judged(undefined, counted, asked)?.shares

describe('shares', () => {
  test('are not judged before the smallest was expected to be drawn five times', () => {
    expect(enoughRequests(weights(1))).toBe(5000)
    expect(enoughRequests(weights(50))).toBe(100)
    expect(enoughRequests(weights(0))).toBe(100)
    expect(measuredShares(calls(4000, 4), weights(1))).toBeUndefined()
    expect(measuredShares(calls(4996, 4), weights(1))).toBeDefined()
  })

  test('that are served as asked are verified, and one that is not is named with its figures', () => {
    const asked = measuredShares(calls(9500, 500), weights(50)) ?? []
    expect(sharesOff(weights(50), asked)).toEqual([])
    const wrong = measuredShares(calls(9900, 100), weights(50)) ?? []
    expect(sharesOff(weights(50), wrong)).toEqual([
      'stable should get 95% and got 99% (98.572% to 99.331%)',
      'canary should get 5% and got 1% (0.669% to 1.428%)',
    ])
  })

  test('of a revision that should get nothing are off when it gets something, but not for one request that was under way', () => {
    expect(sharesOff(weights(0), measuredShares(calls(999, 1), weights(0)) ?? [])).toEqual([])
    expect(sharesOff(weights(0), measuredShares(calls(970, 30), weights(0)) ?? [])).toHaveLength(2)
  })

  test('that were judged stay as they are, whatever is counted, until it is time for another judgement', () => {
    const first = judged(undefined, calls(95, 5), weights(50))
    expect(first?.number).toBe(1)
    expect(judged(first, calls(150, 49), weights(50))).toBe(first)
    expect(judged(first, calls(150, 50), weights(50))?.number).toBe(2)
  })

  test('are judged anew only when what was counted has doubled', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), fc.integer({ min: 0, max: 1000 }), (n, weight) => {
        const k = judgements(n, weights(weight))
        expect(judgements(n + 1, weights(weight))).toBeGreaterThanOrEqual(k)
        expect(judgements(2 * n, weights(weight))).toBe(k === 0 ? judgements(2 * n, weights(weight)) : k + 1)
        expect(k).toBeLessThanOrEqual(25)
      }),
    )
  })

  test('that are served as asked are called wrong at most once in a hundred times, though they are judged at every doubling', () => {
    // xorshift32 with a fixed seed: the same draws in every run.
    let state = 20_261_126
    const draw = (): number => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) / 2 ** 32
    }
    let wrong = 0
    const runs = 200
    for (let run = 0; run < runs; run++) {
      let [stable, canary, off] = [0, 0, false]
      for (const n of [100, 200, 400, 800, 1600, 3200, 6400]) {
        while (stable + canary < n) {
          if (draw() < 0.05) canary++
          else stable++
        }
        off ||= sharesOff(weights(50), measuredShares(calls(stable, canary), weights(50)) ?? []).length > 0
      }
      if (off) wrong++
    }
    expect(wrong / runs).toBeLessThanOrEqual(0.01)
  })
})
