// An operator takes over from another build, and gives back to it: no pod moves, and what is under way goes on. The API
// server and its controllers are real; the node and the routers are played.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { deployments } from '../../../operator/kube/resources.ts'
import { commandAnnotation } from '../../../operator/modeldeployment/command.ts'
import { modelDeployments, modelRevisions } from '../../../operator/modeldeployment/resources.ts'
import { ofCommit, withOtherDefaults, type Build } from './builds.ts'
import { eventually } from './eventually.ts'
import { leading, type OperatorProcess } from './process.ts'
import { startRouters, type PlayedRouters } from './routers.ts'
import { conditionOf, openStage, revisionOf, uriOf, type Stage, type WrittenSpec } from './stage.ts'

jest.setTimeout(300_000)

/** The last commit before the first change of what the operator writes into its status. */
const earlier = '0e131637e97ec9861a8516def9811fe210a16667'

let stage: Stage
let routers: PlayedRouters
const builds: Build[] = []
beforeEach(async () => {
  stage = await openStage()
  routers = await startRouters(stage)
})
afterEach(async () => {
  await routers.close()
  await stage.close()
  await Promise.all(builds.splice(0).map((build) => build.remove()))
})

const direct = (model: string): WrittenSpec => ({
  model: { uri: uriOf(model), version: model },
  replicas: 2,
  traffic: { mode: 'Direct' },
  rollout: { strategy: 'BlueGreen', keepPreviousFor: '1h' },
})
const routed = (model: string): WrittenSpec => ({
  model: { uri: uriOf(model), version: model },
  replicas: 2,
  traffic: { mode: 'Router' },
  rollout: { strategy: 'Canary', steps: [{ weight: 20, minDuration: '1s', gate: 'Manual' }], keepPreviousFor: '1h' },
})
const objects = ['direct', 'routed', 'held'] as const

/** This many looks at every object, with nothing else to do. */
const looks = 4
const environment = { SLIPWAY_RESYNC_INTERVAL: '500ms' }

/** The pods of models by uid, and what their Deployments and revisions say: what an upgrade must leave alone. */
const untouched = async () => {
  const { namespace, client } = stage
  const labelSelector = 'slipway.dev/model-deployment'
  const [workloads, revisions] = await Promise.all([
    client.list(deployments, { namespace, labelSelector }),
    client.list(modelRevisions, { namespace, labelSelector }),
  ])
  const served = stage.hands
    .pods()
    .filter(
      ({ metadata }) =>
        metadata.labels?.['slipway.dev/revision'] !== undefined && metadata.deletionTimestamp === undefined,
    )
  return {
    pods: served.map(({ metadata }) => metadata.uid ?? '').toSorted(),
    workloads: workloads.items.map(({ metadata, spec }) => [metadata.name, metadata.generation, spec?.template]),
    revisions: revisions.items.map(({ metadata, spec }) => [metadata.name, spec]),
  }
}

/** Ends the operator and starts another build; back when that has looked at every object some times. */
const handOver = async (from: OperatorProcess, build: Build | undefined): Promise<OperatorProcess> => {
  await from.stop()
  const next = await stage.start({ environment, ...(build && { main: build.main }) })
  await leading(next)
  await eventually(`${build?.name ?? 'this build'} has looked at everything`, async () => {
    const count = await next.metric('controller_runtime_reconcile_total', { controller: 'modeldeployment' })
    return count >= looks * objects.length
  })
  return next
}

/** What a status says to people: times and words of a wait may move, what is served may not. */
const said = async (name: string) => {
  const { status } = await stage.get(name)
  const { stable, previous, candidate, traffic, rejected } = status ?? {}
  return {
    stable,
    previous: previous?.revision,
    candidate: [candidate?.revision, candidate?.state, candidate?.substep],
    traffic: [traffic?.epoch, traffic?.weights],
    rejected,
  }
}

describe.each([
  ['with other defaults', () => withOtherDefaults()],
  ['of an earlier commit', () => ofCommit(earlier)],
] as const)('another build of the operator, %s', (kind, make) => {
  test('takes over and gives back: no pod moves, a canary at its gate stays there and is promoted, and the way back leads to the very same pods', async () => {
    const other = await make()
    if (other === undefined) {
      // A shallow clone has no earlier build; the other one is always tested.
      expect(kind).toBe('of an earlier commit')
      return
    }
    builds.push(other)
    const v = (number: number): string => `${kind.replaceAll(' ', '-')}-${number}`
    let operator = await stage.start({ environment })
    await leading(operator)
    await stage.apply('direct', direct(v(1)))
    for (const name of ['routed', 'held']) await stage.apply(name, routed(v(1)))
    for (const name of objects) await stage.until(name, 'serves', (o) => o.status?.stable?.version === v(1))
    const first = revisionOf('direct', direct(v(1)))
    const frozen = (await stage.client.get(modelRevisions, stage.namespace, first)).spec.podTemplate
    await stage.apply('held', routed(v(2)))
    await stage.until('held', 'waits at its gate', (o) => o.status?.candidate?.substep === 'Gate')

    const [before, ...words] = [await untouched(), ...(await Promise.all(objects.map(said)))]
    operator = await handOver(operator, other)
    expect(await untouched()).toEqual(before)
    expect(await Promise.all(objects.map(said))).toEqual(words)
    for (const name of objects) expect(conditionOf(await stage.get(name), 'Available')?.status).toBe('True')

    // It really is another build: what it makes anew may differ, and the canary that it found goes on.
    await stage.apply('direct', direct(v(2)))
    await stage.until('direct', 'serves the second', (o) => o.status?.stable?.version === v(2))
    const second = await stage.client.get(modelRevisions, stage.namespace, revisionOf('direct', direct(v(2))))
    if (kind === 'with other defaults')
      expect(second.spec.podTemplate.spec['terminationGracePeriodSeconds']).not.toBe(
        frozen.spec['terminationGracePeriodSeconds'],
      )
    const { candidate } = (await stage.get('held')).status ?? {}
    const command = JSON.stringify({ id: v(2), op: 'promote', candidate: candidate?.revision, reason: 'tested' })
    const annotations = { [commandAnnotation]: command }
    await stage.client.mergePatch(modelDeployments, stage.namespace, 'held', { metadata: { annotations } })
    routers.send('held', { [candidate?.revision ?? '']: [1000, 0] })
    await stage.until('held', 'serves the second', (o) => o.status?.stable?.version === v(2))

    // And back: this build reads what the other has written.
    const [then, ...spoken] = [await untouched(), ...(await Promise.all(objects.map(said)))]
    operator = await handOver(operator, undefined)
    expect(await untouched()).toEqual(then)
    expect(await Promise.all(objects.map(said))).toEqual(spoken)
    await stage.apply('direct', direct(v(1)))
    await stage.until('direct', 'serves the first again', (o) => o.status?.stable?.revision === first)
    expect((await stage.client.get(deployments, stage.namespace, first)).spec?.template?.spec).toMatchObject(
      frozen.spec,
    )
    await operator.stop()
  })
})
