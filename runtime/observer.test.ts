import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import type { ClientDuplexStream } from '@grpc/grpc-js'
import { createServer, type Server as HttpServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { inferenceClient } from '../test/fixtures/grpc.ts'
import { identityModel } from '../test/fixtures/onnx.ts'
import { infer, startServer } from '../test/fixtures/runtime.ts'
import { listen } from './http/server.ts'
import type { Log } from './log.ts'
import { createObserver } from './observer.ts'
import { parseTraceParent } from './traceparent.ts'

jest.setTimeout(60_000)

describe('the header traceparent', () => {
  const hex = (length: number) =>
    fc
      .array(fc.constantFrom(...'0123456789abcdef'.split('')), { minLength: length, maxLength: length })
      .map((digits) => digits.join(''))
  const nonZero = (length: number) => hex(length).filter((digits) => !/^0+$/.test(digits))

  test('is read as the standard says', () => {
    fc.assert(
      fc.property(nonZero(32), nonZero(16), fc.nat({ max: 255 }), (traceId, spanId, flags) => {
        const header = `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, '0')}`
        expect(parseTraceParent(header)).toEqual({ traceId, spanId, sampled: flags % 2 === 1 })
      }),
    )
  })

  test('of another form is as none', () => {
    fc.assert(fc.property(fc.string(), (header) => expect(parseTraceParent(header)).toBeUndefined()))
    const good = `${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    expect(parseTraceParent(`cc-${good}-more`)).toBeDefined()
    for (const bad of [
      `ff-${good}`,
      `00-${good}-more`,
      `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
      `00-${good.toUpperCase()}`,
    ]) {
      expect(parseTraceParent(bad)).toBeUndefined()
    }
  })
})

interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: object }[]
}

/** A collector that takes OTLP as JSON and keeps the spans. */
const spans: Span[] = []
let collector: HttpServer
let endpoint = ''
beforeAll(async () => {
  collector = createServer((request, response) => {
    void text(request).then((body) => {
      const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
      return response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  endpoint = `http://127.0.0.1:${await listen(collector, 0)}`
})
afterAll(() => void collector.close())

const body = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[2]}]}'
const caller = (sampled: boolean) => ({
  traceparent: `00-${(sampled ? 'a' : 'c').repeat(32)}-${'b'.repeat(16)}-0${sampled ? 1 : 0}`,
})

test('a request that its caller traces leaves its spans with the collector, and one that it does not trace leaves none', async () => {
  const server = await startServer(identityModel('FLOAT'), {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER_ARG: '0',
  })
  await server.ready()
  await infer(server, body, { headers: caller(true) })
  await infer(server, body, { headers: caller(false) })
  await infer(server, body)
  server.signal('SIGTERM')
  expect(await server.finished).toEqual({ code: 0, signal: null })

  const root = spans.find(({ name }) => name === 'POST infer')
  expect(root).toMatchObject({
    traceId: 'a'.repeat(32),
    parentSpanId: 'b'.repeat(16),
    attributes: expect.arrayContaining([
      { key: 'http.response.status_code', value: { intValue: 200 } },
      { key: 'slipway.version', value: { stringValue: 'v1' } },
    ]),
  })
  const parts = spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId)
  expect(parts.map(({ name }) => name)).toEqual(expect.arrayContaining(['decode', 'infer', 'encode']))
  for (const part of parts) {
    expect(BigInt(part.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root?.startTimeUnixNano ?? 0))
    expect(BigInt(part.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root?.endTimeUnixNano ?? 0))
  }
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set(['a'.repeat(32)]))
})

test('a collector that does not answer holds up no drain', async () => {
  const server = await startServer(identityModel('FLOAT'), {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    OTEL_TRACES_SAMPLER_ARG: '1',
  })
  await server.ready()
  expect((await infer(server, body)).status).toBe(200)
  server.signal('SIGTERM')
  expect(await server.finished).toEqual({ code: 0, signal: null })
})

test('the access log has a line for each request of the sample, in ECS fields', async () => {
  const server = await startServer(identityModel('FLOAT'), { SLIPWAY_ACCESS_LOG_RATIO: '1' })
  await server.ready()
  await infer(server, body, { headers: { ...caller(true), 'user-agent': 'a test' } })
  await infer(server, '{}')
  server.signal('SIGTERM')
  await server.finished
  const lines = server.log.filter((line) => line['event.action'] === 'request')
  expect(lines).toEqual([
    expect.objectContaining({
      message: 'POST /v2/models/m/infer 200',
      'http.response.status_code': 200,
      'trace.id': 'a'.repeat(32),
      'user_agent.original': 'a test',
      'model.version': 'v1',
      'slipway.batch_size': 1,
    }),
    expect.objectContaining({ 'http.response.status_code': 400, 'error.code': 'FieldMissing' }),
  ])
  expect(lines[0]?.['event.duration']).toBeGreaterThan(0)
})

