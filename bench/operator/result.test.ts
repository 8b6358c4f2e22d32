import { expect, test } from '@jest/globals'
import { targets } from './goals.ts'
import { completed } from '../figures.ts'
import { goalsOf, pageOf } from './result.ts'

test('every goal is in the table, measured or not, and one that was not measured is not met', () => {
  const goals = goalsOf({ restart: { slipway: [[5, 900]], peer: [] } }, 'no Go here')
  expect(goals.map(({ name }) => name)).toEqual(Object.keys(targets))
  const of = (name: string) => goals.find((goal) => goal.name === name)
  expect(of('user_change_during_restart_p99_ms')).toMatchObject({ value: 900, met: true })
  expect(of('rss_vs_go')).toMatchObject({ value: null, met: false, reason: 'no Go here' })
  expect(of('rss_steady_mib')).toMatchObject({ value: null, met: false, reason: 'not measured in this run' })
})

test('an earlier run gives the goals that this one has not measured, and none that it has', () => {
  const now = goalsOf({ restart: { slipway: [[5000], [1, 6000], [20]], peer: [[4]] } }, '')
  const earlier = goalsOf({ restart: { slipway: [[1]], peer: [] }, failover: { clean: [1], killed: [16] } }, '')
  const goals = completed(now, earlier)
  const of = (name: string) => goals.find((goal) => goal.name === name)
  expect(of('user_change_during_restart_p99_ms')).toMatchObject({ value: 5000, met: false })
  expect(of('failover_kill_s')).toMatchObject({ value: 16, met: true })
})

test('what the peer was measured for stands beside ours, and a restart counts by the median of its 99th percentiles', () => {
  const page = pageOf([], { restart: { slipway: [[900], [1, 1000], [1100]], peer: [[2000], [1900], [500]] } })
  expect(page).toMatch(/change at a restart, p99 +ours 1000 ms +peer 1900 ms +ratio 0.53/)
})
