// Every connection that the parts of Slipway make, in one table, held against the NetworkPolicies that the chart and the
// operator make. The ports are those of the code and of the rendered pods, not numbers written down here.
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { V1DeploymentSpec, V1NetworkPolicy } from '@kubernetes/client-node'
import { agentPort, listenerPorts } from '../../operator/api/routerstate.ts'
import { renderPodTemplate } from '../../operator/modeldeployment/desired/podtemplate.ts'
import { deploymentOf } from '../../operator/modeldeployment/fixtures.ts'
import { routerLabels } from '../../operator/routers/desired.ts'
import { networkPolicies, readNetworkRules } from '../../operator/routers/policies.ts'
import { isAllowed, type End } from '../kit/allowed.ts'
import { only, podSpecs, render, type Rendered } from './helm.ts'

const pod = renderPodTemplate(deploymentOf({ model: { uri: 'https://models.test/m.onnx' } } as never), {
  revision: 'fraud-1',
  version: 'v1',
  digest: `sha256:${'0'.repeat(64)}`,
  image: 'runtime@sha256:1',
})
const portsOf = (containers: readonly { ports?: { name?: string; containerPort: number }[] }[] = []) =>
  Object.fromEntries(
    containers.flatMap(({ ports = [] }) => ports.map(({ name = '', containerPort }) => [name, containerPort] as const)),
  )

interface World {
  readonly policies: readonly V1NetworkPolicy[]
  readonly ends: Readonly<Record<'operator' | 'router' | 'runtime' | 'user' | 'prometheus' | 'apiServer' | 'dns', End>>
  readonly runtime: Readonly<Record<string, number>>
  readonly operator: Readonly<Record<string, number>>
}

const watching = 'networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus'
const watchingAll = 'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=watch'

const worldOf = async (settings: readonly string[]): Promise<World> => {
  const objects: Rendered[] = await render(['networkPolicy.enabled=true', watching, watchingAll, ...settings])
  const { template } = only(objects, 'Deployment').spec as V1DeploymentSpec
  const env = podSpecs(objects)[0]?.spec.containers[0]?.env ?? []
  const read = readNetworkRules(env.find(({ name }) => name === 'SLIPWAY_NETWORK_POLICY')?.value ?? '')
  if ('problems' in read) throw new Error(read.problems.join('; '))
  const operator = portsOf(template.spec?.containers)
  const elsewhere = (namespace: string, labels = {}): End => ({ namespace, labels })
  return {
    policies: [
      only(objects, 'NetworkPolicy') as unknown as V1NetworkPolicy,
      ...(networkPolicies({ namespace: 'shop', uid: 'uid-1' }, read.rules) as unknown as V1NetworkPolicy[]),
    ],
    ends: {
      operator: { namespace: 'slipway-system', labels: template.metadata?.labels ?? {}, ports: operator },
      router: elsewhere('shop', routerLabels),
      runtime: elsewhere('shop', pod.metadata?.labels),
      user: elsewhere('shop', { app: 'checkout' }),
      prometheus: elsewhere('watch', { app: 'prometheus' }),
      apiServer: elsewhere('the network of nodes'),
      dns: elsewhere('kube-system', { 'k8s-app': 'kube-dns' }),
    },
    runtime: portsOf(pod.spec?.['containers'] as never),
    operator,
  }
}

type Row = readonly [from: keyof World['ends'], to: keyof World['ends'], port: number, what: string]

