import { describe, expect, test } from '@jest/globals'
import { ConfigError, readConfig } from './config.ts'

const least = { POD_NAMESPACE: 'shop' }
const read = (env: Record<string, string> = {}) => readConfig({ ...least, ...env }, () => true)

describe('the configuration of a router', () => {
  test('needs the namespace alone', () => {
    expect(read({ POD_NAME: 'router-0' })).toEqual({
      router: 'router-0',
      namespace: 'shop',
      folder: '/xds',
      port: 9902,
      envoyMemoryBytes: undefined,
      listenAddress: '::',
      drainDelayMs: 5000,
      drainTimeoutMs: 45_000,
      kubernetes: { kubeconfig: undefined, serviceHost: undefined, servicePort: undefined },
      logLevel: 'info',
    })
  })

  test('listens on IPv4 alone where the machine has no IPv6', () => {
    expect(readConfig(least, () => false).listenAddress).toBe('0.0.0.0')
  })

  test('knows the memory that Envoy may take, where the kubelet says one', () => {
    expect(read({ SLIPWAY_ENVOY_MEMORY: '536870912' }).envoyMemoryBytes).toBe(536_870_912)
    expect(read({ SLIPWAY_ENVOY_MEMORY: '0' }).envoyMemoryBytes).toBeUndefined()
  })

  test.each([
    [{ POD_NAMESPACE: '' }, 'POD_NAMESPACE is not set'],
    [{ SLIPWAY_AGENT_PORT: 'http' }, 'SLIPWAY_AGENT_PORT is "http"'],
    [{ SLIPWAY_ROUTER_FOLDER: 'xds' }, 'SLIPWAY_ROUTER_FOLDER is "xds"'],
    [{ SLIPWAY_LOG_LEVEL: 'loud' }, 'SLIPWAY_LOG_LEVEL is "loud"'],
    [{ SLIPWAY_DRAIN_DELAY: 'soon' }, 'SLIPWAY_DRAIN_DELAY: '],
    [{ SLIPWAY_DRAIN_DELAY: '50s' }, 'SLIPWAY_DRAIN_TIMEOUT is shorter'],
    [{ SLIPWAY_ENVOY_MEMORY: '512Mi' }, 'SLIPWAY_ENVOY_MEMORY is "512Mi"; it must be a number of bytes'],
    [{ SLIPWAY_ENVOY_MEMORY: '-1' }, 'SLIPWAY_ENVOY_MEMORY is "-1"'],
  ])('%j is refused by its name', (env, words) => {
    expect(() => read(env)).toThrow(ConfigError)
    expect(() => read(env)).toThrow(words)
  })

  test('is refused with everything that is wrong at once', () => {
    expect(() => read({ SLIPWAY_AGENT_PORT: '-1', SLIPWAY_LOG_LEVEL: 'loud' })).toThrow(/AGENT_PORT.*LOG_LEVEL/)
  })
})
