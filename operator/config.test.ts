import { expect, test } from '@jest/globals'
import { ConfigError, readConfig } from './config.ts'

test('the images are all that has to be set', () => {
  const config = readConfig({
    SLIPWAY_RUNTIME_IMAGE: 'runtime:1',
    SLIPWAY_ROUTER_AGENT_IMAGE: 'operator:1',
    SLIPWAY_ENVOY_IMAGE: 'envoy:1',
    SLIPWAY_ENVOY_RESOURCES: '{"limits":{"memory":"1Gi"}}',
    SLIPWAY_ROUTER_PLACEMENT: '{"nodeSelector":{"disk":"ssd"},"tolerations":[]}',
    POD_NAME: 'slipway-0',
    SLIPWAY_WATCH_NAMESPACES: 'a, b, a,',
  })
  expect(config).toMatchObject({
    runtimeImage: 'runtime:1',
    identity: 'slipway-0',
    watchNamespaces: ['a', 'b'],
    resyncMs: 600_000,
    relistMs: 1_800_000,
    router: {
      agentImage: 'operator:1',
      envoyImage: 'envoy:1',
      replicas: 2,
      resources: { agent: {}, envoy: { limits: { memory: '1Gi' } } },
      placement: { nodeSelector: { disk: 'ssd' } },
    },
  })
  expect(Object.isFrozen(config)).toBe(true)
})

test('every bad variable is named at once, with what was found', () => {
  const read = () =>
    readConfig({
      SLIPWAY_LOG_LEVEL: 'loud',
      SLIPWAY_WORKERS: '0',
      SLIPWAY_RESYNC_INTERVAL: 'daily',
      SLIPWAY_RELIST_INTERVAL: '1ms',
      SLIPWAY_WATCH_NAMESPACES: 'shop,*',
      SLIPWAY_ROUTER_REPLICAS: '0',
      SLIPWAY_ENVOY_RESOURCES: '1Gi',
      SLIPWAY_ROUTER_PLACEMENT: '{"tolerations":"all"}',
      SLIPWAY_NETWORK_POLICY: '{"direct":"no","apiServerPorts":[0]}',
    })
  expect(read).toThrow(ConfigError)
  for (const words of [
    'SLIPWAY_RUNTIME_IMAGE is not set',
    '"loud"',
    'SLIPWAY_WORKERS is "0"',
    '"daily"',
    '"1ms"',
    '"*"',
    'SLIPWAY_ENVOY_IMAGE is not set',
    '"1Gi"',
    'SLIPWAY_ROUTER_REPLICAS is "0"',
    'SLIPWAY_ROUTER_PLACEMENT has tolerations "all"; it must be a list',
    'SLIPWAY_NETWORK_POLICY has direct "no"; it must be true or false',
    'SLIPWAY_NETWORK_POLICY has apiServerPorts[0] 0; it must be a port',
  ])
    expect(read).toThrow(words)
})

test('the rules of the network are none, or all of them', () => {
  const images = { SLIPWAY_RUNTIME_IMAGE: 'r', SLIPWAY_ROUTER_AGENT_IMAGE: 'a', SLIPWAY_ENVOY_IMAGE: 'e' }
  expect(readConfig({ ...images, SLIPWAY_NETWORK_POLICY: '' }).router).not.toHaveProperty('network')
  const rules = {
    usersFrom: [],
    metricsFrom: [],
    direct: true,
    apiServerPorts: [6443],
    operatorNamespace: 'slipway-system',
    operatorLabels: { app: 'operator' },
  }
  expect(readConfig({ ...images, SLIPWAY_NETWORK_POLICY: JSON.stringify(rules) }).router.network).toEqual(rules)
  const { direct: _, ...others } = rules
  expect(() => readConfig({ ...images, SLIPWAY_NETWORK_POLICY: JSON.stringify(others) })).toThrow(
    'SLIPWAY_NETWORK_POLICY has no direct',
  )
})
