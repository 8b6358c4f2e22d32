import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import type { V1DeploymentSpec, V1NetworkPolicySpec, V1ServiceSpec } from '@kubernetes/client-node'
import { load } from 'js-yaml'
import { routerChildren } from '../../operator/routers/desired.ts'
import { readPlacement } from '../../operator/routers/placement.ts'
import { chart, helm, only, podSpecs, render, template } from './helm.ts'

const kindsOf = (objects: readonly { kind: string }[]): string[] => objects.map(({ kind }) => kind).toSorted()

/** Every way to install that changes which objects there are. */
const installs: Record<string, string[]> = {
  'as it comes': [],
  'for two namespaces': ['watchNamespaces={team-a,team-b}'],
  'with everything on': [
    'replicas=3',
    'networkPolicy.enabled=true',
    'metrics.serviceMonitor.enabled=true',
    'imagePullSecrets[0].name=registry',
    'priorityClassName=high',
    'nodeSelector.disk=ssd',
  ],
}

test('helm lint finds nothing to say, strictly', async () => {
  expect(await helm(['lint', '--strict', chart])).toContain('0 chart(s) failed')
})

describe.each(Object.entries(installs))('the chart %s', (_, settings) => {
  test('holds every container to the restricted Pod Security Standard', async () => {
    const pods = podSpecs(await render(settings))
    expect(pods.map(({ name }) => name)).toEqual(['slipway-operator', 'slipway-test'])
    for (const { spec } of pods) {
      expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
      for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        })
        expect(container.resources?.requests).toBeDefined()
        expect(container.resources?.limits?.['memory']).toBeDefined()
      }
    }
  })

  test('gives no right on Secrets, and names every right: no star anywhere', async () => {
    const rules = (await render(settings)).flatMap(({ rules: own }) => own ?? [])
    expect(rules.length).toBeGreaterThan(0)
    for (const { apiGroups, resources, verbs } of rules) {
      expect(resources).not.toContain('secrets')
      expect([...apiGroups, ...resources, ...verbs].filter((word) => word.includes('*'))).toEqual([])
      for (const verb of ['escalate', 'bind', 'impersonate']) expect(verbs).not.toContain(verb)
    }
  })

  test('names no variable twice', async () => {
    for (const { spec } of podSpecs(await render(settings))) {
      for (const { env = [] } of spec.containers) {
        const names = env.map(({ name }) => name)
        expect(names).toEqual([...new Set(names)])
      }
    }
  })

  test('puts every object of a namespace into one by name', async () => {
    const clusterWide = ['ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition']
    for (const { kind, metadata } of await render(settings)) {
      if (clusterWide.includes(kind)) expect(metadata.namespace).toBeUndefined()
      else expect(['slipway-system', 'team-a', 'team-b']).toContain(metadata.namespace)
    }
  })
})

