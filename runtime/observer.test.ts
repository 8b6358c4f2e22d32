import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { createServer, type Server as HttpServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { identityModel } from '../test/fixtures/onnx.ts'
import { infer, startServer } from '../test/fixtures/runtime.ts'
import { listen } from './http/server.ts'
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