/** Each has its place in the code: who adds one there adds it here. */
const made = ({ runtime, operator }: World): readonly Row[] => [
  ['user', 'router', listenerPorts.first, 'a request, by the Service of a ModelDeployment'],
  ['user', 'router', listenerPorts.last, 'the same, at the last port'],
  ['router', 'runtime', runtime['http'] ?? 0, 'requests, copies and health checks'],
  ['router', 'runtime', runtime['grpc'] ?? 0, 'gRPC'],
  ['router', 'apiServer', 6443, 'the agent follows ModelDeployments and EndpointSlices'],
  ['router', 'apiServer', 443, 'the same'],
  ['operator', 'router', agentPort, 'GET /state (operator/routers/ask.ts)'],
  ['operator', 'router', listenerPorts.first, 'a knock at a Service that routers stand behind (operator/reach)'],
  ['operator', 'runtime', runtime['http'] ?? 0, 'a knock (operator/reach)'],
  ['operator', 'runtime', runtime['grpc'] ?? 0, 'a knock, should the Service name this port first'],
  ['operator', 'apiServer', 6443, 'everything'],
  ['operator', 'apiServer', 443, 'the same'],
  ['prometheus', 'operator', operator['metrics'] ?? 0, 'metrics of the operator'],
  ['prometheus', 'runtime', runtime['metrics'] ?? 0, 'metrics of models'],
  ['runtime', 'apiServer', 443, 'a model is fetched from anywhere'],
]

const direct = ({ runtime }: World): readonly Row[] => [
  ['user', 'runtime', runtime['http'] ?? 0, 'a request, in modes Direct and Gateway'],
  ['user', 'runtime', runtime['grpc'] ?? 0, 'the same by gRPC'],
]

/** What nobody has to do. */
const refused = ({ runtime, operator }: World): readonly Row[] => [
  ['user', 'router', agentPort, 'the state of routers is the operator’s to read'],
  ['user', 'runtime', runtime['metrics'] ?? 0, 'metrics'],
  ['user', 'operator', operator['metrics'] ?? 0, 'metrics'],
  ['prometheus', 'router', agentPort, 'routers have no metrics'],
  ['router', 'runtime', runtime['metrics'] ?? 0, 'the runtime’s own state'],
  ['router', 'user', 8080, 'routers ask models only'],
  ['router', 'operator', operator['metrics'] ?? 0, 'routers never ask the operator'],
  ['operator', 'user', 8080, 'the operator asks its own pods only'],
]

const allowed = ({ policies, ends }: World, rows: readonly Row[]): Row[] =>
  rows.filter(([from, to, port]) => isAllowed(policies, { from: ends[from], to: ends[to], port }))

describe('with network policies', () => {
  let world: World
  beforeAll(async () => {
    world = await worldOf([])
  })

  test('the ports are real ones', () => {
    for (const [, , port] of [...made(world), ...direct(world), ...refused(world)]) expect(port).toBeGreaterThan(0)
  })

  test('every connection that a part makes is allowed', () => {
    const rows = [...made(world), ...direct(world)]
    expect(allowed(world, rows)).toEqual(rows)
    for (const protocol of ['UDP', 'TCP'] as const)
      expect(isAllowed(world.policies, { from: world.ends.operator, to: world.ends.dns, port: 53, protocol })).toBe(
        true,
      )
  })

  test('and no other one', () => {
    expect(allowed(world, refused(world))).toEqual([])
  })

  test('users that are named are the only ones, at routers and at pods', async () => {
    const path = 'networkPolicy.usersFrom[0].podSelector.matchLabels.app'
    const [theirs, others] = [await worldOf([`${path}=checkout`]), await worldOf([`${path}=somebody`])]
    const byUsers = (at: World): Row[] => [...made(at), ...direct(at)].filter(([from]) => from === 'user')
    expect(allowed(theirs, byUsers(theirs))).toEqual(byUsers(theirs))
    expect(allowed(others, byUsers(others))).toEqual([])
    const rest = made(others).filter(([from]) => from !== 'user')
    expect(allowed(others, rest)).toEqual(rest)
  })

  test('pods of models are reached by routers alone where nobody is to go past them', async () => {
    const strict = await worldOf(['networkPolicy.direct=false'])
    expect(allowed(strict, direct(strict))).toEqual([])
    expect(allowed(strict, made(strict))).toEqual(made(strict))
  })
})