describe('images', () => {
  const digest = `sha256:${'ab'.repeat(32)}`
  const imagesOf = async (settings: string[]): Promise<{ operator: string; runtime: string; test: string }> => {
    const [operator, smoke] = podSpecs(await render(settings))
    const container = operator?.spec.containers[0]
    return {
      operator: container?.image ?? '',
      runtime: container?.env?.find(({ name }) => name === 'SLIPWAY_RUNTIME_IMAGE')?.value ?? '',
      test: smoke?.spec.containers[0]?.image ?? '',
    }
  }

  test('carry the release as their tag when values say nothing', async () => {
    const { appVersion } = load(await readFile(join(chart, 'Chart.yaml'), 'utf8')) as { appVersion: string }
    expect(await imagesOf([])).toEqual({
      operator: `slipway-operator:${appVersion}`,
      runtime: `slipway-runtime:${appVersion}`,
      test: `slipway-runtime:${appVersion}`,
    })
  })

  test('come by digest when one is given, whatever the tag', async () => {
    const settings = [
      `image.digest=${digest}`,
      'image.tag=v9',
      `runtime.image.digest=${digest}`,
      'imageRegistry=reg:5000/x',
    ]
    expect(await imagesOf(settings)).toEqual({
      operator: `reg:5000/x/slipway-operator@${digest}`,
      runtime: `reg:5000/x/slipway-runtime@${digest}`,
      test: `reg:5000/x/slipway-runtime@${digest}`,
    })
  })

  test('of routers are the operator, which holds the agent, and Envoy; the operator is told both', async () => {
    const settings = [`router.envoy.image.digest=${digest}`, 'router.envoy.image.repository=envoyproxy/envoy']
    const [operator] = podSpecs(await render(settings))
    const env = operator?.spec.containers[0]?.env ?? []
    const told = (name: string): string => env.find((e) => e.name === name)?.value ?? ''
    expect(told('SLIPWAY_ROUTER_AGENT_IMAGE')).toBe(operator?.spec.containers[0]?.image)
    expect(told('SLIPWAY_ENVOY_IMAGE')).toBe(`envoyproxy/envoy@${digest}`)
    expect(JSON.parse(told('SLIPWAY_ENVOY_RESOURCES'))).toHaveProperty('limits.memory')
  })

  test('of Envoy may come from a registry of its own, such as the official one', async () => {
    const envoyOf = async (settings: string[]): Promise<string | undefined> =>
      podSpecs(await render(settings))[0]?.spec.containers[0]?.env?.find(({ name }) => name === 'SLIPWAY_ENVOY_IMAGE')
        ?.value
    const ours = 'imageRegistry=reg:5000/x'
    const official = ['router.envoy.image.registry=docker.io', 'router.envoy.image.repository=envoyproxy/envoy']
    expect(await envoyOf([ours])).toMatch(/^reg:5000\/x\/slipway-envoy:/)
    expect(await envoyOf([ours, ...official, 'router.envoy.image.tag=v1.40.0'])).toBe(
      'docker.io/envoyproxy/envoy:v1.40.0',
    )
    expect(await envoyOf([ours, ...official, `router.envoy.image.digest=${digest}`])).toBe(
      `docker.io/envoyproxy/envoy@${digest}`,
    )
  })

  test('by a digest that is none are refused', async () => {
    await expect(render(['image.digest=sha256:abc'])).rejects.toThrow('/image/digest')
    const envoy = render(['router.envoy.image.digest=1.40.0'])
    await expect(envoy).rejects.toThrow('/router/envoy/image/digest')
  })
})

describe('settings of the routers', () => {
  const placement = async (settings: string[] = []): Promise<unknown> => {
    const [operator] = podSpecs(await render(settings))
    const env = operator?.spec.containers[0]?.env ?? []
    return JSON.parse(env.find(({ name }) => name === 'SLIPWAY_ROUTER_PLACEMENT')?.value ?? '')
  }

  test('reach the operator, which takes them as they come', async () => {
    const nodes = 'router.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]'
    const given = await placement([
      'router.imagePullSecrets[0].name=registry',
      'router.nodeSelector.disk=ssd',
      'router.tolerations[0].key=edge',
      'router.tolerations[0].operator=Exists',
      `${nodes}.weight=1`,
      'router.priorityClassName=high',
    ])
    expect(given).toMatchObject({
      imagePullSecrets: [{ name: 'registry' }],
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'edge', operator: 'Exists' }],
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] } },
      priorityClassName: 'high',
    })
    expect(readPlacement(JSON.stringify(given))).toEqual({ placement: given })
  })

  test('are none as the chart comes, and those of the operator are not theirs', async () => {
    const mine = ['nodeSelector.disk=ssd', 'priorityClassName=high', 'imagePullSecrets[0].name=registry']
    for (const settings of [[], mine])
      expect(readPlacement(JSON.stringify(await placement(settings)))).toEqual({ placement: {} })
  })

  test.each([
    ['router.nodeSelector.disk=1', '/router/nodeSelector/disk'],
    ['router.tolerations[0].key=edge,router.tolerations[0].operator=Is', '/router/tolerations/0/operator'],
    ['router.tolerations[0].effect=Never', '/router/tolerations/0/effect'],
    ['router.tolerations[0].keys=edge', '/router/tolerations/0'],
    ['router.affinity.nodes=near', '/router/affinity'],
    ['router.priorityClassName=Very High', '/router/priorityClassName'],
    ['router.imagePullSecrets={registry}', '/router/imagePullSecrets/0'],
    ['router.envoy.resources.limits.memory=lots', '/router/envoy/resources/limits/memory'],
    ['router.envoy.resources.limit.memory=1Gi', '/router/envoy/resources'],
    ['networkPolicy.usersFrom[0].namespace=shop', '/networkPolicy/usersFrom/0'],
    ['networkPolicy.direct=never', '/networkPolicy/direct'],
    ['router.agent.resources.requests.cpu=-1', '/router/agent/resources/requests/cpu'],
  ])('%s is refused by its field', async (setting, field) => {
    await expect(render([setting])).rejects.toThrow(`at '${field}'`)
  })
})

