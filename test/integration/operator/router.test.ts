import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import {
  deployments,
  networkpolicies,
  poddisruptionbudgets,
  rolebindings,
  roles,
  serviceaccounts,
  services,
  type ResourceType,
} from '../../../operator/kube/resources.ts'
import type { KubeObject } from '../../../operator/kube/types.ts'
import { helmPath, kubectlPath } from '../../cluster/binaries.ts'
import { shellFor } from '../../kit/shell.ts'
import { kubeconfig } from '../kube/server.ts'
import { eventually } from './eventually.ts'
import type { OperatorProcess } from './process.ts'
import { startRouters, type PlayedRouters } from './routers.ts'
import { conditionOf, openStage, revisionOf, uriOf, type Stage, type WrittenSpec } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage
let routers: PlayedRouters
let operator: OperatorProcess
const environment = { SLIPWAY_RESYNC_INTERVAL: '500ms' }

beforeAll(async () => {
  stage = await openStage()
  routers = await startRouters(stage)
  operator = await stage.start({ environment })
})

afterAll(async () => {
  await routers.close()
  await stage.close()
})

const spec = (model: string, rest: Partial<WrittenSpec> = {}): WrittenSpec => ({
  model: { uri: uriOf(model), version: model },
  traffic: { mode: 'Router' },
  rollout: { strategy: 'BlueGreen' },
  ...rest,
})

const kubectl = async (...args: string[]): Promise<string> => {
  const shell = shellFor(kubeconfig(), await kubectlPath(), await helmPath())
  return shell.kubectl([...args, '--namespace', stage.namespace])
}

const service = (name: string) => stage.client.find(services, stage.namespace, name)
const routerDeployment = () => stage.client.find(deployments, stage.namespace, 'slipway-router')
/** What the routers have beside their Deployment, and something that somebody might write into it. */
const edits: ReadonlyMap<ResourceType, object> = new Map<ResourceType, object>([
  [serviceaccounts, { automountServiceAccountToken: true }],
  [roles, { rules: [] }],
  [rolebindings, { subjects: [] }],
  [poddisruptionbudgets, { spec: { maxUnavailable: 0 } }],
  [services, { spec: { selector: { 'app.kubernetes.io/name': 'somebody-else' } } }],
])
const belongings: readonly ResourceType[] = [deployments, ...edits.keys()]

/** What an object says, without what the server keeps about it. */
const saying = (object: KubeObject | undefined): string => {
  if (object === undefined) return 'nothing'
  const { metadata, status: _, ...rest } = object as KubeObject & { status?: object }
  return JSON.stringify([metadata.labels, metadata.ownerReferences, rest])
}

/** Where the Service sends users: a revision, or the routers with their port. */
const destination = async (name: string): Promise<string | undefined> => {
  const { selector, ports } = (await service(name))?.spec ?? {}
  return selector?.['app.kubernetes.io/name'] === 'slipway-router'
    ? `routers:${String(ports?.[0]?.targetPort)}`
    : selector?.['slipway.dev/revision']
}

