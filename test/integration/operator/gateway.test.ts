// traffic.mode Gateway on a real API server with the real CRDs of the Gateway API; the Gateway's controller is played.
import type { ModelDeploymentStatus } from '../../../operator/api/modeldeployment.ts'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deployments, services, type ResourceType } from '../../../operator/kube/resources.ts'
import { grpcRoutes, httpRoutes, modelDeployments, type Route } from '../../../operator/modeldeployment/resources.ts'
import { installGatewayApi, removeGatewayApi } from '../../gateway/crds.ts'
import { give } from '../cli/session.ts'
import { eventually } from './eventually.ts'
import { startGateways, type PlayedGateways } from './gateways.ts'
import { startRouters, type PlayedRouters } from './routers.ts'
import { openStage, revisionOf, uriOf, type Stage, type WrittenSpec } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage
let gateways: PlayedGateways
let routers: PlayedRouters

beforeAll(async () => {
  stage = await openStage()
  await removeGatewayApi(stage.client)
  routers = await startRouters(stage)
  await stage.start({ environment: { SLIPWAY_RESYNC_INTERVAL: '500ms' } })
})

afterAll(async () => {
  await gateways?.close()
  await routers.close()
  await removeGatewayApi(stage.client)
  await stage.close()
})

const spec = (model: string, rollout: object = { strategy: 'BlueGreen' }): WrittenSpec => ({
  model: { uri: uriOf(model), version: model },
  traffic: { mode: 'Gateway', gateway: { parentRefs: [{ name: 'public' }], hostnames: ['fraud.example'] } },
  rollout,
})
const inMode = (mode: 'Router' | 'Direct', model: string): WrittenSpec => ({
  model: { uri: uriOf(model), version: model },
  traffic: { mode },
  rollout: { strategy: 'BlueGreen' },
})
const canary = (onInconclusive: 'Promote' | 'Hold') => ({
  strategy: 'Canary',
  onInconclusive,
  steps: [
    { weight: 10, minDuration: '1s' },
    { weight: '50%', minDuration: '1s' },
  ],
  keepPreviousFor: '0s',
})

const route = (type: ResourceType<Route>, name: string) => stage.client.find(type, stage.namespace, name)
const sharesOf = (found: Route | undefined): Record<string, number> =>
  Object.fromEntries(
    (found?.spec?.rules ?? [])
      .flatMap(({ backendRefs = [] }) => backendRefs)
      .map(({ name, weight = 1 }) => [name.replace(/-gateway$/, ''), weight]),
  )
const shares = async (name: string) => sharesOf(await route(httpRoutes, name))
const selected = async (name: string) =>
  (await stage.client.find(services, stage.namespace, name))?.spec?.selector?.['slipway.dev/revision']
/** The Service follows the status, which is written first. */
const selects = (name: string, revision: string | undefined) =>
  eventually(`the Service of ${name} selects ${revision ?? 'nobody'}`, async () => (await selected(name)) === revision)
const promote = async (name: string, candidate: string, id: string) => {
  const command = JSON.stringify({ id, op: 'promote', candidate, reason: '', by: 'ana' })
  const patch = { metadata: { annotations: { 'slipway.dev/command': command } } }
  await stage.client.mergePatch(modelDeployments, stage.namespace, name, patch)
}

/** What `kubectl slipway plan` says of the first version, in one line. */
const planned = async (): Promise<string> => {
  const manifest = {
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name: 'fraud', namespace: stage.namespace },
    spec: spec('v1'),
  }
  const { out, note } = await give(['plan', '-f', '-', '-n', stage.namespace], { input: JSON.stringify(manifest) })
  return `${out} ${note}`.replaceAll(/\s+/g, ' ')
}

