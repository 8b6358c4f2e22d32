import { expect, test } from '@jest/globals'
import { ConfigError, readConfig } from './config.ts'

test('the images are all that has to be set', () => {
  const config = readConfig({
    SLIPWAY_RUNTIME_IMAGE: 'runtime:1',
    SLIPWAY_ROUTER_AGENT_IMAGE: 'operator:1',
    SLIPWAY_ENVOY_IMAGE: 'envoy:1',
    SLIPWAY_ENVOY_RESOURCES: '{"limits":{"memory":"1Gi"}}',
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
  ])
    expect(read).toThrow(words)
})
