import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deflateSync, gunzipSync, gzipSync, inflateSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { addModel, identityModel, onnxModel } from '../test/fixtures/onnx.ts'
import { call, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

/** `a + b` on rows of four floats; one input of floats; texts that come back; a scalar beside a vector. */
let add: Server
let one: Server
let text: Server
let mixed: Server
const servers = (): Server[] => [add, one, text, mixed]
beforeAll(async () => {
  const mixedModel = onnxModel({
    nodes: [
      { op: 'Identity', inputs: ['s'], outputs: ['s_out'] },
      { op: 'Identity', inputs: ['v'], outputs: ['v_out'] },
    ],
    inputs: [
      { name: 's', type: 'INT64', shape: [] },
      { name: 'v', type: 'FLOAT', shape: ['n'] },
    ],
    outputs: [
      { name: 's_out', type: 'INT64', shape: [] },
      { name: 'v_out', type: 'FLOAT', shape: ['n'] },
    ],
  })
  ;[add, one, text, mixed] = await Promise.all([
    startServer(addModel(), { SLIPWAY_MAX_BODY_BYTES: '65536', SLIPWAY_MODEL_VERSION: '7' }),
    startServer(identityModel('FLOAT', ['n', 2])),
    startServer(identityModel('STRING', ['n'])),
    startServer(mixedModel),
  ])
  await Promise.all(servers().map((server) => server.ready()))
})
afterAll(() => Promise.all(servers().map((server) => server.stop())))

interface Raw {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly text: string
}

const send = async (server: Server, path: string, init: RequestInit = {}): Promise<Raw> => {
  const response = await fetch(server.url + path, init)
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() }
}
const post = (server: Server, path: string, body: string | Uint8Array<ArrayBuffer>, headers = {}): Promise<Raw> =>
  send(server, path, { method: 'POST', body, headers })

const rows = '{"instances":[{"a":[1,2,3,4],"b":[10,20,30,40]},{"b":[0,0,0,0.5],"a":[1,1,1,1]}]}'
const oip =
  '{"inputs":[{"name":"a","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]},{"name":"b","datatype":"FP32","shape":[1,4],"data":[0,0,0,1]}]}'