describe('the first ModelDeployment in mode Router', () => {
  const [one, two] = [revisionOf('fraud', spec('v1')), revisionOf('fraud', spec('v2'))]

  test('gets routers for its namespace, and its users come to them on a port of its own', async () => {
    await stage.apply('fraud', spec('v1'))
    const { status } = await stage.ready('fraud')
    expect(status?.stable?.revision).toBe(one)
    const port = status?.traffic?.port ?? 0
    expect(port).toBeGreaterThanOrEqual(20_000)
    expect(status?.traffic).toMatchObject({
      weights: [{ revision: one, weight: 1000 }],
      routers: { total: 2, acked: 2 },
    })
    expect(await destination('fraud')).toBe(`routers:${port}`)
    expect((await service('fraud'))?.spec?.ports).toMatchObject([
      { name: 'http', port: 80, targetPort: port },
      { name: 'grpc', port: 9000, targetPort: port },
    ])
    expect((await service(one))?.spec).toMatchObject({
      clusterIP: 'None',
      ports: [
        { name: 'http', port: 8080 },
        { name: 'grpc', port: 9000 },
      ],
    })
    for (const type of belongings)
      expect((await stage.client.get(type, stage.namespace, 'slipway-router')).metadata.name).toBe('slipway-router')
    expect((await routerDeployment())?.spec?.replicas).toBe(2)
    await stage.says('fraud', 'Available', 'True', 'Serving')
    await stage.says('fraud', 'TrafficVerified', 'Unknown', 'TooFewRequests')
  })

  test('is verified once enough requests were counted, with the figures', async () => {
    routers.send('fraud', { [one]: [1000, 0] })
    const { message } = await stage.says('fraud', 'TrafficVerified', 'True', 'Verified')
    expect(message).toMatch(/^In epoch \d+ fraud-\w+ got 100% \(99\.\d+% to 100%\), as asked\.$/)
    expect((await stage.get('fraud')).status?.traffic?.measured).toMatchObject([{ revision: one, share: '1.000000' }])
  })

  test('that is verified moves its Service to its pods and back to the routers', async () => {
    const routed = await destination('fraud')
    await stage.apply('fraud', { ...spec('v1'), traffic: { mode: 'Direct' } })
    await eventually('the Service is on the pods', async () => (await destination('fraud')) === one)
    await stage.apply('fraud', spec('v1'))
    await eventually('the Service is on the routers', async () => (await destination('fraud')) === routed)
    expect((await stage.ready('fraud')).status?.traffic?.routers).toEqual({ total: 2, acked: 2 })
  })

  test('keeps its users on the old version until every router has applied the new share, and tells why one does not', async () => {
    const [first = ''] = routers.pods()
    const { epoch = 0 } = (await stage.get('fraud')).status?.traffic ?? {}
    const why = 'Envoy refused routes fraud: value does not match'
    const go = routers.hold(first, why)
    await stage.apply('fraud', spec('v2'))
    const waiting = await stage.until('fraud', 'waits for a router', ({ status }) => {
      return status?.traffic?.routers?.acked === 1 && status.candidate?.substep === 'Shift'
    })
    expect(waiting.status).toMatchObject({
      stable: { revision: one },
      candidate: { revision: two, state: 'Promoting' },
      traffic: { epoch: epoch + 1, weights: [{ revision: two, weight: 1000 }], routers: { total: 2, acked: 1 } },
    })
    expect((await stage.children('fraud')).deployments).toMatchObject({ [one]: 1, [two]: 1 })
    const told = `Router ${first}: ${why}`
    expect((await stage.says('fraud', 'TrafficVerified', 'Unknown', 'AwaitingRouters')).message).toContain(told)
    expect((await stage.says('fraud', 'Reconciling', 'True', 'RoutersNotReady')).message).toContain(told)
    await stage.says('fraud', 'Available', 'True', 'Serving')
    go()
    const { status } = await stage.ready('fraud')
    expect(status).toMatchObject({
      stable: { revision: two },
      previous: { revision: one },
      traffic: { epoch: epoch + 1, routers: { total: 2, acked: 2 } },
    })
    expect(status?.traffic?.port).toBe(waiting.status?.traffic?.port)
  })

  test('shares users out step by step with strategy Canary, and takes them back when the new version fails', async () => {
    const three = revisionOf('fraud', spec('v3'))
    const rollout = {
      strategy: 'Canary' as const,
      steps: [
        { weight: 10, minDuration: '0s' },
        { weight: 50, minDuration: '0s' },
      ],
      analysis: { minSamples: 300 },
      onNoTraffic: 'Hold' as const,
    }
    await stage.apply('fraud', spec('v3', { rollout }))
    const at =
      (weight: number) => (o: { status?: { traffic?: { weights: { revision: string; weight: number }[] } } }) =>
        o.status?.traffic?.weights.some((w) => w.revision === three && w.weight === weight) ?? false
    await stage.until(
      'fraud',
      'gives the new version 10%',
      (o) => at(100)(o) && o.status?.candidate?.substep === 'Analyse',
    )
    // The count begins with the first answers that show the epoch on every router.
    const asked = routers.asked()
    await eventually('the routers are asked again', async () => routers.asked() >= asked + 4)
    routers.send('fraud', { [two]: [900, 0], [three]: [100, 0] })
    await stage.says('fraud', 'TrafficVerified', 'True', 'Verified')
    // An operator that starts anew knows what was counted: half of the samples came before, the other half after.
    await operator.kill()
    operator = await stage.start({ environment })
    routers.send('fraud', { [two]: [900, 0], [three]: [100, 0] })
    await stage.until(
      'fraud',
      'gives the new version 50%',
      (o) => at(500)(o) && o.status?.candidate?.substep === 'Analyse',
    )
    const again = routers.asked()
    await eventually('the routers are asked again', async () => routers.asked() >= again + 4)
    routers.send('fraud', { [two]: [500, 0], [three]: [500, 50] })
    const { message } = await stage.says('fraud', 'Stalled', 'True', 'TooManyErrors')
    expect(message).toContain('requests to')
    const { status } = await stage.get('fraud')
    expect(status).toMatchObject({
      stable: { revision: two },
      traffic: { weights: [{ revision: two, weight: 1000 }], routers: { total: 2, acked: 2 } },
    })
    expect(status?.candidate).toBeUndefined()
    await eventually('the pods of the failed version are gone', async () => {
      const { deployments: left } = await stage.children('fraud')
      return !Object.hasOwn(left, three) && (await service(three)) === undefined
    })
  })
})

