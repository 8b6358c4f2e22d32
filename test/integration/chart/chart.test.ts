import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { chart, podSpecs, render, template } from '../../chart/helm.ts'
import { waitUntil } from '../../cluster/api.ts'
import { helmPath, kubectlPath } from '../../cluster/binaries.ts'
import { startControlPlane, type ControlPlane } from '../../cluster/controlplane.ts'
import { shellFor, type Shell } from '../../kit/shell.ts'

// Each test runs a few programs that each start in a tenth of a second, or in seconds when the machine is busy.
jest.setTimeout(300_000)

// A control plane of its own: an installed chart owns the resource definitions that other tests share.
let plane: ControlPlane
let shell: Shell

beforeAll(async () => {
  plane = await startControlPlane()
  shell = shellFor(plane.kubeconfig, await kubectlPath(), await helmPath())
  const namespaces = ['slipway-system', 'team-a', 'team-b'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  }))
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: namespaces }))
}, 60_000)

afterAll(async () => plane.stop(), 30_000)

const helm = async (...args: string[]): Promise<string> => shell.helm([...args, '--namespace', 'slipway-system'])

const operator = 'system:serviceaccount:slipway-system:slipway-operator'

interface Question {
  readonly verb: string
  readonly resource: string
  readonly group?: string
  readonly namespace?: string
  readonly name?: string
}

/** The questions to which the API server's authorizer says yes, as "verb group/resource". */
const allowed = async (user: string, questions: readonly Question[]): Promise<string[]> => {
  const items = questions.map(({ resource, ...question }) => {
    const [plural, subresource] = resource.split('/')
    return {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        user,
        groups: ['system:authenticated'],
        resourceAttributes: { ...question, resource: plural, subresource },
      },
    }
  })
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  const answer = '{.status.allowed}{"\\n"}'
  const said = await shell.kubectl(['create', '-o', `jsonpath=${answer}`, '-f', '-'], list)
  const answers = said.trimEnd().split('\n')
  expect(answers).toHaveLength(questions.length)
  return questions.filter((_, index) => answers[index] === 'true').map(inWords)
}

const inWords = ({ verb, group = '', resource, namespace, name = '' }: Question): string =>
  `${verb} ${[group, resource, name].filter((part) => part !== '').join('/')} in ${namespace ?? 'all namespaces'}`

/** What the operator does in a namespace: the calls that its code makes, not what the chart happens to grant. */
const work = (namespace: string): Question[] => {
  const of = (group: string, resource: string, verbs: string): Question[] =>
    verbs.split(' ').map((verb) => ({ verb, group, resource, namespace }))
  return [
    ...of('slipway.dev', 'modeldeployments', 'get list watch'),
    ...of('slipway.dev', 'modeldeployments/status', 'update'),
    ...of('slipway.dev', 'modelrevisions', 'get list watch create patch delete'),
    ...of('apps', 'deployments', 'get list watch create patch delete'),
    ...of('batch', 'jobs', 'get list watch create patch delete'),
    ...of('', 'services', 'get list watch create patch'),
    ...of('discovery.k8s.io', 'endpointslices', 'list watch'),
    ...of('', 'pods', 'get list'),
    ...of('', 'pods/status', 'update'),
    ...of('', 'events', 'create patch'),
  ]
}

/** What it does to the routers' belongings: all of them have one name. */
const forRouters = (namespace: string, name: string): Question[] => {
  const rbac = 'rbac.authorization.k8s.io'
  const kinds: [group: string, resource: string, verbs: string][] = [
    ['', 'serviceaccounts', 'get list watch patch'],
    [rbac, 'roles', 'get list watch patch'],
    [rbac, 'rolebindings', 'get list watch patch'],
    ['networking.k8s.io', 'networkpolicies', 'patch delete'],
  ]
  return kinds.flatMap(([group, resource, verbs]) =>
    verbs.split(' ').map((verb) => ({ verb, group, resource, namespace, name })),
  )
}

const leases = (namespace: string, name = 'slipway-operator'): Question[] =>
  ['get', 'update'].map((verb) => ({ verb, group: 'coordination.k8s.io', resource: 'leases', namespace, name }))

const sevenLines = `apiVersion: slipway.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud, namespace: team-a}
spec:
  model:
    uri: https://models.example/fraud/v7/model.onnx
`

