import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { sileroModels } from '../scripts/silero.ts'
import { directRun } from '../test/kit/directrun.ts'
import { allTypesModel, elementType, type ElementType } from '../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

describe('a real model, Silero VAD', () => {
  const request = readFileSync(join(import.meta.dirname, '../examples/silero/request.json'), 'utf8')
  test.each(['v5', 'v6'] as const)('%s answers what a direct run of ONNX Runtime gives', async (version) => {
    const model = (await sileroModels())[version]
    const server = await startServer(readFileSync(model), { SLIPWAY_MODEL_VERSION: version })
    try {
      await server.ready()
      const { status, headers, body } = await infer(server, request)
      expect({ status, revision: headers.get('x-slipway-revision'), version: body.model_version }).toEqual({
        status: 200,
        revision: 'm-0123456789',
        version,
      })
      const direct = (await directRun(model, request))['output'] ?? []
      expect(direct).toHaveLength(1)
      expect(Array.from(body.outputs?.[0]?.data ?? [], Math.fround)).toEqual(direct)
      const ready = server.log.find((line) => line['event.action'] === 'loaded')
      expect(ready?.['model.self_test']).toBe('ran on zeros of input[1,256], state[2,1,128], sr[]')
    } finally {
      await server.stop()
    }
  })
})