describe('KServe V1 and TensorFlow Serving', () => {
  test('rows are answered as predictions', async () => {
    expect((await post(add, '/v1/models/m:predict', rows)).text).toBe('{"predictions":[[11,22,33,44],[1,1,1,1.5]]}')
    expect((await post(one, '/v1/models/m:predict', '{"instances":[[1,2],[NaN,-Infinity]]}')).text).toBe(
      '{"predictions":[[1,2],[NaN,-Infinity]]}',
    )
  })

  test('columns are answered as outputs, named where there are several', async () => {
    const body = '{"signature_name":"serving_default","inputs":{"a":[[1,2,3,4]],"b":[[1,1,1,1]]}}'
    expect((await post(add, '/v1/models/m:predict', body)).text).toBe('{"outputs":[[2,3,4,5]]}')
    expect((await post(one, '/v1/models/m:predict', '{"inputs":[[1,2]]}')).text).toBe('{"outputs":[[1,2]]}')
    expect((await post(mixed, '/v1/models/m:predict', '{"inputs":{"s":9007199254740993,"v":[0.5]}}')).text).toBe(
      '{"outputs":{"s_out":9007199254740993,"v_out":[0.5]}}',
    )
  })

  test('texts may be sent in base64', async () => {
    const body = `{"instances":["plain",{"b64":"${Buffer.from('hé').toString('base64')}"}]}`
    expect((await post(text, '/v1/models/m:predict', body)).text).toBe('{"predictions":["plain","hé"]}')
  })

  test('a version may be named', async () => {
    for (const path of ['/v1/models/m/versions/7:predict', '/v1/models/m/versions/7:PREDICT']) {
      expect((await post(add, path, rows)).status).toBe(200)
    }
  })

  test.each<[string, string, string, number, string]>([
    ['no JSON', '/v1/models/m:predict', 'hello', 400, 'not valid JSON'],
    ['no body', '/v1/models/m:predict', '', 400, 'send {"instances":[…]}'],
    ['neither form', '/v1/models/m:predict', '{}', 400, 'instances is missing'],
    ['both forms', '/v1/models/m:predict', '{"inputs":{},"instances":[[1]]}', 400, 'both "instances" and "inputs"'],
    ['another signature', '/v1/models/m:predict', '{"signature_name":"x"}', 400, 'signature name: "x" not found'],
    ['instances that are none', '/v1/models/m:predict', '{"instances":{}}', 400, 'instances is an object'],
    ['no rows', '/v1/models/m:predict', '{"instances":[]}', 400, 'instances is an empty list'],
    [
      'a row without names',
      '/v1/models/m:predict',
      '{"instances":[[1,2,3,4]]}',
      400,
      'instances[0] is an array; write an object with one member per input (a, b)',
    ],
    [
      'a row that lacks an input',
      '/v1/models/m:predict',
      '{"instances":[{"a":[1,2,3,4]}]}',
      400,
      'instances[0].b is missing; add it as FP32 nested as [4]',
    ],
    [
      'an input twice in a row',
      '/v1/models/m:predict',
      '{"instances":[{"a":[1],"a":[1]}]}',
      400,
      'instances[0].a appears twice',
    ],
    ['an unknown input', '/v1/models/m:predict', '{"instances":[{"q":1}]}', 400, 'names the input "q"'],
    [
      'ragged rows',
      '/v1/models/m:predict',
      '{"inputs":{"a":[[1,2,3,4],[1,2]],"b":[[1,2,3,4]]}}',
      400,
      '2 entries at level 2, where others have 4',
    ],
    [
      'another width',
      '/v1/models/m:predict',
      '{"inputs":{"a":[[1,2]],"b":[[1,2]]}}',
      400,
      'the shape of inputs.a is [1,2]',
    ],
    [
      'too deep a nesting',
      '/v1/models/m:predict',
      '{"inputs":{"a":[[[1]]]}}',
      400,
      'an array where an element was expected',
    ],
    [
      'too shallow a nesting',
      '/v1/models/m:predict',
      '{"inputs":{"a":[1]}}',
      400,
      'a number where an array was expected',
    ],
    ['a text for a number', '/v1/models/m:predict', '{"inputs":{"a":[["1"]]}}', 400, 'which is no FP32'],
    ['a missing column', '/v1/models/m:predict', '{"inputs":{"a":[[1,2,3,4]]}}', 400, 'the input "b" is missing'],
    ['an unknown model', '/v1/models/other:predict', rows, 404, 'there is no model other here'],
    ['an unknown version', '/v1/models/m/versions/9:predict', rows, 404, 'no live version 9'],
    ['a version in words', '/v1/models/m/versions/x:predict', rows, 400, 'Failed to convert version: x to numeric'],
    ['an unknown label', '/v1/models/m/labels/x:predict', rows, 404, 'no live version x'],
    ['no model name', '/v1/models/:predict', rows, 400, 'Missing model name in request'],
    ['an unknown verb', '/v1/models/m:dance', rows, 400, 'Malformed request: POST /v1/models/m:dance'],
    ['a verb that is not served', '/v1/models/m:explain', rows, 501, 'this server does not explain; use POST'],
  ])('a request with %s is refused', async (_name, path, body, status, words) => {
    const answer = await post(add, path, body)
    expect({ status: answer.status, error: (JSON.parse(answer.text) as { error: string }).error }).toEqual({
      status,
      error: expect.stringContaining(words),
    })
  })

  test('outputs without rows are only answered in columns, and scalars have none', async () => {
    const answer = await post(mixed, '/v1/models/m:predict', '{"instances":[{"s":1,"v":1}]}')
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('the input \\"s\\" is a scalar')])
    const reduced = await startServer(
      onnxModel({
        nodes: [{ op: 'ReduceSum', inputs: ['x'], outputs: ['y'], attributes: { keepdims: { int: 0 } } }],
        inputs: [{ name: 'x', type: 'FLOAT', shape: ['n'] }],
        outputs: [{ name: 'y', type: 'FLOAT', shape: [] }],
      }),
    )
    try {
      await reduced.ready()
      const batch = await post(reduced, '/v1/models/m:predict', '{"instances":[1,2]}')
      expect([batch.status, batch.text]).toEqual([400, expect.stringContaining('has inconsistent batch size')])
      expect((await post(reduced, '/v1/models/m:predict', '{"inputs":[1,2]}')).text).toBe('{"outputs":3}')
    } finally {
      await reduced.stop()
    }
  })

  test('status and metadata have the shapes of both', async () => {
    const available = { version: '7', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } }
    const status = { name: 'm', ready: true, model_version_status: [available] }
    expect((await call(add, '/v1/models')).body).toEqual({ models: ['m'] })
    expect((await call(add, '/v1/models/m')).body).toEqual(status)
    expect((await call(add, '/v1/models/m/versions/7')).body).toEqual(status)
    expect((await call(add, '/v1/models/m/labels/none')).status).toBe(404)
    expect((await call(add, '/v1/models/other')).status).toBe(404)
    expect((await call(add, '/v1/models/m/metadata')).body).toMatchObject({
      model_spec: { name: 'm', version: '7' },
      metadata: {
        signature_def: {
          signature_def: {
            serving_default: {
              inputs: {
                a: { dtype: 'DT_FLOAT', tensor_shape: { dim: [{ size: '-1' }, { size: '4' }], unknown_rank: false } },
              },
              method_name: 'tensorflow/serving/predict',
            },
          },
        },
      },
    })
  })
})

