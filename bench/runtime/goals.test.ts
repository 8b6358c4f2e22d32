import { describe, expect, test } from '@jest/globals'
import { render, stale, type Results } from '../page.ts'
import { goalsOf, tableOf, targets, type Goal } from './goals.ts'
import { sample } from './fixtures.ts'
import type { Sample } from './measure.ts'

const named = (goals: readonly Goal[], name: string): Goal | undefined => goals.find((goal) => goal.name === name)

describe('goals of the runtime', () => {
  test('are ratios within a round, never of one round to another', () => {
    // The machine was half as fast in the second round, for both.
    const samples = [
      sample({ rps: 5000 }),
      sample({ subject: 'express', rps: 1000 }),
      sample({ round: 1, rps: 2500 }),
      sample({ round: 1, subject: 'express', rps: 500 }),
    ]
    expect(named(goalsOf(samples, ['tiny'], {}), 'tiny_json_rps_vs_express')).toMatchObject({
      value: 5,
      low: 5,
      high: 5,
      met: true,
    })
  })

  test('are missed with the reason where a peer is not there, and where their part was not run', () => {
    const goals = goalsOf([sample({})], ['tiny'], { kserve: 'pip found no such version' })
    expect(named(goals, 'tiny_json_rps_vs_kserve')).toMatchObject({
      value: null,
      met: false,
      reason: 'kserve: pip found no such version',
    })
    expect(named(goals, 'batching_gain')).toEqual({
      name: 'batching_gain',
      value: null,
      low: null,
      high: null,
      op: '>=',
      target: 3.5,
      met: false,
      reason: 'the part batching was not run (--parts batching)',
    })
    expect(goals.map(({ name }) => name)).toEqual(Object.keys(targets))
    expect(tableOf(goals)).toMatch(/soak_failures +- +- +- +<= 0 +no: the part soak was not run/)
    expect(named(goalsOf([], [], {}), 'worst_live_ms')).toMatchObject({ value: null, reason: 'nothing was measured' })
  })

  test('a run of ours with failed requests has no figures', () => {
    const samples = [sample({ failures: 1 }), sample({ subject: 'express' })]
    expect(named(goalsOf(samples, ['tiny'], {}), 'tiny_json_rps_vs_express')).toMatchObject({ value: null, met: false })
  })

  test('without a target are reported, and never missed', () => {
    const speech = { part: 'speech', model: 'silero', connections: 16 } as const
    const samples = [sample({ ...speech, rps: 500 }), sample({ ...speech, subject: 'express', rps: 1000 })]
    const goals = goalsOf(samples, ['speech'], {})
    const goal = named(goals, 'speech_json_rps_vs_express')
    expect(goal).toMatchObject({ value: 0.5, op: 'reported', target: null, met: true })
    expect(tableOf(goals)).toMatch(/speech_json_rps_vs_express +0\.5 +0\.5 +0\.5 +reported +yes/)
  })

  test('the worst liveness answer of all rounds counts', () => {
    const samples = [sample({ worstLiveMs: 4 }), sample({ worstLiveMs: 80 }), sample({ worstLiveMs: 5 })]
    expect(named(goalsOf(samples, ['tiny'], {}), 'worst_live_ms')).toMatchObject({ value: 80, met: false })
  })

  test('every arrival pattern counts for Poisson, and the peer that comes off best in each round', () => {
    const at = (subject: string, load: string, p99: number): Sample =>
      sample({ part: 'poisson', subject, load, p99, connections: 128 })
    const samples = [
      at('express', '80 % of express', 10),
      at('slipway', '80 % of express', 5),
      at('triton', '80 % of triton', 4),
      at('slipway', '80 % of triton', 6),
    ]
    expect(named(goalsOf(samples, ['poisson'], {}), 'poisson80_p99_vs_best_peer')).toMatchObject({
      value: 1.5,
      met: false,
    })
  })

  test.each([
    ['grows', 10, 120],
    ['stays', 0, 0],
  ])('memory that %s is seen whatever one sample says', (_, perSample, slope) => {
    const samples = Array.from({ length: 30 }, (_unused, round) =>
      sample({ part: 'soak', round, memoryMib: round === 20 ? 5000 : 1000 + (round - 19.5) * perSample }),
    )
    const goal = named(goalsOf(samples, ['soak'], {}), 'soak_rss_slope')
    expect(Math.round(goal?.value ?? NaN)).toBeCloseTo(slope, -1)
  })
})

test('the page says of every goal what was measured, and draws who was measured', () => {
  const samples = [sample({}), sample({ subject: 'express', rps: 250 })]
  const results: Results = {
    bench: 'runtime',
    parts: ['tiny'],
    machine: { cpu: 'a processor', cores: 2 },
    goals: goalsOf(samples, ['tiny'], {}),
    samples,
  }
  const { text, plots } = render([{ name: 'runtime', results }], 'A note.')
  expect(text).toContain('A note.')
  expect(text).toContain('`npm run bench:runtime -- --parts tiny`')
  expect(text).toContain('| `tiny_json_rps_vs_express` | 4 | 4 to 4 | >= 4 | yes |')
  expect(text).toContain('| `soak_failures` | - | - | <= 0 | no: the part soak was not run (--parts soak) |')
  expect(text).toContain('![A tiny model, JSON, 32 at once](benchmarks/tiny-json.svg)')
  expect(plots['tiny-json.svg']).toContain('>express</text>')
})

test('docs/benchmarks.md and its plots are what the results say', () => {
  expect(stale().map(([path]) => path)).toEqual([])
})
