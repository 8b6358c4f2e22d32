import { describe, expect, test } from '@jest/globals'
import { awaitedNow, hurryMs, type Awaited } from './patience.ts'

/** Looks as the operator does, each when the one before says; where nothing hurries, every 15 s. */
const looks = (epochAt: (now: number) => number, untilMs: number): number[] => {
  const at: number[] = []
  let awaited: Awaited | undefined
  for (let now = 0; now < untilMs;) {
    at.push(now)
    awaited = awaitedNow(awaited, epochAt(now), now)
    now += hurryMs(awaited, now) ?? 15_000
  }
  return at
}

describe('an object that waits for its routers', () => {
  test('looks four times a second for a minute, and then as rarely as anything else', () => {
    const seen = looks(() => 7, 600_000)
    expect(seen.filter((at) => at < 60_000)).toHaveLength(240)
    expect(seen.filter((at) => at >= 60_000)).toHaveLength(36)
  })

  test('looks often again when another setting is asked for', () => {
    const seen = looks((now) => (now < 300_000 ? 7 : 8), 330_000)
    expect(seen.filter((at) => at >= 300_000)).toHaveLength(120)
  })

  test('does not hurry for ever when the clock is set back by a day', () => {
    const awaited = awaitedNow(undefined, 7, 86_400_000)
    expect(hurryMs(awaitedNow(awaited, 7, 1000), 1000)).toBeUndefined()
  })
})