describe('a cluster without the Gateway API', () => {
  test('is told of in a condition, no pod starts, and CRDs that come later are noticed', async () => {
    await stage.apply('fraud', spec('v1'))
    const stalled = await stage.says('fraud', 'Stalled', 'True', 'GatewayApiMissing')
    expect(stalled.message).toContain('Install the Gateway API 1.1 or later, or set traffic.mode to Router')
    await stage.says('fraud', 'Available', 'False', 'NoVersionYet')
    expect((await stage.children('fraud')).deployments).toEqual({})
    expect(await planned()).toContain('Install the Gateway API 1.1 or later')

    await installGatewayApi(stage.client)
    gateways = await startGateways(stage.client, stage.namespace)
    const missing = await stage.says('fraud', 'Stalled', 'True', 'GatewayNotFound')
    expect(missing.message).toContain(
      `spec.traffic.gateway.parentRefs[0] names Gateway ${stage.namespace}/public, which does not exist`,
    )
    expect(await planned()).toContain('which does not exist. Create it, or name one that exists.')
  })
})

describe('a first version', () => {
  const one = revisionOf('fraud', spec('v1'))

  test('serves when the Gateway has taken its HTTPRoute, and the GRPCRoute comes second', async () => {
    const release = gateways.think((found) => (found.kind === 'HTTPRoute' ? { do: 'nothing' } : undefined))
    await gateways.create('public')
    await eventually('the HTTPRoute is made', () => route(httpRoutes, 'fraud'))
    await stage.says('fraud', 'Available', 'False', 'RouteNotAccepted')
    expect(await route(grpcRoutes, 'fraud')).toBeUndefined()
    expect((await stage.get('fraud')).status?.candidate?.state).toBe('Promoting')
    release()

    await stage.ready('fraud')
    await stage.says('fraud', 'Available', 'True', 'Serving')
    await stage.says('fraud', 'TrafficVerified', 'Unknown', 'NotMeasured')
    const http = await route(httpRoutes, 'fraud')
    expect(http?.spec).toMatchObject({
      parentRefs: [{ name: 'public' }],
      hostnames: ['fraud.example'],
      rules: [{ backendRefs: [{ name: `${one}-gateway`, port: 8080, weight: 1000 }], timeouts: { request: '1m' } }],
    })
    expect(http?.metadata.ownerReferences).toMatchObject([{ kind: 'ModelDeployment', name: 'fraud', controller: true }])
    const grpc = await eventually('the GRPCRoute is made', () => route(grpcRoutes, 'fraud'))
    expect(grpc.spec).toMatchObject({
      rules: [{ backendRefs: [{ name: `${one}-gateway`, port: 9000, weight: 1000 }] }],
    })
    expect((await stage.client.get(services, stage.namespace, `${one}-gateway`)).spec?.clusterIP).not.toBe('None')
    await selects('fraud', one)
    await stage.until('fraud', 'counts both routes', ({ status }) => status?.traffic?.routers?.acked === 2)
  })
})

describe('a canary', () => {
  const [one, two] = [revisionOf('fraud', spec('v1')), revisionOf('fraud', spec('v2'))]

  test('gets no share that the Gateway has not accepted, and none of its pods ends the step', async () => {
    const release = gateways.think(({ metadata }) => {
      const isShared = metadata.generation !== 1
      return isShared ? { do: 'refuse', reason: 'NotAllowedByListeners', message: 'not here' } : undefined
    })
    await stage.apply('fraud', spec('v2', canary('Promote')))
    const { status } = await stage.until(
      'fraud',
      'tells what the Gateway says',
      (object) => object.status?.candidate?.message?.includes('NotAllowedByListeners: not here') === true,
    )
    expect(status?.candidate).toMatchObject({ state: 'Canary', substep: 'Shift', reason: 'RouteNotAccepted' })
    expect(await shares('fraud')).toEqual({ [one]: 900, [two]: 100 })
    release()
  })

  test('goes on by time where the spec says so, and the old pods go only after the routes have left them', async () => {
    await stage.ready('fraud')
    expect(await shares('fraud')).toEqual({ [two]: 1000 })
    expect(sharesOf(await route(grpcRoutes, 'fraud'))).toEqual({ [two]: 1000 })
    await selects('fraud', two)
    const { status } = await stage.get('fraud')
    const passed = status?.history?.filter(({ reason }) => reason === 'Inconclusive') ?? []
    expect(passed.map(({ message }) => message).join()).toContain('In traffic.mode Gateway nobody counts')
    await eventually('the old pods are gone', async () => !(one in (await stage.children('fraud')).deployments))
    await eventually('its Service is gone', async () => {
      const found = await stage.client.find(services, stage.namespace, `${one}-gateway`)
      return found === undefined
    })
  })
})