describe('a server of every datatype', () => {
  const types = (Object.keys(elementType) as ElementType[]).filter((type) => type !== 'BFLOAT16')
  const datatypes: Readonly<Partial<Record<ElementType, string>>> = {
    FLOAT: 'FP32',
    DOUBLE: 'FP64',
    FLOAT16: 'FP16',
    STRING: 'BYTES',
  }
  const data: Readonly<Record<ElementType, string>> = {
    FLOAT: '[0.1,NaN]',
    DOUBLE: '[0.1,-Infinity]',
    FLOAT16: '[0.5,-65504]',
    STRING: '["","héé \\"😀\\""]',
    BOOL: '[true,false]',
    INT8: '[-128,127]',
    INT16: '[-32768,32767]',
    INT32: '[-2147483648,2147483647]',
    INT64: '[-9223372036854775808,9007199254740993]',
    UINT8: '[0,255]',
    UINT16: '[0,65535]',
    UINT32: '[0,4294967295]',
    UINT64: '[0,18446744073709551615]',
    BFLOAT16: '',
  }
  let server: Server
  beforeAll(async () => {
    server = await startServer(allTypesModel(), { SLIPWAY_MAX_BODY_BYTES: '65536' })
    await server.ready()
  })
  afterAll(() => server.stop())

  test('passes every value through ONNX Runtime exactly', async () => {
    const tensors = (side: string): string =>
      types
        .map(
          (type) =>
            `{"name":"${side}_${type}","datatype":"${datatypes[type] ?? type}","shape":[2],"data":${data[type]}}`,
        )
        .join(',')
    const response = await fetch(`${server.url}/v2/models/m/versions/v1/infer`, {
      method: 'POST',
      body: `{"id":"r-1","inputs":[${tensors('in')}]}`,
    })
    expect(await response.text()).toBe(
      `{"model_name":"m","model_version":"v1","id":"r-1","outputs":[${tensors('out')}]}`,
    )
    expect(response.status).toBe(200)
  })

  test('text that ONNX Runtime would cut short is refused, not corrupted', async () => {
    const inputs = types.map((type) => {
      const one = JSON.stringify({ name: `in_${type}`, datatype: datatypes[type] ?? type, shape: [1] })
      const first = type === 'STRING' ? String.raw`"a\u0000b"` : type === 'BOOL' ? 'true' : '1'
      return `${one.slice(0, -1)},"data":[${first}]}`
    })
    expect(await infer(server, `{"inputs":[${inputs.join(',')}]}`)).toMatchObject({
      status: 400,
      body: {
        error: expect.stringContaining('the element 0 of the input "in_STRING" is text with the character U+0000'),
      },
    })
  })

  test('describes itself as the protocol says', async () => {
    expect((await call(server, '/v2')).body).toEqual({
      name: 'slipway',
      version: '0.1.0',
      extensions: [
        'binary_tensor_data',
        'classification',
        'model_configuration',
        'parameters',
        'schedule_policy',
        'statistics',
      ],
    })
    expect((await call(server, '/v2/health/live')).body).toEqual({ live: true })
    expect((await call(server, '/v2/health/ready')).body).toEqual({ live: true, ready: true })
    expect((await call(server, '/v2/models')).body).toEqual({ models: ['m'] })
    expect((await call(server, '/v2/models/m/ready')).body).toEqual({ name: 'm', ready: true })
    expect((await call(server, '/v2/models/m/versions/v1/ready?x=1')).status).toBe(200)
    expect((await call(server, '/')).body).toEqual({ status: 'alive' })
    const metadata = await call(server, '/v2/models/m/versions/v1')
    expect(metadata.body).toMatchObject({
      name: 'm',
      versions: ['v1'],
      platform: 'onnx_onnxv1',
      inputs: types.map((type) => ({ name: `in_${type}`, datatype: datatypes[type] ?? type, shape: [-1] })),
    })
    expect(await call(server, '/v2/models/m')).toMatchObject({ status: 200, body: metadata.body })
    expect(metadata.headers.get('x-slipway-revision')).toBe('m-0123456789')
    expect((await fetch(`${server.url}/v2/health/live`, { method: 'HEAD' })).status).toBe(200)
  })

  test.each([
    ['GET', '/v2/models/other', 404, 'there is no model other here; this server answers for m'],
    ['POST', '/v2/models/other/infer', 404, 'there is no model other here'],
    ['GET', '/v2/models/other/ready', 404, 'there is no model other here'],
    ['POST', '/v2/models/m/versions/v9/infer', 404, 'has no live version v9; the live version is v1'],
    ['GET', '/v2/models/m/versions/v9', 404, 'has no live version v9'],
    ['GET', '/v2/models/m/infer', 405, 'Method Not Allowed: GET on /v2/models/m/infer; use POST'],
    ['POST', '/v2/health/live', 405, 'Method Not Allowed'],
    ['DELETE', '/v2/models/m', 405, 'Method Not Allowed'],
    ['POST', '/v2', 405, 'Method Not Allowed'],
    ['GET', '/metrics', 404, 'there is nothing at /metrics; inference is POST /v2/models/m/infer'],
    ['POST', '/v2/models/%zz/infer', 400, 'a broken percent escape'],
    ['POST', '/v2/models/m/infer', 400, 'the request has no body'],
  ])('%s %s is answered by %i', async (method, path, status, words) => {
    const answer = await call(server, path, { method })
    expect(answer).toMatchObject({ status, body: { error: expect.stringContaining(words) } })
    expect(answer.headers.get('x-slipway-revision')).toBe('m-0123456789')
    if (status === 405) expect(answer.headers.get('allow')).toMatch(/POST|GET/)
  })

  test.each<[string, string, Record<string, string>, number, string]>([
    ['no JSON', 'hello', {}, 400, 'not valid JSON'],
    ['a missing input', '{"inputs":[]}', {}, 400, 'the input "in_FLOAT" is missing'],
    ['a binary header beyond it', '{}', { 'inference-header-content-length': '3' }, 400, 'at most the 2 bytes'],
    ['a coding nobody reads', '{}', { 'content-encoding': 'br' }, 415, 'content-encoding br; use one of gzip, deflate'],
  ])('a request with %s is refused and the connection lives on', async (_name, body, headers, status, words) => {
    expect(await infer(server, body, { headers })).toMatchObject({
      status,
      body: { error: expect.stringContaining(words) },
    })
    expect((await call(server, '/v2/health/ready')).status).toBe(200)
  })

  test('a body over the limit is refused by its announcement, while the client still sends', async () => {
    const huge = '1'.repeat(100 * 1024 * 1024)
    const answer = await infer(server, huge)
    expect(answer).toMatchObject({
      status: 413,
      body: { error: 'the request body has 100 MiB, and at most 64 KiB are accepted; send smaller batches' },
    })
    expect(answer.headers.get('connection')).toBe('close')
  })

  test('a streamed body is cut at the limit', async () => {
    const request = httpRequest(`${server.url}/v2/models/m/infer`, { method: 'POST' })
    const answered = once(request, 'response') as Promise<[IncomingMessage]>
    for (let sent = 0; sent < 10; sent++) request.write('1'.repeat(16_384))
    const [response] = await answered
    request.end()
    expect(response.statusCode).toBe(413)
    expect(await textOf(response)).toContain('more than 64 KiB')
  })

  test('a client that asks before it sends a large body is told not to', async () => {
    const request = httpRequest(`${server.url}/v2/models/m/infer`, {
      method: 'POST',
      headers: { 'content-length': 10_000_000, expect: '100-continue' },
    })
    let invited = false
    request.on('continue', () => (invited = true))
    request.on('error', () => {
      // The server closes a connection whose body will not come.
    })
    request.flushHeaders()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect({ status: response.statusCode, invited }).toEqual({ status: 413, invited: false })
    request.destroy()
  })

  test('broken HTTP is answered like every other mistake', async () => {
    const raw = async (text: string): Promise<string> => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
      socket.write(text)
      let answer = ''
      for await (const chunk of socket) answer += String(chunk)
      return answer
    }
    const broken = await raw('NONSENSE\r\n\r\n')
    expect(broken).toMatch(/^HTTP\/1\.1 400 /)
    expect(broken).toContain('x-slipway-revision: m-0123456789')
    expect(broken).toContain('{"error":"the request is not valid HTTP')
    expect(await raw(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('metrics count answers by status and name the model', async () => {
    expect(await server.metric('slipway_requests_total{code="200"}')).toBeGreaterThanOrEqual(1)
    // Of the three that were too large the last went away with its answer, which the server sees a little later.
    await server.sees('slipway_requests_total{code="413"}', (count) => count >= 3)
    expect(await server.metric('slipway_ready')).toBe(1)
    expect(await server.metric('slipway_inference_duration_seconds_count')).toBeGreaterThanOrEqual(1)
    const text = await (await fetch(server.metricsUrl)).text()
    expect(text).toMatch(
      /slipway_model_info\{model="m",version="v1",digest="sha256:[0-9a-f]{64}",revision="m-0123456789"\} 1/,
    )
    for (const name of [
      'slipway_queue_depth',
      'slipway_queue_wait_seconds_bucket',
      'slipway_model_load_seconds',
      'slipway_event_loop_lag_seconds',
    ]) {
      expect(text).toContain(name)
    }
  })
})

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return text
}
