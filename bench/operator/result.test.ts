import { expect, test } from '@jest/globals'
import { targets } from './goals.ts'
import { completed } from '../figures.ts'
import { goalsOf } from './result.ts'

test('every goal is in the table, measured or not, and one that was not measured is not met', () => {
  const goals = goalsOf({ restart: [5, 900] }, 'no Go here')
  expect(goals.map(({ name }) => name)).toEqual(Object.keys(targets))
  const of = (name: string) => goals.find((goal) => goal.name === name)
  expect(of('user_change_during_restart_p99_ms')).toMatchObject({ value: 900, met: true })
  expect(of('rss_vs_go')).toMatchObject({ value: null, met: false, reason: 'no Go here' })
  expect(of('rss_steady_mib')).toMatchObject({ value: null, met: false, reason: 'not measured in this run' })
})

test('an earlier run gives the goals that this one has not measured, and none that it has', () => {
  const now = goalsOf({ restart: [5000] }, '')
  const earlier = goalsOf({ restart: [1], failover: { clean: [1], killed: [16] } }, '')
  const goals = completed(now, earlier)
  const of = (name: string) => goals.find((goal) => goal.name === name)
  expect(of('user_change_during_restart_p99_ms')).toMatchObject({ value: 5000, met: false })
  expect(of('failover_kill_s')).toMatchObject({ value: 16, met: true })
})
