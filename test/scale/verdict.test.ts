import { expect, test } from '@jest/globals'
import type { Sample, Soaked } from './soak.ts'
import { inWords, judge } from './verdict.ts'

type Held = Partial<Record<'TCPSocketWrap' | 'Timeout' | 'files' | 'rss', (second: number) => number>>

/** A soak of three minutes, sampled each five seconds, in which everything stays as it is but what is given. */
const soaked = (held: Held = {}, more: Partial<Soaked> = {}): Soaked => ({
  changes: 180 * 13,
  ended: undefined,
  samples: Array.from({ length: 36 }, (_, n): Sample => {
    const second = n * 5
    const { TCPSocketWrap = () => 17, Timeout = () => 38, files = () => 53, rss = () => 150 } = held
    return {
      at: second,
      rssMib: rss(second),
      disturbed: second % 60 < 40,
      resources: { TCPSocketWrap: TCPSocketWrap(second), Timeout: Timeout(second), files: files(second) },
    }
  }),
  ...more,
})

const expected = { seconds: 180, leastPerSecond: 8 }
const failures = (run: Soaked, more = {}): string[] =>
  judge(run, { ...expected, ...more }).flatMap(({ failure }) => failure ?? [])

test('a run in which nothing grows and enough was done has no failure, and is told figure by figure', () => {
  expect(failures(soaked())).toEqual([])
  expect(inWords(judge(soaked(), expected))).toBe(
    [
      'ok      sockets: 17',
      'ok      timers: 38',
      'ok      files: 53',
      'ok      memory, times that before: 1',
      'ok      changes a second: 13',
    ].join('\n'),
  )
})

test('what goes down while faults are played, and comes back afterwards, is no growth', () => {
  const wave = (least: number, most: number) => (second: number) => (second % 60 < 40 ? least : most)
  expect(failures(soaked({ TCPSocketWrap: wave(2, 21), Timeout: wave(16, 51), files: wave(26, 56) }))).toEqual([])
})

test('what fills in the first fifth and stays is no growth', () => {
  const filling = (full: number) => (second: number) => Math.min(full, Math.round((full * second) / 30))
  expect(failures(soaked({ files: filling(53), rss: filling(150), TCPSocketWrap: filling(17) }))).toEqual([])
})

test.each([
  ['TCPSocketWrap', /^sockets: \d+ \(\d+ before\), and 31 is the most that may be$/],
  ['Timeout', /^timers: \d+ \(\d+ before\), and \d+ is the most that may be$/],
  ['files', /^files: \d+ \(\d+ before\), and \d+ is the most that may be$/],
] as const)(
  '%s that are never given back are found, one in five seconds in three minutes, one in two minutes in an hour',
  (resource, words) => {
    const leaking = (everySeconds: number) => (second: number) => 18 + Math.floor(second / everySeconds)
    expect(failures(soaked({ [resource]: leaking(5) }))).toEqual(
      resource === 'Timeout' ? [] : [expect.stringMatching(words)],
    )
    expect(failures(soaked({ [resource]: leaking(2.5) }))).toEqual([expect.stringMatching(words)])
  },
)

test('too many from the start are found, and so is nothing at all: then nothing was counted', () => {
  expect(failures(soaked({ TCPSocketWrap: () => 32 }))).toEqual([
    'sockets: 32 (32 before), and 31 is the most that may be',
  ])
  expect(failures(soaked({ files: () => 0 }))).toEqual(['files: 0 (0 before), and 1 is the least that must be'])
  expect(failures(soaked({}, { samples: [] })).length).toBeGreaterThanOrEqual(4)
})

test('memory is judged by its slope in a long run, and by what it was before in a short one', () => {
  const growing = soaked({ rss: (second) => 100 + second / 2 })
  expect(failures(growing)).toEqual([
    expect.stringMatching(/^memory, times that before: 1\.\d+, and 1\.2 is the most that may be$/),
  ])
  const slow = soaked({ rss: (second) => 150 + second / 1800 })
  expect(failures(slow)).toEqual([])
  expect(failures(soaked({ rss: (second) => 150 + second / 180 }), { seconds: 3600, leastPerSecond: 0 })).toEqual([
    expect.stringMatching(/^memory, % an hour: 13\.\d+, and 5 is the most that may be$/),
  ])
})

test('a run in which little was done proves little, and one whose operator ended proves the contrary', () => {
  expect(failures(soaked({}, { changes: 180 * 7 }))).toEqual(['changes a second: 7, and 8 is the least that must be'])
  expect(failures(soaked({}, { ended: 1 }))).toEqual(['the operator ended: 1'])
})
