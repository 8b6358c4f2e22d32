// Each fault, for as long as the suite is told and until it was really played, then healed: everything asked for meanwhile
// is done within the documented bound, once, by the same process. In minutes, a few of them by seed.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { deployments } from '../../operator/kube/resources.ts'
import { eventually } from '../integration/operator/eventually.ts'
import { leading, type OperatorProcess } from '../integration/operator/process.ts'
import { revisionOf } from '../integration/operator/stage.ts'
import { beyondLeases, kinds } from '../proxy/schedule.ts'
import { seeded, shuffled } from '../proxy/random.ts'
import { faultMs, firstSeed, mostKinds, testMs } from './length.ts'
import { convergedMs, openScene, passed, specOf, straightOn, type Scene } from './scene.ts'

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

const numbered = Object.keys(kinds).map((kind, index) => [kind, index + 1] as const)

test.each(shuffled(seeded(firstSeed), numbered).slice(0, mostKinds))(
  '%s: what changed meanwhile is done within the bound when it is over, once and by the same process',
  async (kind, index) => {
    const { stage, proxy } = scene
    const { rules, cuts } = kinds[kind]?.(seeded(index)) ?? { rules: [] }
    const faults = [...new Set(rules.map(({ fault }) => fault.fault))]
    const begun = (): number[] => faults.map((fault) => proxy.begun(fault))
    const before = begun()
    const played = (): number[] => begun().map((count, at) => count - (before[at] ?? 0))
    for (const rule of rules) {
      proxy.play({ ...rule, when: (asked) => beyondLeases(asked) && rule.when?.(asked) !== false })
    }
    if (cuts === true) proxy.cut()
    const edited = revisionOf('edited', specOf('0'))
    await stage.apply('changed', specOf(`${index}`))
    await stage.client.mergePatch(deployments, stage.namespace, edited, { spec: { replicas: 3 } })
    await stage.apply(`new-${index}`, specOf('0'))
    await sleep(faultMs)
    // Most hit a share of what is asked or told, and something must be: somebody edits the child again until all were played.
    await eventually(`${faults.join(' and ')} were played`, async () => {
      if (played().every((count) => count > 0)) return true
      const metadata = { annotations: { 'test/now': `${performance.now()}` } }
      await stage.client.mergePatch(deployments, stage.namespace, edited, { metadata, spec: { replicas: 3 } })
      return false
    })
    proxy.heal()
    const healedAt = performance.now()

    await stage.ready('changed')
    await stage.ready(`new-${index}`)
    await eventually('the edited child is as it was', async () => {
      return (await stage.client.get(deployments, stage.namespace, edited)).spec?.replicas === 1
    })
    const tookMs = performance.now() - healedAt
    process.stderr.write(
      `  ${kind}: ${faults.map((fault, at) => `${fault} ${played()[at]} times`).join(', ')}; converged ${Math.round(tookMs)} ms after it was over\n`,
    )
    expect(tookMs).toBeLessThan(convergedMs)
    expect(await passed(scene, 'changed', specOf(`${index}`))).toBe(straightOn)
    expect((await stage.children('changed')).serving).toBe(revisionOf('changed', specOf(`${index}`)))
    expect(operator.ended()).toBeUndefined()
    expect(operator.log.filter(({ message }) => message.startsWith('lost the lease'))).toEqual([])
    await stage.client.delete(deployments, stage.namespace, revisionOf(`new-${index}`, specOf('0')))
  },
)
