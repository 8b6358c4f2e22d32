// The wall clock of the operator's machine is wrong, and is put right, in the middle of its work.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { leases } from '../../operator/kube/resources.ts'
import { eventually } from '../integration/operator/eventually.ts'
import { leading } from '../integration/operator/process.ts'
import { begun, openScene, passed, specOf, type Scene } from './scene.ts'

jest.setTimeout(300_000)

let scene: Scene

beforeAll(async () => {
  scene = await openScene()
})

afterAll(() => scene.close())

const hour = 3_600_000

test('a clock that jumps an hour ahead, and two back, loses no lease, ends no deadline and repeats no step', async () => {
  const { stage } = scene
  const operator = await scene.start({
    environment: {
      NODE_OPTIONS: `--import ${join(import.meta.dirname, 'clock.ts')}`,
      SLIPWAY_TEST_CLOCK_JUMPS: `${hour},${-2 * hour}`,
    },
  })
  await leading(operator)
  const renewals = async (): Promise<string | undefined> =>
    (await stage.client.get(leases, stage.namespace, 'slipway-operator')).metadata.resourceVersion
  for (const model of ['1', '2']) {
    await stage.apply('jumping', specOf(model))
    await stage.until('jumping', 'has begun', begun('jumping', specOf(model)))
    const heard = operator.log.length
    operator.signal('SIGUSR2')
    await eventually('the clock has jumped', () =>
      operator.log.slice(heard).some(({ message }) => message.startsWith('the clock jumped')),
    )
    await stage.ready('jumping')
    expect(await passed(scene, 'jumping', specOf(model))).toMatch(/^Pending Provisioning Promoting (Observing|Idle)$/)
    const before = await renewals()
    await eventually('the lease is renewed', async () => (await renewals()) !== before)
  }
  expect(operator.ended()).toBeUndefined()
  expect(operator.log.filter(({ message }) => message.startsWith('lost the lease'))).toEqual([])
})