describe('TorchServe', () => {
  test('JSON in its natural nesting is answered by the bare value', async () => {
    expect((await post(one, '/predictions/m', '[[1,2]]')).text).toBe('[[1,2]]')
    expect((await post(add, '/predictions/m/7', '{"a":[[1,2,3,4]],"b":[[0,0,0,1]]}')).text).toBe('[[1,2,3,5]]')
    expect((await post(mixed, '/predictions/m', '{"s":1,"v":[2]}')).text).toBe('{"s_out":1,"v_out":[2]}')
    expect((await post(one, '/predictions/m', '{"instances":[[1,2]]}')).text).toBe('{"predictions":[[1,2]]}')
  })

  test('raw bytes are the one input, and PUT does as well', async () => {
    const body = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
    const headers = { 'content-type': 'application/octet-stream' }
    expect((await send(one, '/predictions/m', { method: 'PUT', body, headers })).text).toBe('[[1,2],[3,4]]')
  })

  test('health and description', async () => {
    expect((await call(one, '/ping')).body).toEqual({ status: 'Healthy' })
    expect((await send(one, '/', { method: 'OPTIONS' })).text).toContain('"openapi":"3.1.0"')
  })

  test.each<[string, string, string, Record<string, string>, number, string]>([
    ['an unknown model', '/predictions/other', '[[1,2]]', {}, 404, 'ModelNotFoundException'],
    ['an unknown version', '/predictions/m/9', '[[1,2]]', {}, 404, 'ModelNotFoundException'],
    ['broken JSON', '/predictions/m', '[[1,2]', {}, 400, 'BadRequestException'],
    ['no body', '/predictions/m', '', {}, 400, 'BadRequestException'],
    [
      'a form',
      '/predictions/m',
      'x',
      { 'content-type': 'multipart/form-data; boundary=x' },
      415,
      'BadRequestException',
    ],
  ])('%s is refused in its own shape', async (_name, path, body, headers, status, type) => {
    const answer = await post(one, path, body, headers)
    expect(JSON.parse(answer.text)).toEqual({
      code: status,
      type,
      message: expect.any(String),
      error: expect.any(String),
    })
    expect(answer.status).toBe(status)
  })
})

