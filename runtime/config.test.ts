import { describe, expect, test } from '@jest/globals'
import { parseConfig } from './config.ts'

const digest = `sha256:${'0'.repeat(64)}`

describe('the configuration', () => {
  test('has the documented defaults', () => {
    expect(parseConfig({ SLIPWAY_MODEL_NAME: 'fraud' }, 'serve')).toMatchObject({
      modelFile: '/models/model.onnx',
      modelName: 'fraud',
      threads: 'Auto',
      queueMaxRequests: 512,
      queueTimeoutMs: 30_000,
      warmupRequests: 20,
      drainDelayMs: 5000,
      httpPort: 8080,
      grpcPort: 9000,
      metricsPort: 9090,
      maxModelBytes: undefined,
      device: 'CPU',
      maxBatch: 'Auto',
      batchMaxDelayMs: 0,
      tracesUrl: undefined,
      traceRatio: 0.01,
      accessLogRatio: 0,
      maxBodyBytes: 64 * 1024 * 1024,
      terminationLog: '/dev/termination-log',
    })
  })

  test('is frozen', () => {
    expect(Object.isFrozen(parseConfig({ SLIPWAY_MODEL_NAME: 'm' }, 'serve'))).toBe(true)
  })

  test('takes an empty variable as one that is not set', () => {
    expect(
      parseConfig({ SLIPWAY_MODEL_NAME: 'm', SLIPWAY_THREADS: '', SLIPWAY_QUEUE_TIMEOUT_MS: ' ' }, 'serve'),
    ).toMatchObject({ threads: 'Auto', queueTimeoutMs: 30_000 })
  })

  test.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/' }, 'http://c:4318/v1/traces'],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://c/t', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x' }, 'https://c/t'],
  ])('sends traces by %j to %s', (environment, url) => {
    expect(parseConfig({ SLIPWAY_MODEL_NAME: 'm', ...environment }, 'serve').tracesUrl).toBe(url)
  })

  test.each([
    ['Auto', 'Auto'],
    ['auto', 'Auto'],
    ['3', 3],
  ] as const)('reads SLIPWAY_THREADS=%s', (text, threads) => {
    expect(parseConfig({ SLIPWAY_MODEL_NAME: 'm', SLIPWAY_THREADS: text }, 'serve').threads).toBe(threads)
  })

  test.each([
    ['serve', {}, 'SLIPWAY_MODEL_NAME is not set'],
    ['fetch', { SLIPWAY_MODEL_DIGEST: digest }, 'SLIPWAY_MODEL_URI is not set'],
    ['fetch', { SLIPWAY_MODEL_URI: 'http://a/b' }, 'SLIPWAY_MODEL_DIGEST is not set'],
    [
      'resolve',
      { SLIPWAY_MODEL_URI: 'http://a/b', SLIPWAY_MODEL_DIGEST: 'sha256:ABC' },
      '64 lower-case hexadecimal digits',
    ],
    [
      'serve',
      { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_HTTP_PORT: '70000' },
      'SLIPWAY_HTTP_PORT is "70000"; write a whole number from 0 to 65535',
    ],
    ['serve', { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_THREADS: '0' }, 'SLIPWAY_THREADS is "0"'],
    ['serve', { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_DRAIN_DELAY_MS: '5s' }, 'SLIPWAY_DRAIN_DELAY_MS is "5s"'],
    ['serve', { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_LOG_LEVEL: 'loud' }, 'SLIPWAY_LOG_LEVEL is "loud"'],
    ['serve', { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_REVISION: 'm-é' }, 'SLIPWAY_REVISION is "m-é"; write letters'],
    ['serve', { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_DEVICE: 'TPU' }, 'SLIPWAY_DEVICE is "TPU"; write CPU or GPU'],
    ['serve', { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_BATCH_MAX_SIZE: '0' }, 'SLIPWAY_BATCH_MAX_SIZE is "0"'],
    [
      'serve',
      { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_ACCESS_LOG_RATIO: '2' },
      'SLIPWAY_ACCESS_LOG_RATIO is "2"; write a share',
    ],
    [
      'serve',
      { SLIPWAY_MODEL_NAME: 'm', OTEL_EXPORTER_OTLP_ENDPOINT: 'collector' },
      'ENDPOINT is "collector"; write the http',
    ],
  ] as const)('of %s refuses %j', (command, environment, words) => {
    expect(() => parseConfig(environment, command)).toThrow(words)
  })

  test('names every mistake at once', () => {
    expect(() => parseConfig({ SLIPWAY_HTTP_PORT: 'x', SLIPWAY_THREADS: 'y' }, 'serve')).toThrow(
      /SLIPWAY_MODEL_NAME.*SLIPWAY_THREADS.*SLIPWAY_HTTP_PORT/,
    )
  })
})