describe('the API server takes everything that the chart renders', () => {
  const installs = {
    'as it comes': [],
    'for listed namespaces': ['watchNamespaces={team-a,team-b}'],
    'with three replicas and a network policy': [
      'replicas=3',
      'networkPolicy.enabled=true',
      'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=watch',
      'imagePullSecrets[0].name=registry',
      'tolerations[0].key=models',
      'tolerations[0].operator=Exists',
      'router.nodeSelector.disk=ssd',
      'router.tolerations[0].key=edge',
      'networkPolicy.usersFrom[0].namespaceSelector.matchLabels.team=shop',
    ],
  }

  beforeAll(async () => {
    const crds = (await template()).split(/^---$/m).filter((text) => /^kind: CustomResourceDefinition$/m.test(text))
    await shell.kubectl(['create', '-f', '-'], crds.join('\n---\n'))
    await shell.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=20s'])
  })

  afterAll(async () => {
    await shell.kubectl(['delete', 'crd', '--all', '--wait', '--timeout=30s'])
  })

  test.each(Object.entries(installs))('%s', async (_, settings) => {
    const objects = await render(settings)
    const input = await template(settings)
    const said = await shell.kubectl(['apply', '--dry-run=server', '-f', '-'], input)
    expect(said.trim().split('\n')).toHaveLength(objects.length)
  })

  test('and the pods are what restricted Pod Security asks for', async () => {
    // A Deployment is accepted whatever its pods are; so they are offered as pods, which admission refuses or takes.
    // A controller makes it in every new namespace, and no pod is admitted before.
    await waitUntil('team-b has a service account', async () =>
      (await shell.kubectl(['get', 'serviceaccounts', '-n', 'team-b', '-o', 'name'])).includes(
        'serviceaccount/default',
      ),
    )
    for (const { name, spec } of podSpecs(await render())) {
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'team-b' },
        spec: Object.assign(spec, { serviceAccountName: 'default' }),
      }
      const said = await shell.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod))
      expect(said).toContain('created')
    }
    const careless = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'x', namespace: 'team-b' },
      spec: { containers: [{ name: 'x', image: 'x' }] },
    }
    await expect(shell.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(careless))).rejects.toThrow(
      'PodSecurity',
    )
  })
})