describe('an object that changes its mode', () => {
  const direct = { ...spec('v1'), traffic: { mode: 'Direct' as const } }
  const revision = revisionOf('spam', direct)

  test('moves its Service to the routers only when all of them answer for it', async () => {
    await stage.apply('spam', direct)
    await stage.ready('spam')
    expect(await destination('spam')).toBe(revision)
    expect(await service(revision)).toBeUndefined()
    const [first = ''] = routers.pods()
    const go = routers.hold(first)
    await stage.apply('spam', spec('v1'))
    await stage.until('spam', 'waits for a router', ({ status }) => status?.traffic?.routers?.acked === 1)
    expect(await destination('spam')).toBe(revision)
    go()
    const port = await eventually('the Service is on the routers', async () => {
      const found = await destination('spam')
      return found?.startsWith('routers:') === true && found
    })
    const { status } = await stage.ready('spam')
    expect(port).toBe(`routers:${status?.traffic?.port ?? 0}`)
    expect(status?.traffic?.port).not.toBe((await stage.get('fraud')).status?.traffic?.port)
    expect(status?.stable?.revision).toBe(revision)
  })

  test('moves it back at once, and keeps its port for the clients that are still on the routers', async () => {
    const before = (await stage.get('spam')).status?.traffic?.port
    await stage.apply('spam', direct)
    await eventually('the Service is on the pods', async () => (await destination('spam')) === revision)
    const { status } = await stage.ready('spam')
    expect(status?.traffic?.port).toBe(before)
    expect(await service(revision)).toBeDefined()
  })
})

