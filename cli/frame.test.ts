import { describe, expect, test } from '@jest/globals'
import { at, canary, canaryWorkloads, nameOf, noon, specV7, specV8, warning } from './fixtures.ts'
import { drawFrame, newLines, redrawn } from './frame.ts'
import { painter } from './layout.ts'
import { reportOf } from './report.ts'

const report = reportOf(canary(), canaryWorkloads)
const events = [warning('ModelDeployment', 'fraud', 'StepPassed', 'The step at 1% has passed.')]
const [v7, v8] = [nameOf(specV7), nameOf(specV8)]

describe('the picture of a rollout', () => {
  test('bars of the measured shares, steps, verdict, what it waits for, the last events', () => {
    expect(drawFrame({ report, events }, noon, 100, painter(false))).toBe(
      `fraud in shop   Canary.Analyse for 42s   12:00:00Z

  stable     v7  ${v7}  95%  94.8% (94.1% to 95.5%)  4 of 4 pods
    ██████████████████████████████████████░░
  candidate  v8  ${v8}  5%   5.2% (4.6% to 5.9%)     1 of 1 pods
    ██░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░

  steps      ✔ 1%   ▶ 5%   · 20% (gate)   · 100%
  routers    2 of 2 have applied epoch 12.

  CHECK   VERDICT  SAMPLES  CANDIDATE  STABLE  LOG E
  errors  Pass     5123     1          12      -0.42

  waits for  v8 gets 5% of the requests and is judged for at least 60 s.
  users      v7 answers.

  11:59:55Z  StepPassed  The step at 1% has passed.`,
    )
  })

  test('no line is wider than the terminal, so that it can be redrawn in place', () => {
    for (const columns of [40, 60, 80]) {
      const lines = drawFrame({ report, events, interrupted: 'x'.repeat(200) }, noon, columns, painter(false)).split(
        '\n',
      )
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
    }
  })

  test('colours make no line wider than the terminal', () => {
    const lines = drawFrame({ report, events }, noon, 40, painter(true)).split('\n')
    // oxlint-disable-next-line no-control-regex
    const bare = lines.map((line) => line.replaceAll(/\u001b\[\d+m/g, ''))
    expect(Math.max(...bare.map((line) => line.length))).toBeLessThanOrEqual(40)
  })

  test('a cluster that cannot be followed at the moment is said, and the last picture stays', () => {
    const frame = drawFrame(
      { report, events: [], interrupted: 'cannot follow modeldeployments' },
      noon,
      100,
      painter(false),
    )
    expect(frame).toContain('cannot follow modeldeployments')
    expect(frame).toContain('candidate  v8')
  })

  test('a frame takes the place of the one before it', () => {
    expect(redrawn('a\nb', undefined)).toBe('a\nb\n')
    expect(redrawn('c', 'a\nb')).toBe('\u001b[2A\r\u001b[Jc\n')
  })
})

describe('lines where nobody looks at a terminal', () => {
  const history = canary().status?.history ?? []

  test('what happened before the watch began is not told again', () => {
    expect(newLines(report, history, undefined, noon)).toEqual([
      '12:00:00Z Canary, v7 95%, v8 5%: v8 gets 5% of the requests and is judged for at least 60 s.',
    ])
  })

  test('a new transition is told once, and nothing when nothing is new', () => {
    const entry = { at: at(3), from: 'Canary.Analyse', to: 'Canary.Gate', reason: 'StepPassed', message: 'passed.' }
    const before = { report, history }
    expect(newLines(report, [...history, entry], before, noon + 4000)).toEqual([
      '12:00:03Z Canary.Analyse → Canary.Gate (StepPassed): passed.',
    ])
    expect(newLines(report, history, before, noon + 4000)).toEqual([])
  })
})