test('calls over gRPC leave the same: spans for the caller that traces, and lines of the access log', async () => {
  spans.length = 0
  const server = await startServer(identityModel('FLOAT'), {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER_ARG: '0',
    SLIPWAY_ACCESS_LOG_RATIO: '1',
  })
  await server.ready()
  const client = inferenceClient(server.grpcAddress)
  const tensor = { name: 'x', datatype: 'FP32', shape: [1], contents: { fp32_contents: [2] } }
  const request = { model_name: 'm', inputs: [tensor] }
  expect((await client.call('ModelInfer', request, { headers: caller(true) })).code).toBe(0)
  await client.call('ModelInfer', request, { headers: caller(false) })
  await client.call('ModelInfer', { model_name: 'm', inputs: [{ ...tensor, shape: [2] }] })
  await client.call('ModelInfer', { model_name: 'other' })
  await client.call('ServerReady', {})
  const stream = client.raw['ModelStreamInfer']?.() as ClientDuplexStream<object, object>
  const ended = new Promise((resolve) => stream.on('end', resolve))
  stream.resume()
  stream.end(request)
  await ended
  client.close()
  server.signal('SIGTERM')
  expect(await server.finished).toEqual({ code: 0, signal: null })

  const [root, ...others] = spans.filter(({ name }) => name === 'POST infer')
  expect(others).toEqual([])
  expect(root).toMatchObject({
    traceId: 'a'.repeat(32),
    parentSpanId: 'b'.repeat(16),
    attributes: expect.arrayContaining([
      { key: 'url.path', value: { stringValue: '/inference.GRPCInferenceService/ModelInfer' } },
      { key: 'http.response.status_code', value: { intValue: 200 } },
      { key: 'slipway.version', value: { stringValue: 'v1' } },
    ]),
  })
  const parts = spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId)
  expect(parts.map(({ name }) => name)).toEqual(expect.arrayContaining(['decode', 'infer', 'encode']))
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set(['a'.repeat(32)]))

  const lines = server.log.filter((line) => line['event.action'] === 'request')
  const path = '/inference.GRPCInferenceService/ModelInfer'
  expect(lines).toEqual([
    expect.objectContaining({
      message: `POST ${path} 200`,
      'http.response.status_code': 200,
      'url.path': path,
      'trace.id': 'a'.repeat(32),
      'user_agent.original': expect.stringContaining('grpc-node-js'),
      'model.version': 'v1',
      'slipway.batch_size': 1,
    }),
    expect.objectContaining({ 'http.response.status_code': 200, 'trace.id': 'c'.repeat(32) }),
    expect.objectContaining({ 'http.response.status_code': 400, 'error.code': expect.any(String) }),
    expect.objectContaining({ 'http.response.status_code': 404 }),
    expect.objectContaining({ message: 'POST /inference.GRPCInferenceService/ModelStreamInfer 200' }),
  ])
  expect(lines[0]?.['event.duration']).toBeGreaterThan(0)
})

test('of a sample every request has the same chance, and a share of 0 writes nothing', () => {
  const linesOf = (accessLogRatio: number, draws: readonly number[]): string[] => {
    const lines: string[] = []
    const log = { info: (message: string) => void lines.push(message) } as unknown as Log
    let drawn = 0
    const random = (): number => draws[drawn++] ?? 1
    const observer = createObserver({ log, accessLogRatio, traceRatio: 0, tracer: undefined, random })
    const request = { method: 'POST', status: 200, startedMs: 0 }
    const unknown = { traceparent: undefined, userAgent: undefined, settled: undefined, version: undefined }
    for (const place of draws.keys()) observer.finished({ ...request, ...unknown, path: `/${place}` })
    return lines
  }
  expect(linesOf(0.25, [0, 0.25, 0.9, 0.2499])).toEqual(['POST /0 200', 'POST /3 200'])
  expect(linesOf(1, [0.9999, 0])).toEqual(['POST /0 200', 'POST /1 200'])
  expect(linesOf(0, [0, 0])).toEqual([])
})