describe('routers', () => {
  test('whose number somebody else has set keep it, also when their image and the nodes they may run on change', async () => {
    await kubectl('scale', 'deployment/slipway-router', '--replicas=3')
    await eventually('three routers are there', async () => routers.pods().length === 3)
    await operator.stop()
    const tolerations = [{ key: 'edge', operator: 'Exists' }]
    const placement = { nodeSelector: { disk: 'ssd' }, tolerations, imagePullSecrets: [{ name: 'registry' }] }
    const settings = {
      SLIPWAY_ENVOY_IMAGE: 'registry.test/envoy:2',
      SLIPWAY_ROUTER_PLACEMENT: JSON.stringify(placement),
    }
    operator = await stage.start({ environment: { ...environment, ...settings } })
    await eventually('the new image is rolled out', async () => {
      const { spec: own, status } = (await routerDeployment()) ?? {}
      const image = own?.template.spec?.initContainers?.find((c) => c.name === 'envoy')?.image
      return image === 'registry.test/envoy:2' && status?.updatedReplicas === 3 && status.replicas === 3
    })
    const { replicas, template } = (await routerDeployment())?.spec ?? {}
    expect(replicas).toBe(3)
    expect(template?.spec).toMatchObject({
      nodeSelector: placement.nodeSelector,
      imagePullSecrets: placement.imagePullSecrets,
      tolerations: expect.arrayContaining(tolerations),
    })
  })

  test('with settings that the API server refuses stay as they are, and whoever needs them is told which and why', async () => {
    await operator.stop()
    const settings = { SLIPWAY_ROUTER_PLACEMENT: '{"priorityClassName":"Very High"}' }
    operator = await stage.start({ environment: { ...environment, ...settings } })
    const refused = await eventually('the operator says why', () =>
      operator.log.find(({ message, 'error.message': why = '' }) => `${message} ${why}`.includes('priorityClassName')),
    )
    expect(JSON.stringify(refused)).toContain('Very High')
    const image = (await routerDeployment())?.spec?.template.spec?.initContainers?.find(
      (c) => c.name === 'envoy',
    )?.image
    expect(image).toBe('registry.test/envoy:2')
    await stage.apply('late', spec('v1'))
    await stage.until('late', 'is told', (object) =>
      (object.status?.conditions ?? []).some(({ message }) => message.includes('priorityClassName')),
    )
    await kubectl('delete', 'modeldeployment/late')
    await operator.stop()
    operator = await stage.start({ environment })
    await eventually('what was set before and is not any more has gone', async () => {
      const pod = (await routerDeployment())?.spec?.template.spec
      return pod?.nodeSelector === undefined && pod?.tolerations?.every(({ key }) => key !== 'edge')
    })
  })

  test('that somebody edits or deletes are made again at once as they were, all that belongs to them', async () => {
    await operator.stop()
    const rules = {
      usersFrom: [],
      metricsFrom: [{ namespaceSelector: { matchLabels: { team: 'watch' } } }],
      direct: true,
      apiServerPorts: [6443],
      operatorNamespace: 'slipway-system',
      operatorLabels: { 'app.kubernetes.io/name': 'slipway' },
    }
    const network = { SLIPWAY_NETWORK_POLICY: JSON.stringify(rules) }
    operator = await stage.start({ environment: { ...network, SLIPWAY_RESYNC_INTERVAL: '1h' } })
    const policies = async (): Promise<string[]> => {
      const { items } = await stage.client.list(networkpolicies, { namespace: stage.namespace })
      return items.map(({ metadata }) => metadata.name).toSorted()
    }
    await eventually('the network policies are there', async () => (await policies()).length === 2)
    expect(await policies()).toEqual(['slipway-router', 'slipway-runtime'])
    const looks = () => operator.metric('controller_runtime_reconcile_total', { controller: 'router' })
    await eventually('the routers were looked at', async () => (await looks()) > 0)
    const find = (type: ResourceType) => stage.client.find(type, stage.namespace, 'slipway-router')
    for (const [type, edit] of [...edits, [networkpolicies, { spec: { ingress: [] } }] as const]) {
      const before = await find(type)
      await kubectl('patch', type.plural, 'slipway-router', '--type=merge', '-p', JSON.stringify(edit))
      await eventually(`${type.kind} is as it was`, async () => saying(await find(type)) === saying(before))
      await kubectl('delete', type.plural, 'slipway-router')
      await eventually(`${type.kind} is there again`, async () => {
        const now = await find(type)
        return now !== undefined && now.metadata.uid !== before?.metadata.uid
      })
    }
    await operator.stop()
    operator = await stage.start({ environment })
    await eventually('the network policies are gone with their switch', async () => (await policies()).length === 0)
  })

  test('are left by an object in mode Direct when its clients have had time to go', async () => {
    const revision = revisionOf('spam', spec('v1'))
    await stage.until('spam', 'has left the routers', (o) => o.status?.traffic?.port === undefined)
    await eventually('its Service for routers is gone', async () => (await service(revision)) === undefined)
    expect(await destination('spam')).toBe(revision)
  })

  test('with nothing to do are not asked, and nothing is written, in ten resyncs', async () => {
    const reconciles = () => operator.metric('controller_runtime_reconcile_total', { controller: 'modeldeployment' })
    const converged = await eventually('two looks at each object write nothing', async () => {
      const [writes, looks] = [(await stage.audit.writes()).length, await reconciles()]
      await eventually('each object is looked at twice', async () => (await reconciles()) >= looks + 4)
      return (await stage.audit.writes()).length === writes && { writes }
    })
    routers.send('fraud', { [revisionOf('fraud', spec('v2'))]: [100_000, 0] })
    await stage.says('fraud', 'TrafficVerified', 'True', 'Verified')
    expect((await stage.audit.writes()).length - converged.writes).toBeLessThanOrEqual(1)
    // As long as the version before is warm they are asked: a stable that fails goes back to it.
    const warm = routers.asked()
    await eventually('they are asked while previous is warm', () => routers.asked() > warm)
    await kubectl(
      'patch',
      'modeldeployment/fraud',
      '--type=merge',
      '-p',
      '{"spec":{"rollout":{"keepPreviousFor":"1s"}}}',
    )
    await eventually('the version before is gone with all that is its', async () => {
      const { deployments } = await stage.children('fraud')
      const [asked, seen] = [routers.asked(), await reconciles()]
      await eventually('two more looks at each object', async () => (await reconciles()) >= seen + 4)
      return Object.keys(deployments).length === 1 && routers.asked() === asked
    })
    const [before, asked, looks] = [(await stage.audit.writes()).length, routers.asked(), await reconciles()]
    await eventually('ten resyncs', async () => (await reconciles()) >= looks + 20)
    expect((await stage.audit.writes()).slice(before)).toEqual([])
    expect(routers.asked()).toBe(asked)
    expect(await operator.metric('controller_runtime_reconcile_errors_total')).toBe(0)
    expect(await operator.metric('slipway_rollout_violations_total')).toBe(0)
  })

  test('serve an object that is renamed: the old one is deleted and the new one made at once', async () => {
    await stage.apply('renamed', spec('v2'))
    await kubectl('delete', 'modeldeployment/renamed', '--wait=false')
    await stage.apply('renamed-2', spec('v2'))
    const { status } = await stage.ready('renamed-2')
    expect(status?.traffic?.port).not.toBe((await stage.get('fraud')).status?.traffic?.port)
    await eventually('nothing of the old name is left', async () => {
      const { deployments: left, serving, revisions } = await stage.children('renamed')
      return Object.keys(left).length === 0 && serving === undefined && revisions.length === 0
    })
  })

  test('that send users where nobody asked for are told of with the figures', async () => {
    const [rightly, wrongly] = [revisionOf('renamed-2', spec('v2')), 'renamed-2-0000000000']
    const asked = routers.asked()
    await eventually('the routers are asked again', () => routers.asked() >= asked + 4)
    routers.send('renamed-2', { [rightly]: [1000, 0], [wrongly]: [200, 0] })
    const { message } = await stage.says('renamed-2', 'TrafficVerified', 'False', 'SharesOff')
    expect(message).toMatch(/^In epoch \d+ renamed-2-\w+ should get 100% and got 83\.\d+% \(/)
    await stage.says('renamed-2', 'Available', 'True', 'Serving')
    await kubectl('delete', 'modeldeployment/renamed-2')
  })

  test('go with the last object that needs them, and all that belongs to them', async () => {
    await kubectl('delete', 'modeldeployment/fraud')
    await eventually('nothing of the routers is left', async () => {
      const found = await Promise.all(
        belongings.map((type) => stage.client.find(type, stage.namespace, 'slipway-router')),
      )
      return found.every((object) => object === undefined) && routers.pods().length === 0
    })
    expect(conditionOf(await stage.get('spam'), 'Available')?.status).toBe('True')
  })

  test('of somebody else are left alone, and whoever needs routers is told', async () => {
    const { client, namespace } = stage
    const labels = { app: 'mine' }
    const mine = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'slipway-router', namespace },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } },
      },
    }
    await client.create(deployments, mine, { fieldManager: 'somebody' })
    await stage.apply('churn', spec('v1'))
    const waiting = await stage.until('churn', 'says so', ({ status }) => {
      return status?.candidate?.message?.includes('was not made by Slipway') ?? false
    })
    expect(waiting.status?.candidate).toMatchObject({ reason: 'RoutersNotReady' })
    expect((await client.get(deployments, namespace, 'slipway-router')).metadata.labels).toBeUndefined()
  })
})
