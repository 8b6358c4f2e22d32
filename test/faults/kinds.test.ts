// Each fault, for as long as the suite is told, then healed: everything asked for meanwhile is done, once, by the same
// process.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { deployments } from '../../operator/kube/resources.ts'
import { eventually } from '../integration/operator/eventually.ts'
import { leading, type OperatorProcess } from '../integration/operator/process.ts'
import { revisionOf } from '../integration/operator/stage.ts'
import { beyondLeases, kinds } from '../proxy/schedule.ts'
import { seeded } from '../proxy/random.ts'
import { faultMs, testMs } from './length.ts'
import { openScene, passed, specOf, straightOn, type Scene } from './scene.ts'

jest.setTimeout(testMs)

let scene: Scene
let operator: OperatorProcess

beforeAll(async () => {
  scene = await openScene()
  operator = await scene.start()
  await leading(operator)
  for (const name of ['changed', 'edited']) await scene.stage.apply(name, specOf('0'))
  for (const name of ['changed', 'edited']) await scene.stage.ready(name)
})

afterAll(() => scene.close())

test.each(Object.keys(kinds).map((kind, index) => [kind, index + 1] as const))(
  '%s: what changed meanwhile is done when it is over, once and by the same process',
  async (kind, index) => {
    const { stage, proxy } = scene
    const { rules, cuts } = kinds[kind]?.(seeded(index)) ?? { rules: [] }
    for (const rule of rules) {
      proxy.play({ ...rule, when: (asked) => beyondLeases(asked) && rule.when?.(asked) !== false })
    }
    if (cuts === true) proxy.cut()
    const edited = revisionOf('edited', specOf('0'))
    await stage.apply('changed', specOf(`${index}`))
    await stage.client.mergePatch(deployments, stage.namespace, edited, { spec: { replicas: 3 } })
    await stage.apply(`new-${index}`, specOf('0'))
    await sleep(faultMs)
    proxy.heal()
    const healedAt = performance.now()

    await stage.ready('changed')
    await stage.ready(`new-${index}`)
    await eventually('the edited child is as it was', async () => {
      return (await stage.client.get(deployments, stage.namespace, edited)).spec?.replicas === 1
    })
    process.stderr.write(`  ${kind}: converged ${Math.round(performance.now() - healedAt)} ms after it was over\n`)
    expect(await passed(scene, 'changed', specOf(`${index}`))).toBe(straightOn)
    expect((await stage.children('changed')).serving).toBe(revisionOf('changed', specOf(`${index}`)))
    expect(operator.ended()).toBeUndefined()
    expect(operator.log.filter(({ message }) => message.startsWith('lost the lease'))).toEqual([])
    await stage.client.delete(deployments, stage.namespace, revisionOf(`new-${index}`, specOf('0')))
  },
)
