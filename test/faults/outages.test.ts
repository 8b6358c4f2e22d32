// What the operator stands on goes away and comes back: etcd, the API server, the kind itself, a right.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { customresourcedefinitions, deployments } from '../../operator/kube/resources.ts'
import { modelDeployments } from '../../operator/modeldeployment/resources.ts'
import { connect, installCrds } from '../integration/api/server.ts'
import { eventually } from '../integration/operator/eventually.ts'
import { leading, type OperatorProcess } from '../integration/operator/process.ts'
import { grant, renderRights } from '../integration/operator/rights.ts'
import { revisionOf } from '../integration/operator/stage.ts'
import { faultMs, longOutages, testMs } from './length.ts'
import { restart } from './restart.ts'
import type { Fault } from '../proxy/fault.ts'
import { begun, convergedMs, openScene, passed, specOf, straightOn, type Scene } from './scene.ts'

jest.setTimeout(testMs)

let scene: Scene
let operator: OperatorProcess
const wasLost = (): boolean => operator.log.some(({ message }) => message.startsWith('lost the lease'))

/** A kubelet's part: a leader that could not renew for ten seconds ends by design, and is started again. */
const kubelet = async (stop: AbortSignal): Promise<void> => {
  while (!stop.aborted) {
    await sleep(200)
    if (operator.ended() === undefined) continue
    expect({ ended: operator.ended(), lost: wasLost() }).toEqual({ ended: 1, lost: true })
    operator = await scene.start()
  }
}

beforeAll(async () => {
  scene = await openScene()
  operator = await scene.start()
  await leading(operator)
  await scene.stage.apply('kept', specOf('0'))
  await scene.stage.ready('kept')
})

afterAll(() => scene.close())

test.each(['etcd', 'kube-apiserver'] as const)('%s is restarted in a rollout, which ends as asked', async (program) => {
  const { stage } = scene
  await stage.apply('kept', specOf(program))
  await stage.until('kept', 'has begun', begun('kept', specOf(program)))
  const stop = new AbortController()
  const watching = kubelet(stop.signal)
  await restart(stage.client, program, Math.min(faultMs, 5000))
  await stage.apply('after', specOf(program))
  for (const name of ['kept', 'after']) {
    const { status } = await stage.ready(name)
    expect(status?.stable?.revision).toBe(revisionOf(name, specOf(program)))
  }
  stop.abort()
  await watching
})

test.each([
  ['answers nothing, and then refuses connections', { fault: 'halfOpen' }, { fault: 'reset' }] as const,
  ...longOutages,
])(
  'an API server that %s for longer than the lease: the operator ends, is started again while it is away, waits, and has lost nothing',
  async (how, first: Fault, then: Fault) => {
    const { stage, proxy } = scene
    const spec = specOf(how.replaceAll(/\W+/g, '-'))
    const { client, namespace } = stage
    const name = (what: string): string => `${what}-${how.length}`
    await stage.ready('kept')
    for (const what of ['edited', 'deleted']) await stage.apply(name(what), specOf('0'))
    for (const what of ['edited', 'deleted']) await stage.ready(name(what))
    const edited = revisionOf(name('edited'), specOf('0'))
    // A rollout is under way when it happens.
    await stage.apply('kept', spec)
    await stage.until('kept', 'has begun', begun('kept', spec))

    let away = proxy.play({ fault: first })
    proxy.play({ fault: { fault: 'silence' } })
    expect(await eventually('it ends by itself', () => operator.ended())).toBe(1)
    await eventually('its log says why', wasLost)
    // What a kubelet does, and what users do meanwhile.
    const started = await scene.start()
    away()
    away = proxy.play({ fault: then })
    proxy.cut()
    await client.mergePatch(deployments, namespace, edited, { spec: { replicas: 3 } })
    await client.delete(modelDeployments, namespace, name('deleted'))
    await stage.apply(name('made'), specOf('0'))
    proxy.forget()
    await eventually('it has tried several times', async () => proxy.requests.length >= 20)
    expect(await started.probe('/healthz')).toEqual({ code: 200, words: 'ok' })
    const ready = await started.probe('/readyz')
    expect(ready).toEqual({ code: 503, words: expect.stringContaining('not listed yet: modeldeployments') })
    expect(proxy.requests.filter(({ code }) => code !== undefined && code < 300)).toEqual([])
    expect(started.ended()).toBeUndefined()
    operator = started

    proxy.heal()
    const healedAt = performance.now()
    await stage.ready('kept')
    await stage.ready(name('made'))
    await eventually('the edited child is as it was', async () => {
      return (await client.get(deployments, namespace, edited)).spec?.replicas === 1
    })
    const tookMs = performance.now() - healedAt
    process.stderr.write(`  ${how}: converged ${Math.round(tookMs)} ms after it was back\n`)
    expect(tookMs).toBeLessThan(convergedMs)
    expect(await passed(scene, 'kept', spec)).toBe(straightOn)
    expect((await stage.children('kept')).serving).toBe(revisionOf('kept', spec))
    expect((await operator.probe('/readyz')).code).toBe(200)
    expect(operator.ended()).toBeUndefined()
    // Nobody makes again what belonged to an object that is gone.
    const gone = name('deleted')
    await eventually('what belonged to it is gone', async () => {
      const { deployments: left, serving } = await stage.children(gone)
      return serving === undefined && Object.keys(left).length === 0
    })
  },
)

test('the right to watch a kind is taken and given back: the operator says which verb, and has missed nothing', async () => {
  const { stage, proxy } = scene
  await stage.ready('kept')
  const rights = await renderRights(stage.namespace)
  const without = rights.map((object) => ({
    ...object,
    ...(object.rules && {
      rules: object.rules.map((rule) => ({
        ...rule,
        verbs: rule.resources.includes('deployments')
          ? rule.verbs.filter((v) => v !== 'watch' && v !== 'list')
          : rule.verbs,
      })),
    }),
  }))
  await grant(stage.client, without)
  proxy.cut()
  await eventually(
    'the operator says which verb it lacks',
    () =>
      operator.log.some((line) =>
        line['error.message']?.match(
          `grant the verb "(list|watch)" on deployments.apps in namespace ${stage.namespace} to this service account`,
        ),
      ),
    () => operator.log.slice(-10).map((line) => `${line.message} ${line['error.message'] ?? ''}`),
  )
  await stage.apply('kept', specOf('blind'))
  await grant(stage.client, rights)
  const { status } = await stage.ready('kept')
  expect(status?.stable?.revision).toBe(revisionOf('kept', specOf('blind')))
  expect(operator.ended()).toBeUndefined()
})

test('the kind itself is removed and put back: the operator waits for it, and serves the objects that come then', async () => {
  const { stage } = scene
  const { client } = stage
  const name = 'modeldeployments.slipway.dev'
  await client.delete(customresourcedefinitions, undefined, name)
  await eventually('the kind is gone', async () => {
    return (await client.find(customresourcedefinitions, undefined, name)) === undefined
  })
  await eventually('the operator sees that it is gone', async () => {
    return (await operator.metric('reflector_watch_restarts_total', { reason: 'NotFound' })) > 0
  })
  const plain = await connect()
  await installCrds(plain)
  await plain.close()
  await eventually('the kind is served', () =>
    client.list(modelDeployments, { namespace: stage.namespace }).then(
      ({ items }) => items.length === 0,
      () => false,
    ),
  )
  await stage.apply('back', specOf('1'))
  await stage.ready('back')
  expect(operator.ended()).toBeUndefined()
})