describe('binary tensors', () => {
  const floats = Float32Array.of(1, 2, 3, 4)
  const header = (name: string): object => {
    return { name, datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } }
  }
  const json = JSON.stringify({ parameters: { binary_data_output: true }, inputs: [header('a'), header('b')] })
  const body = Uint8Array.from(
    Buffer.concat([Buffer.from(json), Buffer.from(floats.buffer), Buffer.from(floats.buffer)]),
  )

  test('may come in chunks of any size', async () => {
    const request = httpRequest(`${add.url}/v2/models/m/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': json.length, 'transfer-encoding': 'chunked' },
    })
    for (let at = 0; at < body.length; at += 7) request.write(body.subarray(at, at + 7))
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    const answer = Buffer.concat(chunks)
    const length = Number(response.headers['inference-header-content-length'])
    expect(response.headers['content-type']).toBe('application/octet-stream')
    expect(JSON.parse(answer.toString('utf8', 0, length))).toMatchObject({
      outputs: [{ name: 'sum', shape: [1, 4], parameters: { binary_data_size: 16 } }],
    })
    expect([...new Float32Array(Uint8Array.from(answer.subarray(length)).buffer)]).toEqual([2, 4, 6, 8])
  })

  test('a raw body is answered in binary', async () => {
    const answer = await post(one, '/v2/models/m/infer', new Uint8Array(floats.buffer), {
      'inference-header-content-length': '0',
    })
    const length = Number(answer.headers.get('inference-header-content-length'))
    expect(answer.bytes.subarray(length).equals(Buffer.from(floats.buffer))).toBe(true)
  })

  test.each(['-1', 'x', '1e3', '99999999999'])('a header of %s is refused', async (value) => {
    const answer = await post(add, '/v2/models/m/infer', body, { 'inference-header-content-length': value })
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('Inference-Header-Content-Length')])
  })
})

describe('compressed bodies', () => {
  const large = JSON.stringify({
    inputs: [
      { name: 'x', datatype: 'FP32', shape: [1000, 2], data: Array.from({ length: 2000 }, (_, index) => index / 8) },
    ],
  })
  test.each([
    ['gzip', gzipSync, gunzipSync],
    ['deflate', deflateSync, inflateSync],
    ['zstd', zstdCompressSync, zstdDecompressSync],
  ] as const)('%s is read, and written where it is asked for', async (coding, pack, unpack) => {
    const plain = await post(one, '/v2/models/m/infer', large, { 'accept-encoding': 'identity' })
    expect(plain.headers.get('content-encoding')).toBeNull()
    const request = httpRequest(`${one.url}/v2/models/m/infer`, {
      method: 'POST',
      headers: { 'content-encoding': coding, 'accept-encoding': coding },
    })
    request.end(pack(large))
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk as Buffer)
    expect(response.headers).toMatchObject({ 'content-encoding': coding, vary: 'accept-encoding' })
    expect(unpack(Buffer.concat(chunks)).toString()).toBe(plain.text)
  })

  test.each<[string, Uint8Array, string, number, string]>([
    ['a bomb of gzip', gzipSync(Buffer.alloc(2 ** 26)), 'gzip', 413, 'more than 64 KiB when decompressed'],
    ['a bomb of deflate', deflateSync(Buffer.alloc(2 ** 26)), 'deflate', 413, 'more than 64 KiB when decompressed'],
    ['deflate that is none', Buffer.from('hello'), 'deflate', 400, 'is not whole deflate'],
    ['deflate that is cut', deflateSync(Buffer.from(oip)).subarray(0, 30), 'deflate', 400, 'is not whole deflate'],
    ['zstd that is cut', zstdCompressSync(Buffer.from(oip)).subarray(0, 30), 'zstd', 400, 'is not whole zstd'],
    ['a bomb of zstd', zstdCompressSync(Buffer.alloc(2 ** 26)), 'zstd', 413, 'more than 64 KiB when decompressed'],
    ['gzip that is none', Buffer.from('hello'), 'gzip', 400, 'is not whole gzip'],
    ['gzip that is cut', gzipSync(Buffer.from(oip)).subarray(0, 30), 'gzip', 400, 'is not whole gzip'],
    ['a coding nobody reads', Buffer.from(oip), 'br', 415, 'use one of gzip, deflate and zstd'],
  ])('%s is refused, and nothing stays reserved', async (_name, body, coding, status, words) => {
    const answer = await post(add, '/v2/models/m/infer', Uint8Array.from(body), { 'content-encoding': coding })
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)])
    expect((await post(add, '/v2/models/m/infer', oip)).status).toBe(200)
  })
})

describe('CloudEvents', () => {
  const attributes = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': 'test', 'ce-type': 'ask' }

  test('in binary mode are answered in binary mode', async () => {
    const answer = await post(add, '/v1/models/m:predict', rows, attributes)
    expect(JSON.parse(answer.text)).toEqual({ predictions: expect.any(Array) })
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/json',
      'ce-specversion': '1.0',
      'ce-type': 'io.kserve.inference.response',
      'ce-source': 'io.kserve.inference.m',
      'ce-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
  })

  test.each(['/v1/models/m:predict', '/v2/models/m/infer'])(
    'in structured mode to %s are answered so',
    async (path) => {
      const data = path.startsWith('/v1') ? rows : oip
      const event = `{"specversion":"1.0","id":"1","source":"test","type":"ask","data":${data}}`
      const answer = await post(add, path, event, { 'content-type': 'application/cloudevents+json; charset=utf-8' })
      expect(answer.headers.get('content-type')).toBe('application/cloudevents+json')
      expect(JSON.parse(answer.text)).toMatchObject({
        specversion: '1.0',
        type: 'io.kserve.inference.response',
        datacontenttype: 'application/json',
        data: path.startsWith('/v1') ? { predictions: expect.any(Array) } : { outputs: expect.any(Array) },
      })
    },
  )

  test('may hold the request in base64', async () => {
    const event = {
      specversion: '1.0',
      id: '1',
      source: 's',
      type: 't',
      data_base64: Buffer.from(rows).toString('base64'),
    }
    const headers = { 'content-type': 'application/cloudevents+json' }
    expect((await post(add, '/v1/models/m:predict', JSON.stringify(event), headers)).status).toBe(200)
  })

  test.each<[string, string, Record<string, string>, number, string]>([
    [
      'without data',
      '{"specversion":"1.0","id":"1","source":"s","type":"t"}',
      { 'content-type': 'application/cloudevents+json' },
      400,
      'data is missing',
    ],
    [
      'without an id',
      '{"specversion":"1.0","source":"s","type":"t","data":1}',
      { 'content-type': 'application/cloudevents+json' },
      400,
      'id is missing',
    ],
    [
      'of an old version',
      '{"specversion":"0.3"}',
      { 'content-type': 'application/cloudevents+json' },
      400,
      'specversion 0.3',
    ],
    ['in a batch', '[]', { 'content-type': 'application/cloudevents-batch+json' }, 415, 'CloudEvents one by one'],
    ['of an old version in headers', rows, { ...attributes, 'ce-specversion': '0.3' }, 400, 'specversion 0.3'],
    [
      'without a source in headers',
      rows,
      { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-type': 't' },
      400,
      'the header ce-source is missing',
    ],
  ])('%s are refused', async (_name, body, headers, status, words) => {
    const answer = await post(add, '/v1/models/m:predict', body, headers)
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)])
  })
})

describe("Triton's extensions", () => {
  test('the configuration tells rows, types and workers', async () => {
    expect((await call(add, '/v2/models/m/config')).body).toMatchObject({
      name: 'm',
      platform: 'onnxruntime_onnx',
      max_batch_size: expect.any(Number),
      input: [
        { name: 'a', data_type: 'TYPE_FP32', dims: [4] },
        { name: 'b', data_type: 'TYPE_FP32', dims: [4] },
      ],
      output: [{ name: 'sum', data_type: 'TYPE_FP32', dims: [4] }],
      instance_group: [{ kind: 'KIND_CPU', count: 1 }],
    })
    expect((await call(mixed, '/v2/models/m/versions/v1/config')).body).toMatchObject({
      max_batch_size: 0,
      input: [
        { name: 's', dims: [1], reshape: { shape: [] } },
        { name: 'v', dims: [-1] },
      ],
    })
  })

  test('statistics count what was answered and what was refused', async () => {
    interface Stats {
      readonly model_stats: readonly {
        readonly inference_count: number
        readonly inference_stats: Readonly<Record<string, { readonly count: number; readonly ns: number }>>
      }[]
    }
    const stats = async (path = '/v2/models/m/stats'): Promise<Stats['model_stats'][number] | undefined> =>
      ((await call(one, path)).body as unknown as Stats).model_stats[0]
    const before = await stats()
    await post(one, '/v1/models/m:predict', '{"instances":[[1,2]]}')
    await post(one, '/v1/models/m:predict', '{"instances":[[1]]}')
    const after = await stats('/v2/models/stats')
    expect(after?.inference_count).toBe((before?.inference_count ?? 0) + 1)
    expect(after?.inference_stats['fail']?.count).toBe((before?.inference_stats['fail']?.count ?? 0) + 1)
    expect(after?.inference_stats['compute_infer']?.ns).toBeGreaterThan(
      before?.inference_stats['compute_infer']?.ns ?? 0,
    )
  })

  test('the index lists versions', async () => {
    expect((await call(add, '/v2/repository/index', { method: 'POST' })).body).toEqual([
      { name: 'm', version: '7', state: 'READY' },
    ])
  })

  test.each([
    ['POST', '/v2/repository/models/m/load', 501, 'which versions are served is decided by the ModelDeployment'],
    ['POST', '/v2/repository/models/m/unload', 501, 'change spec.model there'],
    ['GET', '/v2/repository/index', 405, 'use POST'],
    ['POST', '/v2/models/m/config', 405, 'use GET'],
    ['POST', '/v2/models/stats', 405, 'use GET'],
    ['GET', '/v2/trace/setting', 501, 'the extension trace'],
    ['POST', '/v2/logging', 501, 'the extension logging'],
    ['POST', '/v2/systemsharedmemory/region/r/register', 501, 'the extension system_shared_memory'],
    ['GET', '/v2/models/other/config', 404, 'there is no model other here'],
    ['GET', '/v2/models/other/stats', 404, 'there is no model other here'],
    ['POST', '/v1/models', 405, 'use GET'],
    ['POST', '/v2/docs', 405, 'use GET'],
  ])('%s %s is answered by %i', async (method, path, status, words) => {
    expect(await call(add, path, { method })).toMatchObject({
      status,
      body: { error: expect.stringContaining(words) },
    })
  })
})

describe('what the server tells people', () => {
  test('the description has an example that works when it is sent', async () => {
    interface Described {
      readonly openapi: string
      readonly paths: Readonly<Record<string, { readonly post?: { readonly requestBody: object } }>>
    }
    for (const server of servers()) {
      // oxlint-disable-next-line no-await-in-loop -- one server after another
      const description = (await call(server, '/v2/docs')).body as unknown as Described
      expect(description.openapi).toBe('3.1.0')
      const example = JSON.stringify(description.paths['/v2/models/m/infer']?.post?.requestBody)
      const { value } = (JSON.parse(example) as { content: Record<string, { examples: { works: { value: object } } }> })
        .content['application/json']?.examples.works ?? { value: {} }
      // oxlint-disable-next-line no-await-in-loop
      expect(await post(server, '/v2/models/m/infer', JSON.stringify(value))).toMatchObject({ status: 200 })
      // oxlint-disable-next-line no-await-in-loop
      expect(JSON.parse((await send(server, '/v2/models/m/example')).text)).toEqual(value)
    }
    expect((await call(add, '/v2/models/m/versions/7/docs/dataplane.json')).status).toBe(200)
    expect((await call(add, '/v2/models/other/docs')).status).toBe(404)
  })

  test('a large example has an address of its own', async () => {
    const server = await startServer(identityModel('FLOAT', [1, 3, 64, 64]))
    try {
      await server.ready()
      const description = (await send(server, '/v2/docs')).text
      expect(description).toContain('"externalValue":"/v2/models/m/example"')
      expect(description.length).toBeLessThan(10_000)
      const example = await send(server, '/v2/models/m/example')
      expect((await post(server, '/v2/models/m/infer', example.text)).status).toBe(200)
      const huge = await startServer(identityModel('FLOAT', [2, 1024, 1024]))
      try {
        await huge.ready()
        const none = await send(huge, '/v2/models/m/example')
        expect([none.status, none.text]).toEqual([404, expect.stringContaining('too large for an example')])
      } finally {
        await huge.stop()
      }
    } finally {
      await server.stop()
    }
  })

  test('the page and its files are served, and may load nothing else', async () => {
    const page = await send(add, '/ui')
    expect(page.text).toContain('<title>Slipway: try the model</title>')
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
    expect((await send(add, '/ui/page.js')).headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect((await send(add, '/ui/page.css')).status).toBe(200)
  })
})
