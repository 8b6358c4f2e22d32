import { describe, expect, test } from '@jest/globals'
import { routerChildren, routerDeployment, routerLabels } from './desired.ts'

const release = {
  agentImage: 'operator@sha256:1',
  envoyImage: 'envoy@sha256:2',
  replicas: 2,
  resources: { agent: { limits: { memory: '1Mi' } }, envoy: { limits: { memory: '2Mi' } } },
  placement: {},
  logLevel: 'info',
}
const { spec } = routerDeployment('shop', release)
const pod = spec.template.spec
const containers = [...pod.initContainers, ...pod.containers]
const named = (name: string) => containers.find((c) => c.name === name)

describe('a router pod', () => {
  test('is held to the restricted Pod Security Standard', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(containers.map(({ name }) => name)).toEqual(['init', 'envoy', 'agent'])
    for (const { securityContext } of containers)
      expect(securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        capabilities: { drop: ['ALL'] },
      })
  })

  test('gives the token of its account to the agent alone', () => {
    expect(pod.automountServiceAccountToken).toBe(false)
    const mounts = containers.map(({ name, volumeMounts }) => [name, volumeMounts.map((m) => m.name).includes('token')])
    expect(Object.fromEntries(mounts)).toEqual({ init: false, envoy: false, agent: true })
  })

  test('tells Envoy what memory it may take before it starts', () => {
    const told = named('init')?.env?.find(({ name }) => name === 'SLIPWAY_ENVOY_MEMORY')
    expect(told?.valueFrom).toEqual({ resourceFieldRef: { containerName: 'envoy', resource: 'limits.memory' } })
  })

  test('ends its Envoy only after its agent, which drains it: Envoy is the sidecar', () => {
    expect(named('envoy')).toMatchObject({ restartPolicy: 'Always', image: 'envoy@sha256:2' })
    expect(pod.containers.map(({ name }) => name)).toEqual(['agent'])
  })
})

test('routers run where whoever installs says, and stay spread and quick to leave a lost node', () => {
  const placement = {
    imagePullSecrets: [{ name: 'registry' }],
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ key: 'edge', operator: 'Exists' }],
    affinity: { podAntiAffinity: {} },
    priorityClassName: 'high',
  }
  const placed = routerDeployment('shop', { ...release, placement }).spec.template.spec
  expect(placed).toMatchObject({ ...placement, tolerations: [...placement.tolerations, ...pod.tolerations] })
  expect(pod.tolerations).toHaveLength(2)
  expect(placed.topologySpreadConstraints).toEqual(pod.topologySpreadConstraints)
})

test('settings that are not given leave no trace: an upgrade of the operator alone rolls no routers', () => {
  for (const field of ['imagePullSecrets', 'nodeSelector', 'affinity', 'priorityClassName'])
    expect(pod).not.toHaveProperty(field)
})

test('an upgrade of routers takes an old one away only when a new one has been ready for a while', () => {
  expect(spec.strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 })
  expect(spec.minReadySeconds).toBeGreaterThan(0)
})

test('how many routers there are is not part of what is always applied', () => {
  expect(spec).not.toHaveProperty('replicas')
})

test('the selector selects the pods, and nothing that routers may do concerns Secrets', () => {
  expect(spec.selector.matchLabels).toEqual(spec.template.metadata.labels)
  const { role, service } = routerChildren({ namespace: 'shop', uid: 'uid-1' })
  expect(service.spec.selector).toEqual(routerLabels)
  for (const { resources, verbs } of role.rules) {
    expect(resources).not.toContain('secrets')
    expect(verbs).toEqual(['get', 'list', 'watch'])
  }
})

test('everything but the Deployment goes with the Deployment', () => {
  for (const { metadata } of Object.values(routerChildren({ namespace: 'shop', uid: 'uid-1' })))
    expect(metadata.ownerReferences).toEqual([
      { apiVersion: 'apps/v1', kind: 'Deployment', name: 'slipway-router', uid: 'uid-1', controller: true },
    ])
})
