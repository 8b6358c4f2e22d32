import { expect, test } from '@jest/globals'
import { goalsOf } from './goals.ts'
import { joined, type Run } from './joined.ts'
import { sample } from './fixtures.ts'
import type { Sample } from './measure.ts'

const run = (parts: readonly string[], samples: readonly Sample[], missing: Run['missing'] = {}): Run => ({
  parts,
  samples,
  missing,
  versions: {},
  goals: goalsOf(samples, parts, missing),
})

test('a part comes whole from the first run that has it, and the goals follow', () => {
  const tiny = run(['tiny'], [sample({ rps: 4000 }), sample({ subject: 'express', rps: 1000 })], {
    kserve: 'no',
    mlserver: 'no',
  })
  const soak = { part: 'soak', model: 'identity', form: 'none', connections: 8 } as const
  const more = run(
    ['tiny', 'soak'],
    [sample({ rps: 1 }), sample({ subject: 'express', rps: 1 }), sample(soak), sample({ ...soak, round: 1 })],
    { mlserver: 'no' },
  )
  const { parts, samples, missing, goals } = joined(tiny, [more])
  expect(parts).toEqual(['tiny', 'soak'])
  expect(samples.map(({ part, rps }) => [part, rps])).toEqual([
    ['tiny', 4000],
    ['tiny', 1000],
    ['soak', 1000],
    ['soak', 1000],
  ])
  expect(missing).toEqual({ mlserver: 'no' })
  const of = (name: string) => goals.find((goal) => goal.name === name)?.value
  expect([of('tiny_json_rps_vs_express'), of('soak_failures'), of('batching_gain')]).toEqual([4, 0, null])
})
