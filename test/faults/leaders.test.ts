// Who may write when two operators run: at no time two of them.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { eventually } from '../integration/operator/eventually.ts'
import { leading } from '../integration/operator/process.ts'
import { begun, openScene, passed, specOf, straightOn, type Scene } from './scene.ts'

jest.setTimeout(300_000)

let scene: Scene

beforeAll(async () => {
  scene = await openScene()
})

afterAll(() => scene.close())

test('a leader that is frozen in a rollout past its lease writes nothing when it wakes, and ends', async () => {
  const { stage } = scene
  const old = await scene.start({ identity: 'operator-old' })
  await leading(old)
  const next = await scene.start({ identity: 'operator-next' })
  await stage.apply('shared', specOf('1'))
  await stage.ready('shared')
  const [credentialOfOld = ''] = new Set((await stage.audit.writes()).map(({ credential }) => credential))

  await stage.apply('shared', specOf('2'))
  await stage.until('shared', 'has begun', begun('shared', specOf('2')))
  old.signal('SIGSTOP')
  await leading(next)
  await stage.ready('shared')
  const before = await stage.audit.writes()
  expect(before.at(-1)?.credential).not.toBe(credentialOfOld)

  // Work that only a leader may do waits for it when it wakes.
  await stage.apply('shared', specOf('3'))
  old.signal('SIGCONT')
  expect(await eventually('the old one ends', () => old.ended())).toBe(1)
  await stage.ready('shared')
  // Long enough for anything that was still on its way.
  await sleep(500)
  const since = (await stage.audit.writes()).slice(before.length)
  expect(since.length).toBeGreaterThan(0)
  expect(since.filter(({ credential }) => credential === credentialOfOld)).toEqual([])
  expect(await passed(scene, 'shared', specOf('2'))).toBe(straightOn)
  expect(await passed(scene, 'shared', specOf('3'))).toBe(straightOn)
  expect(old.log.map(({ message }) => message).some((message) => message.startsWith('lost the lease'))).toBe(true)
})

test('an operator that is told to stop while nothing answers it ends by itself within its grace period', async () => {
  const { stage, proxy } = scene
  const [running] = stage.running().filter((operator) => operator.ended() === undefined)
  expect(running).toBeDefined()
  await stage.apply('stopping', specOf('1'))
  proxy.play({ fault: { fault: 'halfOpen' } })
  proxy.play({ fault: { fault: 'silence' } })
  running?.signal('SIGTERM')
  // A kubelet waits 30 s before it kills.
  const killed = sleep(30_000).then(() => 'had to be killed')
  const ended = eventually('it ends', () => running?.ended()).then((code) => `ended with ${code}`)
  expect(await Promise.race([ended, killed])).toMatch(/^ended with [01]$/)
})