describe('the life of a release', () => {
  test('helm can try it on the server before it installs anything', async () => {
    expect(await helm('install', 'slipway', chart, '--dry-run=server')).toContain('kind: Deployment')
    expect(await shell.kubectl(['get', 'crd', '-o', 'name'])).toBe('')
  })

  test('install: the seven lines are taken at once, and the notes say what to do next', async () => {
    const notes = await helm('install', 'slipway', chart)
    expect(notes).toContain('kubectl get modeldeployment fraud -w')
    expect(notes).toContain('helm -n slipway-system test slipway')
    await shell.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=20s'])
    await shell.kubectl(['apply', '-f', '-'], sevenLines)
  })

  test('the operator may do its work in every namespace, and nothing beside it', async () => {
    const routers = forRouters('team-a', 'slipway-router')
    const questions = [...work('team-a'), ...work('team-b'), ...routers, ...leases('slipway-system')]
    expect(await allowed(operator, questions)).toEqual(questions.map(inWords))
    const forbidden: Question[] = [
      ...['get', 'list', 'watch', 'create'].map((verb) => ({ verb, resource: 'secrets', namespace: 'slipway-system' })),
      ...['create', 'update', 'patch', 'delete'].map((verb) => ({
        verb,
        group: 'slipway.dev',
        resource: 'modeldeployments',
        namespace: 'team-a',
      })),
      { verb: 'update', group: 'slipway.dev', resource: 'modelrevisions', namespace: 'team-a' },
      { verb: 'create', resource: 'pods', namespace: 'team-a' },
      { verb: 'create', resource: 'pods/exec', namespace: 'team-a' },
      { verb: 'get', resource: 'pods/log', namespace: 'team-a' },
      { verb: 'get', resource: 'configmaps', namespace: 'team-a' },
      // It makes the routers' Role, and can put nothing into it that it does not hold itself.
      ...['escalate', 'bind'].map((verb) => ({
        verb,
        group: 'rbac.authorization.k8s.io',
        resource: 'roles',
        namespace: 'team-a',
      })),
      { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'clusterroles' },
      { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'clusterrolebindings' },
      // It lists nodes, for what is free on them; it follows and changes none.
      ...['watch', 'update', 'patch'].map((verb) => ({ verb, resource: 'nodes' })),
      ...leases('team-a'),
      ...leases('slipway-system', 'somebody-else'),
      ...forRouters('team-a', 'somebody-else'),
    ]
    expect(await allowed(operator, forbidden)).toEqual([])
  })

  test('whoever may edit a namespace may edit its models, and read what the operator wrote', async () => {
    await shell.kubectl(['create', 'rolebinding', 'erin', '--clusterrole=edit', '--user=erin', '-n', 'team-a'])
    const mine = (verb: string, resource: string, namespace = 'team-a'): Question => ({
      verb,
      group: 'slipway.dev',
      resource,
      namespace,
    })
    const granted = [
      ...['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'].map((verb) => mine(verb, 'modeldeployments')),
      mine('update', 'modeldeployments/scale'),
      mine('get', 'modelrevisions'),
    ]
    const refused = [
      mine('create', 'modelrevisions'),
      mine('delete', 'modelrevisions'),
      mine('update', 'modeldeployments/status'),
      mine('get', 'modeldeployments', 'team-b'),
    ]
    // A controller copies the rules into the edit role; it takes a moment.
    await waitUntil('the edit role covers ModelDeployments', async () => {
      const seen = await allowed('erin', granted)
      return seen.length === granted.length || `allowed so far: ${seen.join(', ')}`
    })
    expect(await allowed('erin', refused)).toEqual([])
  })

  test('upgrade: new values reach the operator, and the model is left alone', async () => {
    const before = await shell.json<{ metadata: { resourceVersion: string } }>(['get', 'mdep', 'fraud', '-n', 'team-a'])
    await helm('upgrade', 'slipway', chart, '--set', 'replicas=3', '--set', `image.digest=sha256:${'0'.repeat(64)}`)
    const deployment = await shell.json<{
      spec: { replicas: number; template: { spec: { containers: { image: string }[] } } }
    }>(['get', 'deployment', 'slipway-operator', '-n', 'slipway-system'])
    expect(deployment.spec.replicas).toBe(3)
    expect(deployment.spec.template.spec.containers[0]?.image).toBe(`slipway-operator@sha256:${'0'.repeat(64)}`)
    const after = await shell.json<typeof before>(['get', 'mdep', 'fraud', '-n', 'team-a'])
    expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  })

  test('uninstall takes the operator and its rights away, and leaves the models', async () => {
    await helm('uninstall', 'slipway', '--wait')
    const left = [
      'deployment,serviceaccount,role,rolebinding',
      '-n',
      'slipway-system',
      '-l',
      'app.kubernetes.io/instance=slipway',
    ]
    expect(await shell.kubectl(['get', ...left, '-o', 'name'])).toBe('')
    expect(
      await shell.kubectl([
        'get',
        'clusterrole,clusterrolebinding',
        '-l',
        'app.kubernetes.io/instance=slipway',
        '-o',
        'name',
      ]),
    ).toBe('')
    expect(await shell.kubectl(['get', 'mdep', '-n', 'team-a', '-o', 'name'])).toBe(
      'modeldeployment.slipway.dev/fraud\n',
    )
  })

  test('installed again it takes its resource definitions back', async () => {
    await helm('install', 'slipway', chart)
    expect(await shell.kubectl(['get', 'mdep', '-n', 'team-a', '-o', 'name'])).toBe(
      'modeldeployment.slipway.dev/fraud\n',
    )
    await helm('uninstall', 'slipway', '--wait')
  })

  test('installed for one namespace by somebody without cluster rights, it works in that one only', async () => {
    // The resource definitions are there already; a namespace's admin brings the rest.
    const settings = ['crds.enabled=false', 'rbac.aggregate=false', 'watchNamespaces={team-b}'].flatMap((s) => [
      '--set',
      s,
    ])
    await shell.kubectl(['create', 'rolebinding', 'ada', '--clusterrole=cluster-admin', '--user=ada', '-n', 'team-b'])
    await shell.helm(['install', 'slipway', chart, '--namespace', 'team-b', ...settings, '--kube-as-user', 'ada'])
    const account = 'system:serviceaccount:team-b:slipway-operator'
    const here = [...work('team-b'), ...leases('team-b')]
    expect(await allowed(account, here)).toEqual(here.map(inWords))
    expect(await allowed(account, [...work('team-a'), ...leases('team-a')])).toEqual([])
    await shell.helm(['uninstall', 'slipway', '--namespace', 'team-b', '--wait'])
  })
})
