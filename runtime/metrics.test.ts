import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { mlpModel } from '../test/fixtures/onnx.ts'
import { infer, startServer, type Server } from '../test/fixtures/runtime.ts'
import { readThrottling } from './cgroup.ts'

jest.setTimeout(60_000)

const good = JSON.stringify({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 64], data: Array.from({ length: 64 }, (_, i) => i) }],
})

describe('the metrics of a server that answered five requests and refused one', () => {
  let server: Server
  let text = ''
  beforeAll(async () => {
    server = await startServer(mlpModel(), { SLIPWAY_BATCH_MAX_SIZE: '1' })
    await server.ready()
    // oxlint-disable-next-line no-await-in-loop -- one after another
    for (let sent = 0; sent < 5; sent++) await infer(server, good)
    await infer(server, good.replace('64]', '63]'))
    text = await (await fetch(server.metricsUrl)).text()
  })
  afterAll(() => server.stop())
  const value = (name: string): number => {
    const line = text.split('\n').find((found) => found.startsWith(`${name} `))
    return line === undefined ? Number.NaN : Number(line.slice(name.length + 1))
  }

  const labels = '{model="m",version="v1"}'
  test.each([
    [`nv_inference_request_success${labels}`, 5],
    [`nv_inference_count${labels}`, 5],
    [`nv_inference_exec_count${labels}`, 5],
    [`nv_inference_pending_request_count${labels}`, 0],
    ['nv_inference_request_failure{model="m",version="v1",reason="OTHER"}', 1],
    ['nv_inference_request_failure{model="m",version="v1",reason="REJECTED"}', 0],
    ['request_preprocess_seconds_count{model_name="m"}', 5],
    ['request_predict_seconds_count{model_name="m"}', 5],
    ['request_postprocess_seconds_count{model_name="m"}', 5],
    ['slipway_batch_size_count', 5],
    ['slipway_batch_size_sum', 5],
    ['slipway_workers', 1],
    ['slipway_server_crashes', 0],
  ])('%s is %d', (name, expected) => {
    expect(value(name)).toBe(expected)
  })

  test.each([
    `nv_inference_request_duration_us${labels}`,
    `nv_inference_compute_input_duration_us${labels}`,
    `nv_inference_compute_infer_duration_us${labels}`,
    `nv_inference_compute_output_duration_us${labels}`,
    'slipway_worker_busy_seconds_total',
  ])('%s grows', (name) => {
    expect(value(name)).toBeGreaterThan(0)
  })

  test('the time of a request is that of its parts', () => {
    const micros = (part: string): number => value(`nv_inference_${part}_duration_us${labels}`)
    const parts = ['queue', 'compute_input', 'compute_infer', 'compute_output'].map(micros)
    expect(Math.abs(micros('request') - parts.reduce((sum, part) => sum + part, 0))).toBeLessThanOrEqual(4)
  })

  test('throttling is told where the kernel tells it', () => {
    expect(Number.isNaN(value('slipway_cpu_throttled_seconds_total'))).toBe(readThrottling() === undefined)
  })
})
