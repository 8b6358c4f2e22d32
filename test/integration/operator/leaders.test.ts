import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { leases } from '../../../operator/kube/resources.ts'
import { eventually } from './eventually.ts'
import { leading, type OperatorProcess } from './process.ts'
import { openStage, revisionOf, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
})

afterAll(async () => stage.close())

const spec = (model: string) => ({ model: { uri: uriOf(model) } })
const holder = async (): Promise<string | undefined> =>
  (await stage.client.get(leases, stage.namespace, 'slipway-operator')).spec?.holderIdentity

describe('two operators with one lease', () => {
  let second: OperatorProcess

  test('only the leader writes; when it is killed the other takes over where it was', async () => {
    const first = await stage.start({ identity: 'operator-a' })
    await leading(first)
    second = await stage.start({ identity: 'operator-b' })
    // The standby fills its caches and asks for the lease, again and again.
    await eventually('the other stands by', () =>
      second.log.some((line) => line.message === 'waiting for the lease slipway-operator as operator-b'),
    )
    await stage.apply('shared', spec('1'))
    await stage.ready('shared')
    expect(await holder()).toBe('operator-a')
    const alone = new Set((await stage.audit.writes()).map(({ credential }) => credential))
    expect(alone.size).toBe(1)
    expect([...alone][0]).not.toBe('')

    const hold = stage.hands.rule(({ uri, does }) =>
      does === 'serve' && uri === uriOf('2') ? { do: 'start' } : undefined,
    )
    await stage.apply('shared', spec('2'))
    await stage.until('shared', 'provisions', (o) => o.status?.candidate?.state === 'Provisioning')
    await first.kill()
    const written = (await stage.audit.writes()).length
    hold()
    await leading(second)
    expect(await holder()).toBe('operator-b')
    const { status } = await stage.ready('shared')
    expect(status?.stable?.revision).toBe(revisionOf('shared', spec('2')))
    expect(status?.history?.slice(-4).map((h) => h.to)).toEqual(['Pending', 'Provisioning', 'Promoting', 'Observing'])
    const since = new Set((await stage.audit.writes()).slice(written).map(({ credential }) => credential))
    expect(since.size).toBe(1)
    expect(since).not.toEqual(alone)
  })

  test('a leader that is told to stop in a rollout hands over at once, and the rollout is done once', async () => {
    const third = await stage.start({ identity: 'operator-c' })
    await stage.apply('shared', spec('3'))
    expect(await second.stop()).toBe(0)
    await leading(third)
    expect(second.log.map((line) => line.message)).toContain('released the lease slipway-operator')
    const { status } = await stage.ready('shared')
    const revision = revisionOf('shared', spec('3'))
    expect(status?.stable?.revision).toBe(revision)
    const steps = status?.history?.filter((h) => h.revision === revision).map((h) => h.to)
    expect(steps).toEqual(['Pending', 'Provisioning', 'Promoting', 'Observing'])
  })
})