describe('a step that nobody can judge', () => {
  const three = revisionOf('fraud', spec('v3'))

  test('waits for the command promote, says so, and needs no reason for it', async () => {
    await stage.apply('fraud', spec('v3', { ...canary('Hold'), steps: [{ weight: 10, minDuration: '1s' }] }))
    const at =
      (state: string) =>
      ({ status }: { readonly status?: ModelDeploymentStatus }) =>
        status?.candidate?.state === state && status.candidate.substep === 'Gate'
    const { status } = await stage.until('fraud', 'waits at 10 %', at('Canary'))
    expect(status?.candidate?.deadlineAt).toBeUndefined()
    const waiting = await stage.says('fraud', 'Ready', 'False', 'AwaitingPromotion')
    expect(waiting.message).toContain('nobody counts what they come to: it waits for the command promote')
    await promote('fraud', three, 'one')
    await stage.until('fraud', 'waits at 100 %', at('Promoting'))
    await promote('fraud', three, 'two')
    await stage.ready('fraud')
    expect(await shares('fraud')).toEqual({ [three]: 1000 })
  })
})

describe('gRPC that a Gateway does not take', () => {
  test('is named in a condition, and nobody waits for it', async () => {
    const release = gateways.think(({ kind }) =>
      kind === 'GRPCRoute' ? { do: 'refuse', reason: 'NotAllowedByListeners', message: 'HTTP only' } : undefined,
    )
    await stage.apply('http', { ...spec('v1'), replicas: 1 })
    await stage.until(
      'http',
      'names the GRPCRoute',
      ({ status }) =>
        status?.conditions?.some(({ type, message }) => type === 'Available' && message.includes('HTTP only')) === true,
    )
    const { status } = await stage.ready('http')
    expect(status?.traffic?.routers).toEqual({ total: 1, acked: 1 })
    const available = await stage.says('http', 'Available', 'True', 'Serving')
    expect(available.message).toContain('gRPC does not come through the Gateway: GRPCRoute http at Gateway')
    release()
  })
})

describe('ten resyncs', () => {
  test('of objects whose routes are accepted write nothing', async () => {
    const [operator] = stage.running()
    const looks = async (): Promise<number> =>
      (await operator?.metric('controller_runtime_reconcile_total', { controller: 'modeldeployment' })) ?? 0
    const more = async (count: number): Promise<void> => {
      const before = await looks()
      await eventually(`${count} more looks`, async () => (await looks()) >= before + count)
    }
    // The last word of a Gateway counts some seconds later, and is then written down.
    for (const name of ['fraud', 'http'])
      await stage.until(name, 'counts both routes', ({ status }) => status?.traffic?.routers?.acked === 2)
    await eventually('two looks at each object write nothing', async () => {
      const writes = (await stage.audit.writes()).length
      await more(4)
      return (await stage.audit.writes()).length === writes
    })
    const writes = (await stage.audit.writes()).length
    await more(20)
    expect((await stage.audit.writes()).slice(writes)).toEqual([])
  })
})

describe('somebody else has the name', () => {
  test('of the HTTPRoute: it is left alone, and the condition says so', async () => {
    const foreign = { metadata: { name: 'taken', namespace: stage.namespace }, spec: {} }
    await stage.client.create(httpRoutes, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      ...foreign,
    })
    await stage.apply('taken', spec('v1'))
    const { message } = await stage.says('taken', 'Stalled', 'True', 'NameConflict')
    expect(message).toContain('HTTPRoute taken exists and belongs to someone else')
    expect((await route(httpRoutes, 'taken'))?.metadata.ownerReferences).toBeUndefined()
    await stage.client.delete(modelDeployments, stage.namespace, 'taken')
  })
})

