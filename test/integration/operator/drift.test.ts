import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deployments, services, type ResourceType } from '../../../operator/kube/resources.ts'
import { modelRevisions } from '../../../operator/modeldeployment/resources.ts'
import { eventually } from './eventually.ts'
import type { OperatorProcess } from './process.ts'
import { conditionOf, openStage, revisionOf, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage
let operator: OperatorProcess

const spec = { model: { uri: uriOf('1') }, replicas: 2 }
const revision = revisionOf('kept', spec)

beforeAll(async () => {
  stage = await openStage()
  operator = await stage.start({ environment: { SLIPWAY_RESYNC_INTERVAL: '1s' } })
  await stage.apply('kept', spec)
  await stage.ready('kept')
})

afterAll(async () => stage.close())

const logged = (message: string) =>
  eventually(
    `the operator logs "${message}"`,
    () => operator.log.find((line) => line.message === message),
    () => operator.log.map((line) => line.message),
  )

describe('a child that somebody edits', () => {
  test('has its replicas put back, and the log says what was different', async () => {
    await stage.client.mergePatch(deployments, stage.namespace, revision, { spec: { replicas: 5 } })
    await logged(`applied Deployment ${stage.namespace}/${revision}: spec.replicas is 5, should be 2`)
    await stage.ready('kept')
    expect((await stage.children('kept')).deployments).toEqual({ [revision]: 2 })
  })

  test('has its selector put back, and users get the version that the status names', async () => {
    const selector = { 'slipway.dev/revision': 'somewhere-else' }
    await stage.client.mergePatch(services, stage.namespace, 'kept', { spec: { selector } })
    await logged(
      `applied Service ${stage.namespace}/kept: spec.selector.slipway.dev/revision is "somewhere-else", should be "${revision}"`,
    )
    const { status } = await stage.until('kept', 'answers again', (o) => {
      return conditionOf(o, 'Available')?.status === 'True' && o.status?.traffic?.weights[0]?.revision === revision
    })
    expect(status?.stable?.revision).toBe(revision)
    expect((await stage.children('kept')).serving).toBe(revision)
  })

  test('keeps what others add beside it', async () => {
    const annotations = { 'team.test/owner': 'fraud' }
    await stage.client.mergePatch(services, stage.namespace, 'kept', { metadata: { annotations } })
    await sleep(2500)
    const service = await stage.client.get(services, stage.namespace, 'kept')
    expect(service.metadata.annotations).toMatchObject(annotations)
  })
})

describe('a child that somebody deletes', () => {
  const comesBack = async (type: ResourceType, name: string): Promise<void> => {
    const { uid } = (await stage.client.get(type, stage.namespace, name)).metadata
    await stage.client.delete(type, stage.namespace, name)
    await eventually(`${type.kind} ${name} is back`, async () => {
      const now = await stage.client.find(type, stage.namespace, name)
      return now !== undefined && now.metadata.uid !== uid
    })
    await stage.ready('kept')
  }

  test('comes back: the Service, and with it the address', async () => {
    await comesBack(services, 'kept')
    expect((await stage.children('kept')).serving).toBe(revision)
  })

  test('comes back: the Deployment, and with it the pods', async () => {
    await comesBack(deployments, revision)
    expect((await stage.children('kept')).deployments).toEqual({ [revision]: 2 })
  })

  test('is missed when it is the serving ModelRevision: the pods are left alone, and a new version goes on', async () => {
    const { history } = (await stage.get('kept')).status ?? {}
    const names = () => stage.hands.pods().flatMap((p) => (p.metadata.deletionTimestamp ? [] : [p.metadata.name]))
    const before = names()
    await stage.client.delete(modelRevisions, stage.namespace, revision)
    const { message } = await stage.says('kept', 'Stalled', 'True', 'RevisionMissing')
    expect(message).toBe(
      `ModelRevision ${revision} was deleted; its pods keep serving but cannot be made again. Apply a new version.`,
    )
    await sleep(2500)
    const now = await stage.get('kept')
    expect(conditionOf(now, 'Available')?.status).toBe('True')
    expect(now.status?.history).toEqual(history)
    expect(names()).toEqual(before)
    expect(await stage.children('kept')).toEqual({ serving: revision, deployments: { [revision]: 2 }, revisions: [] })

    const next = { ...spec, model: { uri: uriOf('2') } }
    await stage.apply('kept', next)
    expect((await stage.ready('kept')).status?.stable?.revision).toBe(revisionOf('kept', next))
  })
})