describe('values', () => {
  const routers = ['router.', 'router.envoy.', 'router.envoy.image.', 'router.agent.']
  const sections = ['', 'image.', 'runtime.', 'runtime.image.', 'crds.', 'rbac.', 'serviceAccount.', 'metrics.']
  const deeper = ['metrics.service.', 'metrics.serviceMonitor.', 'networkPolicy.', 'test.']

  test.each([...sections, ...routers, ...deeper])('an unknown name under "%s" is refused', async (section) => {
    await expect(render([`${section}nonsense=1`])).rejects.toThrow("additional properties 'nonsense' not allowed")
  })

  test.each([
    'replicas=two',
    'logLevel=loud',
    'resyncInterval=often',
    'watchNamespaces={Team_A}',
    'crds.keep=perhaps',
    'router.replicas=0',
    'image.repository=',
  ])('%s is refused', async (setting) => {
    await expect(render([setting])).rejects.toThrow(/values don't meet the specifications/)
  })

  test('every value of values.yaml is in the schema, once', async () => {
    // js-yaml refuses a name that comes twice, where Helm takes the last.
    expect(load(await readFile(join(chart, 'values.yaml'), 'utf8'))).toHaveProperty('image')
    // The schema refuses what it does not know, so rendering with all of them proves it.
    await expect(helm(['template', 'slipway', chart, '-f', join(chart, 'values.yaml')])).resolves.toContain(
      'Deployment',
    )
  })
})

describe('resource definitions', () => {
  const root = join(chart, '..', '..', 'crds')

  test('in the chart are copies of those in crds/', async () => {
    const names = (await readdir(root)).toSorted()
    expect((await readdir(join(chart, 'files', 'crds'))).toSorted()).toEqual(names)
    expect(names.length).toBeGreaterThan(1)
    for (const name of names) {
      const copy = await readFile(join(chart, 'files', 'crds', name), 'utf8')
      expect(copy).toBe(await readFile(join(root, name), 'utf8'))
    }
  })

  test('come out of the template saying what went in', async () => {
    const rendered = (await render()).filter(({ kind }) => kind === 'CustomResourceDefinition')
    const original = await Promise.all(
      (await readdir(root)).map(async (name) => load(await readFile(join(root, name), 'utf8'))),
    )
    for (const crd of original as typeof rendered) {
      const twin = only(rendered, crd.kind, crd.metadata.name)
      expect(twin.spec).toEqual(crd.spec)
      expect(twin.metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' })
    }
  })

  test('go with the release when keep is off', async () => {
    const { metadata } = only(
      await render(['crds.keep=false']),
      'CustomResourceDefinition',
      'modelrevisions.slipway.dev',
    )
    expect(metadata.annotations ?? {}).not.toHaveProperty(['helm.sh/resource-policy'])
  })

  test('are left to others when disabled', async () => {
    expect(await template(['crds.enabled=false'])).not.toContain('CustomResourceDefinition')
  })
})

describe('rights', () => {
  test('for all namespaces are one ClusterRole, and the lease a Role at home', async () => {
    const objects = await render()
    const names = objects.filter(({ kind }) => kind === 'ClusterRole').map(({ metadata }) => metadata.name)
    expect(names.toSorted()).toEqual(['slipway-edit', 'slipway-operator', 'slipway-view'])
    expect(only(objects, 'Role').rules).toEqual([
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['slipway-operator'],
        verbs: ['get', 'update'],
      },
    ])
  })

  test('hold all that the operator gives to routers, or the API server would not let it', async () => {
    const own = only(await render(), 'ClusterRole', 'slipway-operator').rules ?? []
    const holds = (group: string, resource: string, verb: string): boolean =>
      own.some((r) => r.apiGroups.includes(group) && r.resources.includes(resource) && r.verbs.includes(verb))
    const { rules } = routerChildren({ namespace: 'shop', uid: 'uid-1' }).role
    expect(rules.length).toBeGreaterThan(0)
    for (const { apiGroups, resources, verbs } of rules)
      for (const verb of verbs)
        expect([verb, holds(apiGroups[0] ?? '', resources[0] ?? '', verb)]).toEqual([verb, true])
  })

  test('for listed namespaces are a Role in each; nothing of the operator is cluster-wide', async () => {
    const objects = await render(['watchNamespaces={team-a,team-b}'])
    const clusterRoles = objects.filter(({ kind }) => kind === 'ClusterRole').map(({ metadata }) => metadata.name)
    expect(clusterRoles.toSorted()).toEqual(['slipway-edit', 'slipway-view'])
    expect(kindsOf(objects)).not.toContain('ClusterRoleBinding')
    const roles = objects.filter(({ kind }) => kind === 'Role')
    expect(roles.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).toSorted()).toEqual([
      'slipway-system/slipway-operator-lease',
      'team-a/slipway-operator',
      'team-b/slipway-operator',
    ])
    const everywhere = only(await render(), 'ClusterRole', 'slipway-operator')
    // Nodes belong to no namespace: without them a shortage is told without its numbers.
    const within = everywhere.rules?.filter(({ resources }) => !resources.includes('nodes'))
    expect(within).toHaveLength((everywhere.rules?.length ?? 0) - 1)
    for (const namespace of ['team-a', 'team-b'])
      expect(roles.find(({ metadata }) => metadata.namespace === namespace)?.rules).toEqual(within)
    for (const { subjects } of objects.filter(({ kind }) => kind === 'RoleBinding'))
      expect(subjects).toEqual([{ kind: 'ServiceAccount', name: 'slipway-operator', namespace: 'slipway-system' }])
    const [operator] = podSpecs(objects)
    expect(operator?.spec.containers[0]?.env).toContainEqual({
      name: 'SLIPWAY_WATCH_NAMESPACES',
      value: 'team-a,team-b',
    })
  })

  test('can be left out whole, for clusters where others grant them', async () => {
    const objects = await render(['rbac.create=false', 'rbac.aggregate=false', 'crds.enabled=false'])
    expect(kindsOf(objects).filter((kind) => /Role|Binding|Definition/.test(kind))).toEqual([])
  })

  test('of people are aggregated: viewers read, editors write, nobody writes revisions or status', async () => {
    const objects = await render()
    const view = only(objects, 'ClusterRole', 'slipway-view')
    const edit = only(objects, 'ClusterRole', 'slipway-edit')
    expect(view.metadata.labels).toMatchObject({ 'rbac.authorization.k8s.io/aggregate-to-view': 'true' })
    expect(edit.metadata.labels).toMatchObject({ 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' })
    expect(view.rules?.flatMap(({ verbs }) => verbs)).toEqual(['get', 'list', 'watch'])
    expect(edit.rules?.flatMap(({ resources }) => resources)).toEqual(['modeldeployments', 'modeldeployments/scale'])
  })
})

describe('the operator', () => {
  test('comes with a second replica that takes over, and a disruption budget only where there is one', async () => {
    const objects = await render()
    expect((only(objects, 'Deployment').spec as V1DeploymentSpec).replicas).toBe(2)
    expect(only(objects, 'PodDisruptionBudget').spec).toMatchObject({ maxUnavailable: 1 })
    expect(kindsOf(await render(['replicas=1']))).not.toContain('PodDisruptionBudget')
  })

  test('is upgraded one pod after another, spread over nodes unless values say how', async () => {
    const { strategy, template: pod, selector } = only(await render(), 'Deployment').spec as V1DeploymentSpec
    expect(strategy?.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 })
    const [spread, ...more] = pod.spec?.topologySpreadConstraints ?? []
    expect(more).toEqual([])
    expect(spread).toMatchObject({ topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' })
    expect(spread?.labelSelector).toEqual(selector)
    const zones = ['maxSkew=2', 'topologyKey=zone', 'whenUnsatisfiable=DoNotSchedule']
    const given = await render(zones.map((setting) => `topologySpreadConstraints[0].${setting}`))
    expect((only(given, 'Deployment').spec as V1DeploymentSpec).template.spec?.topologySpreadConstraints).toEqual([
      { maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
    ])
  })

  test('is what its Service, its budget and its network policy select, and the test pod is not', async () => {
    const objects = await render(installs['with everything on'])
    const { template: pod, selector } = only(objects, 'Deployment').spec as V1DeploymentSpec
    const labels = pod.metadata?.labels ?? {}
    const service = only(objects, 'Service', 'slipway-operator-metrics').spec as V1ServiceSpec
    const policy = only(objects, 'NetworkPolicy').spec as V1NetworkPolicySpec
    expect(labels).toMatchObject(selector.matchLabels ?? {})
    for (const chosen of [service.selector, policy.podSelector?.matchLabels])
      expect(chosen).toEqual(selector.matchLabels)
    expect(only(objects, 'Pod').metadata.labels).not.toMatchObject(selector.matchLabels ?? {})
  })

  test('behind a network policy reaches DNS, the API server, agents of routers and pods of models, and is reached by those named', async () => {
    const settings = ['networkPolicy.enabled=true']
    const closed = only(await render(settings), 'NetworkPolicy').spec as V1NetworkPolicySpec
    expect(closed.ingress).toEqual([])
    expect(closed.egress?.flatMap(({ ports = [] }) => ports.map(({ port }) => port))).toEqual([
      53, 53, 443, 6443, 9902, 20_000, 8080, 9000,
    ])
    const named = [...settings, 'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=watch']
    const open = only(await render(named), 'NetworkPolicy').spec as V1NetworkPolicySpec
    expect(open.ingress).toEqual([
      {
        ports: [{ port: 'metrics', protocol: 'TCP' }],
        from: [{ namespaceSelector: { matchLabels: { team: 'watch' } } }],
      },
    ])
  })

  test('has a name of its own when the release is called something else', async () => {
    const objects = await render([], 'models')
    expect(only(objects, 'Deployment').metadata.name).toBe('models-slipway-operator')
    const lease = only(objects, 'Role').rules?.[1]?.resourceNames
    expect(podSpecs(objects)[0]?.spec.containers[0]?.env).toContainEqual({
      name: 'SLIPWAY_LEASE_NAME',
      value: lease?.[0],
    })
  })
})

describe('helm test', () => {
  test('runs where the operator watches', async () => {
    const namespaceOf = async (settings: string[]): Promise<string | undefined> =>
      only(await render(settings), 'ModelDeployment').metadata.namespace
    expect(await namespaceOf([])).toBe('slipway-system')
    expect(await namespaceOf(['watchNamespaces={team-a,slipway-system}'])).toBe('slipway-system')
    expect(await namespaceOf(['watchNamespaces={team-a,team-b}'])).toBe('team-a')
  })

  test('asks for the model where its own pod serves it', async () => {
    const objects = await render()
    const { model } = only(objects, 'ModelDeployment').spec as { model: { uri: string } }
    const store = only(objects, 'Service', 'slipway-test-store')
    expect(model.uri).toBe(`http://${store.metadata.name}.${store.metadata.namespace}.svc/add.onnx`)
    expect(only(objects, 'Pod').metadata.labels).toMatchObject((store.spec as V1ServiceSpec).selector ?? {})
  })

  test('keeps the name of its ModelDeployment within 40 characters, however long the release', async () => {
    const { metadata } = only(
      await render([], 'a-release-with-a-name-of-fifty-three-characters-sharp'),
      'ModelDeployment',
    )
    expect(metadata.name.length).toBeLessThanOrEqual(40)
  })

  test('can be left out', async () => {
    expect(await template(['test.enabled=false'])).not.toContain('helm.sh/hook')
  })
})