describe('changing the mode', () => {
  const three = revisionOf('fraud', spec('v3'))
  const uid = async () => (await stage.client.get(deployments, stage.namespace, three)).metadata.uid
  const forRoutes = () => stage.client.find(services, stage.namespace, `${three}-gateway`)
  const isGone = async () =>
    (await route(httpRoutes, 'fraud')) === undefined &&
    (await route(grpcRoutes, 'fraud')) === undefined &&
    (await forRoutes()) === undefined

  test('from Gateway to Router keeps the routes until the routers serve, and then takes them away', async () => {
    const before = await uid()
    // Somebody has to ask for routers before they can be held back.
    await stage.apply('other', inMode('Router', 'v1'))
    await stage.ready('other')
    const release = routers.pods().map((pod) => routers.hold(pod))
    await stage.apply('fraud', inMode('Router', 'v3'))
    await stage.until('fraud', 'has a port', ({ status }) => status?.traffic?.port !== undefined)
    expect(await shares('fraud')).toEqual({ [three]: 1000 })
    await selects('fraud', three)
    expect(await forRoutes()).toBeDefined()
    for (const go of release) go()
    await eventually('the Service points at the routers', async () => (await selected('fraud')) === undefined)
    await eventually('routes and their Services are gone', isGone)
    await stage.ready('fraud')
    expect(await uid()).toBe(before)
  })

  test('from Router to Gateway: the Service goes to the pods, and the routes are made beside it', async () => {
    const before = await uid()
    await stage.apply('fraud', spec('v3'))
    await eventually('the Service selects the pods', async () => (await selected('fraud')) === three)
    await stage.ready('fraud')
    await stage.says('fraud', 'Available', 'True', 'Serving')
    expect(await shares('fraud')).toEqual({ [three]: 1000 })
    expect(await uid()).toBe(before)
  })

  test('from Gateway to Direct takes routes away, then their Services; pods and address stay', async () => {
    const before = await uid()
    await stage.apply('fraud', inMode('Direct', 'v3'))
    await eventually('routes and their Services are gone', isGone)
    await stage.ready('fraud')
    await selects('fraud', three)
    expect(await uid()).toBe(before)
  })
})

describe('the end', () => {
  test('of the object takes its routes with it', async () => {
    await stage.client.delete(modelDeployments, stage.namespace, 'http')
    const left = () => Promise.all([route(httpRoutes, 'http'), route(grpcRoutes, 'http')])
    await eventually('the routes are gone', async () => (await left()).every((found) => found === undefined))
    expect(await left()).toEqual([undefined, undefined])
  })

  test('of the Gateway API stops no pod, and is told of', async () => {
    await stage.apply('fraud', spec('v3'))
    await stage.says('fraud', 'Available', 'True', 'Serving')
    const reasons = (await stage.events('fraud')).map(({ reason }) => reason)
    expect(reasons).toContain('RolledOut')
    expect(reasons).not.toContain('InvariantBroken')
    await gateways.close()
    await removeGatewayApi(stage.client)
    await stage.says('fraud', 'Available', 'False', 'GatewayApiMissing')
    expect((await stage.children('fraud')).deployments).toEqual({ [revisionOf('fraud', spec('v3'))]: 1 })
  })

  test('of the Gateway API is not for ever: put back, it gets its routes again and users are answered', async () => {
    await installGatewayApi(stage.client)
    gateways = await startGateways(stage.client, stage.namespace)
    await stage.says('fraud', 'Available', 'True', 'Serving')
    expect(await shares('fraud')).toEqual({ [revisionOf('fraud', spec('v3'))]: 1000 })
    await eventually('the GRPCRoute is made', () => route(grpcRoutes, 'fraud'))
    await stage.ready('fraud')
  })
})
