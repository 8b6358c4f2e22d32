import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import grpc from '@grpc/grpc-js'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import protobuf from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor/index.js'
import { clientOf, healthClient, inferenceClient, type Called, type Client } from '../../test/fixtures/grpc.ts'
import { elementType, identityModel, loopModel, onnxModel, type ElementType } from '../../test/fixtures/onnx.ts'
import { infer, startServer, type Server } from '../../test/fixtures/runtime.ts'
import { listen } from '../http/server.ts'
import { reflectionProtos } from './api/reflection.ts'

jest.setTimeout(120_000)

const { status } = grpc

/** Each element type that has a wire form: the protocol's name, its typed field, and two values that reach its limits. */
const types: readonly {
  readonly element: ElementType
  readonly datatype: string
  readonly field?: string
  readonly values: readonly unknown[]
  readonly raw: Buffer
}[] = [
  { element: 'FLOAT', datatype: 'FP32', field: 'fp32_contents', values: [0.1, NaN], raw: hex('cdcccc3d 0000c07f') },
  {
    element: 'DOUBLE',
    datatype: 'FP64',
    field: 'fp64_contents',
    values: [0.1, -Infinity],
    raw: hex('9a9999999999b93f 000000000000f0ff'),
  },
  { element: 'FLOAT16', datatype: 'FP16', values: [], raw: hex('0038 fffb') },
  {
    element: 'STRING',
    datatype: 'BYTES',
    field: 'bytes_contents',
    values: [Buffer.from(''), Buffer.from('héé 😀')],
    raw: hex('00000000 0a000000 68c3a9c3a920f09f9880'),
  },
  { element: 'BOOL', datatype: 'BOOL', field: 'bool_contents', values: [true, false], raw: hex('01 00') },
  { element: 'INT8', datatype: 'INT8', field: 'int_contents', values: [-128, 127], raw: hex('80 7f') },
  { element: 'INT16', datatype: 'INT16', field: 'int_contents', values: [-32768, 32767], raw: hex('0080 ff7f') },
  {
    element: 'INT32',
    datatype: 'INT32',
    field: 'int_contents',
    values: [-2147483648, 2147483647],
    raw: hex('00000080 ffffff7f'),
  },
  {
    element: 'INT64',
    datatype: 'INT64',
    field: 'int64_contents',
    values: ['-9223372036854775808', '9007199254740993'],
    raw: hex('0000000000000080 0100000000002000'),
  },
  { element: 'UINT8', datatype: 'UINT8', field: 'uint_contents', values: [0, 255], raw: hex('00 ff') },
  { element: 'UINT16', datatype: 'UINT16', field: 'uint_contents', values: [0, 65535], raw: hex('0000 ffff') },
  {
    element: 'UINT32',
    datatype: 'UINT32',
    field: 'uint_contents',
    values: [0, 4294967295],
    raw: hex('00000000 ffffffff'),
  },
  {
    element: 'UINT64',
    datatype: 'UINT64',
    field: 'uint64_contents',
    values: ['0', '18446744073709551615'],
    raw: hex('0000000000000000 ffffffffffffffff'),
  },
]

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

test('every element type that a model may have is among those sent here', () => {
  expect(types.map(({ element }) => element).toSorted()).toEqual(
    Object.keys(elementType)
      .filter((element) => element !== 'BFLOAT16')
      .toSorted(),
  )
})

describe('a model of every datatype', () => {
  let server: Server
  let client: Client
  beforeAll(async () => {
    const model = onnxModel({
      nodes: types.map(({ element }) => ({ op: 'Identity', inputs: [`in_${element}`], outputs: [`out_${element}`] })),
      inputs: types.map(({ element }) => ({ name: `in_${element}`, type: element, shape: ['n'] })),
      outputs: types.map(({ element }) => ({ name: `out_${element}`, type: element, shape: ['n'] })),
    })
    server = await startServer(model, { SLIPWAY_MAX_BODY_BYTES: '65536' })
    await server.ready()
    client = inferenceClient(server.grpcAddress)
  })
  afterAll(async () => {
    client.close()
    await server.stop()
  })

  const input = ({ element, datatype }: (typeof types)[number]) => ({ name: `in_${element}`, datatype, shape: [2] })
  const rawRequest = () => ({
    model_name: 'm',
    id: 'r-1',
    inputs: types.map(input),
    raw_input_contents: types.map(({ raw }) => raw),
  })

  test('answers raw tensors raw, bit for bit', async () => {
    const { code, response } = await client.call('ModelInfer', rawRequest())
    expect(code).toBe(status.OK)
    expect(response).toMatchObject({
      model_name: 'm',
      model_version: 'v1',
      id: 'r-1',
      outputs: types.map(({ element, datatype }) => ({
        name: `out_${element}`,
        datatype,
        shape: ['2'],
        contents: null,
      })),
      raw_output_contents: types.map(({ raw }) => raw),
    })
  })

  test('answers typed tensors raw, as Triton does, and typed when asked', async () => {
    const typed = types.filter(({ field }) => field !== undefined)
    const request = {
      model_name: 'm',
      model_version: 'v1',
      inputs: types.map((type) => ({
        ...input(type),
        ...(type.field === undefined ? { shape: [0] } : { contents: { [type.field]: type.values } }),
      })),
      outputs: typed.map(({ element }) => ({ name: `out_${element}` })),
    }
    const raw = await client.call('ModelInfer', request)
    expect(raw.response?.['raw_output_contents']).toEqual(typed.map(({ raw }) => raw))
    const asked = await client.call('ModelInfer', {
      ...request,
      parameters: { binary_data_output: { bool_param: false } },
    })
    expect(asked.response).toMatchObject({
      outputs: typed.map(({ field = '', values }) => ({
        contents: {
          [field]: values.map((value) => (value === 0.1 && field === 'fp32_contents' ? Math.fround(0.1) : value)),
        },
      })),
      raw_output_contents: [],
    })
  })

  test('answers exactly what REST answers', async () => {
    const parts = types.map(({ element, datatype, raw }) => ({
      name: `in_${element}`,
      datatype,
      shape: [2],
      parameters: { binary_data_size: raw.byteLength },
    }))
    const json = Buffer.from(JSON.stringify({ inputs: parts, parameters: { binary_data_output: true } }))
    const rest = await fetch(`${server.url}/v2/models/m/infer`, {
      method: 'POST',
      headers: { 'inference-header-content-length': String(json.byteLength) },
      body: Buffer.concat([json, ...types.map(({ raw }) => raw)]),
    })
    const body = Buffer.from(await rest.arrayBuffer())
    expect([rest.status, rest.status === 200 ? '' : body.toString()]).toEqual([200, ''])
    const binary = body.subarray(Number(rest.headers.get('inference-header-content-length')))
    const { response } = await client.call('ModelInfer', rawRequest())
    expect(Buffer.concat(response?.['raw_output_contents'] as Buffer[]).equals(binary)).toBe(true)
  })

  test('says what it is', async () => {
    const answers = async (method: string, request: object) => (await client.call(method, request)).response
    expect(await answers('ServerLive', {})).toEqual({ live: true })
    expect(await answers('ServerReady', {})).toEqual({ ready: true })
    expect(await answers('ModelReady', { name: 'm' })).toEqual({ ready: true })
    expect(await answers('ModelReady', { name: 'other' })).toEqual({ ready: false })
    expect(await answers('ModelReady', { name: 'm', version: 'v9' })).toEqual({ ready: false })
    expect(await answers('ServerMetadata', {})).toMatchObject({ name: 'slipway', version: '0.1.0' })
    expect(await answers('ModelMetadata', { name: 'm', version: 'v1' })).toMatchObject({
      name: 'm',
      versions: ['v1'],
      platform: 'onnx_onnxv1',
      inputs: types.map(({ element, datatype }) => ({ name: `in_${element}`, datatype, shape: ['-1'] })),
      outputs: types.map(({ element, datatype }) => ({ name: `out_${element}`, datatype, shape: ['-1'] })),
    })
    expect(await answers('ModelConfig', { name: 'm' })).toMatchObject({
      config: {
        name: 'm',
        backend: 'onnxruntime',
        max_batch_size: expect.any(Number),
        version_policy: { policy_choice: 'latest', latest: { num_versions: 1 } },
        instance_group: [{ kind: 'KIND_CPU', count: 1 }],
        input: types.map(({ element, datatype }) => ({
          name: `in_${element}`,
          data_type: datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`,
          dims: ['1'],
          reshape: { shape: [] },
        })),
      },
    })
    expect(await answers('ModelStatistics', { name: 'm' })).toMatchObject({
      model_stats: [{ name: 'm', version: 'v1', inference_count: expect.stringMatching(/^[1-9]/) }],
    })
    expect(await answers('RepositoryIndex', {})).toEqual({
      models: [{ name: 'm', version: 'v1', state: 'READY', reason: '' }],
    })
  })

  test.each<[string, string, object, grpc.status, string]>([
    [
      'another model',
      'ModelInfer',
      { model_name: 'other' },
      status.NOT_FOUND,
      'there is no model other here; this server',
    ],
    [
      'another version',
      'ModelInfer',
      { model_name: 'm', model_version: 'v9' },
      status.NOT_FOUND,
      'has no live version v9',
    ],
    ['no model', 'ModelInfer', {}, status.INVALID_ARGUMENT, 'model_name is missing'],
    ['no input', 'ModelInfer', { model_name: 'm' }, status.INVALID_ARGUMENT, 'the input "in_FLOAT" is missing'],
    [
      'what is not served',
      'ModelInfer',
      { model_name: 'm', parameters: { sequence_id: { int64_param: 1 } } },
      status.UNIMPLEMENTED,
      'sequence',
    ],
    [
      'a name longer than an error may be',
      'ModelInfer',
      { model_name: 'm', inputs: [{ name: '😀'.repeat(5000) }] },
      status.INVALID_ARGUMENT,
      'names the input',
    ],
    [
      'more bytes than are accepted',
      'ModelInfer',
      { model_name: 'm', raw_input_contents: [Buffer.alloc(70_000)] },
      status.RESOURCE_EXHAUSTED,
      'larger than max',
    ],
    [
      'metadata of another version',
      'ModelMetadata',
      { name: 'm', version: 'v9' },
      status.NOT_FOUND,
      'no live version v9',
    ],
    ['statistics of another model', 'ModelStatistics', { name: 'other' }, status.NOT_FOUND, 'there is no model other'],
    ['configuration of another model', 'ModelConfig', { name: 'other' }, status.NOT_FOUND, 'there is no model other'],
  ])('%s is refused by its status, in words', async (_name, method, request, code, words) => {
    const answer = await client.call(method, request)
    expect(answer).toMatchObject({ code, details: expect.stringContaining(words) })
    expect((await client.call('ServerReady', {})).code).toBe(status.OK)
  })

  test('bytes that are no message are refused, and the connection lives on', async () => {
    const send = (method: string, bytes: Buffer) =>
      new Promise<grpc.ServiceError | null>((resolve) => {
        client.raw.makeUnaryRequest(
          `/inference.GRPCInferenceService/${method}`,
          (value: Buffer) => value,
          (value: Buffer) => value,
          bytes,
          (error) => resolve(error),
        )
      })
    for (const bytes of ['ff', '0aff', '2a0a0a', '3b3b3b', '0a01ff', '07']) {
      for (const method of ['ModelInfer', 'ModelMetadata', 'RepositoryIndex']) {
        expect(await send(method, Buffer.from(bytes, 'hex'))).toMatchObject({
          code: status.INVALID_ARGUMENT,
          details: expect.stringContaining('is not valid protobuf'),
        })
      }
    }
    expect(await send('NoSuchMethod', Buffer.alloc(0))).toMatchObject({ code: status.UNIMPLEMENTED })
    expect(await send('RepositoryModelLoad', Buffer.alloc(0))).toMatchObject({
      code: status.UNIMPLEMENTED,
      details: expect.stringContaining('decided by the ModelDeployment; change spec.model there'),
    })
    expect((await client.call('ServerReady', {})).code).toBe(status.OK)
  })

  describe.each(['gzip', 'deflate'] as const)('a message packed by %s', (compression) => {
    let packing: Client
    beforeAll(() => {
      packing = inferenceClient(server.grpcAddress, compression)
    })
    afterAll(() => packing.close())

    test('is answered as any other', async () => {
      const request = { ...rawRequest(), parameters: { note: { string_param: 'x'.repeat(10_000) } } }
      const { code, response } = await packing.call('ModelInfer', request)
      expect(code).toBe(status.OK)
      expect(response).toMatchObject({ raw_output_contents: types.map(({ raw }) => raw) })
    })

    test('that only becomes too large when it is unpacked is refused, and nothing stays held', async () => {
      // 32 MiB that are 32 KiB on the way, half of what a message may have.
      const bomb = { model_name: 'm', raw_input_contents: [Buffer.alloc(2 ** 25)] }
      const answers = await Promise.all(Array.from({ length: 3 }, () => packing.call('ModelInfer', bomb)))
      for (const answer of answers) {
        expect(answer).toMatchObject({
          code: status.RESOURCE_EXHAUSTED,
          details: expect.stringContaining('decompresses to a size larger than 65536'),
        })
      }
      const state = (await (await fetch(server.metricsUrl.replace('/metrics', '/state'))).json()) as object
      expect(state).toMatchObject({ ready: true, versions: [{ heldBytes: 0, waiting: 0 }] })
      expect((await packing.call('ModelInfer', rawRequest())).code).toBe(status.OK)
    })
  })

  test('answers and refusals name the revision and repeat the request id', async () => {
    const headers = { 'x-request-id': 'abc-1' }
    const metadata = { 'x-slipway-revision': 'm-0123456789', 'x-request-id': 'abc-1' }
    expect(await client.call('ModelInfer', rawRequest(), { headers })).toMatchObject({ code: status.OK, metadata })
    expect(await client.call('ModelInfer', {}, { headers })).toMatchObject({ code: status.INVALID_ARGUMENT, metadata })
    expect((await client.call('ServerLive', {})).metadata).not.toHaveProperty('x-request-id')
  })

  test('a stream answers one request after another, and a bad one by its error', async () => {
    const stream = client.raw['ModelStreamInfer']?.() as grpc.ClientDuplexStream<object, Record<string, unknown>>
    const answers: Record<string, unknown>[] = []
    stream.on('data', (answer: Record<string, unknown>) => answers.push(answer))
    const ended = new Promise<grpc.StatusObject>((resolve) => stream.on('status', resolve))
    stream.write({ ...rawRequest(), id: '1' })
    stream.write({ model_name: 'm', id: '2' })
    stream.write({ ...rawRequest(), id: '3' })
    stream.end()
    expect((await ended).code).toBe(status.OK)
    expect(answers).toMatchObject([
      { error_message: '', infer_response: { id: '1', raw_output_contents: types.map(({ raw }) => raw) } },
      { error_message: expect.stringContaining('the input "in_FLOAT" is missing'), infer_response: null },
      { error_message: '', infer_response: { id: '3' } },
    ])
  })

  test.each(reflectionProtos.map((file) => [file.package, file] as const))('%s tells everything', async (_, file) => {
    const reflection = clientOf(file, server.grpcAddress)
    const ask = async (questions: readonly object[]): Promise<Record<string, unknown>[]> => {
      const stream = reflection.raw['ServerReflectionInfo']?.() as grpc.ClientDuplexStream<
        object,
        Record<string, unknown>
      >
      const answers: Record<string, unknown>[] = []
      for (const question of questions) stream.write(question)
      stream.end()
      for await (const answer of stream) answers.push(answer as Record<string, unknown>)
      return answers
    }
    const [list, bySymbol, byFile, unknown] = await ask([
      { list_services: '*' },
      { file_containing_symbol: 'inference.ModelInferRequest.InferInputTensor' },
      { file_by_filename: 'inference.proto' },
      { file_containing_symbol: 'no.such.Thing' },
    ])
    expect(list?.['list_services_response']).toEqual({
      service: [
        'inference.GRPCInferenceService',
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ].map((name) => ({ name })),
    })
    const found = bySymbol?.['file_descriptor_response'] as { file_descriptor_proto: Buffer[] } | undefined
    expect(byFile?.['file_descriptor_response']).toEqual(bySymbol?.['file_descriptor_response'])
    const told = descriptor.FileDescriptorProto.decode(
      found?.file_descriptor_proto[0] ?? Buffer.alloc(0),
    ) as protobuf.Message & {
      service: { method: { name: string }[] }[]
    }
    const text = readFileSync(join(import.meta.dirname, '../../docs/inference.proto'), 'utf8')
    const documented = protobuf.parse(text).root.lookupService('inference.GRPCInferenceService')
    expect(told.service[0]?.method.map(({ name }) => name)).toEqual(documented.methodsArray.map(({ name }) => name))
    expect(unknown).toMatchObject({ error_response: { error_code: status.NOT_FOUND } })
    reflection.close()
  })

  test('health answers for the server, the service and the model, and for nothing else', async () => {
    const health = healthClient(server.grpcAddress)
    for (const service of ['', 'inference.GRPCInferenceService', 'm']) {
      expect((await health.call('Check', { service })).response).toEqual({ status: 'SERVING' })
    }
    expect(await health.call('Check', { service: 'other' })).toMatchObject({
      code: status.NOT_FOUND,
      details: expect.stringContaining('there is no service other here'),
    })
    health.close()
  })

  test('requests over gRPC are counted with those over REST', async () => {
    expect(await server.metric('slipway_requests_total{code="200"}')).toBeGreaterThanOrEqual(5)
    expect(await server.metric('slipway_requests_total{code="404"}')).toBeGreaterThanOrEqual(2)
  })
})

/** A request that keeps the loop model busy for about a second on a slow machine's core. */
const slow = (turns = 3000) => ({
  model_name: 'm',
  inputs: [
    { name: 'turns', datatype: 'INT64', shape: [], contents: { int64_contents: [turns] } },
    { name: 'x', datatype: 'FP32', shape: [1], contents: { fp32_contents: [2] } },
  ],
})
const slowAnswer = { outputs: [{ name: 'y' }], raw_output_contents: [hex('00000040')] }

describe('while a model computes', () => {
  let server: Server
  let client: Client
  beforeAll(async () => {
    server = await startServer(loopModel(), { SLIPWAY_QUEUE_MAX_REQUESTS: '2', SLIPWAY_QUEUE_TIMEOUT_MS: '60000' })
    await server.ready()
    client = inferenceClient(server.grpcAddress)
  })
  afterAll(async () => {
    client.close()
    await server.stop()
  })

  test('two may wait, the next is told when to come again; who cancels or has no time left is never run', async () => {
    const runs = await server.metric('slipway_inference_duration_seconds_count')
    const running = client.call('ModelInfer', slow(12_000))
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    const leaving = new AbortController()
    const left = client.call('ModelInfer', slow(1), { signal: leaving.signal })
    const waiting = client.call('ModelInfer', slow(1))
    await server.sees('slipway_queue_depth', (count) => count === 2)
    const refused = await client.call('ModelInfer', slow(1))
    expect(refused).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('the queue is full: 2 requests wait and 2 may'),
      metadata: { 'grpc-retry-pushback-ms': expect.stringMatching(/^[1-9]\d*000$/) },
    })
    leaving.abort()
    expect((await left).code).toBe(status.CANCELLED)
    await server.sees('slipway_queue_depth', (count) => count === 1)
    const late = await client.call('ModelInfer', slow(1), { deadline: new Date(Date.now() + 300) })
    expect(late.code).toBe(status.DEADLINE_EXCEEDED)
    await server.sees('slipway_queue_depth', (count) => count <= 1)
    await server.sees('slipway_requests_total{code="499"}', (count) => count === 1)
    await server.sees('slipway_requests_total{code="504"}', (count) => count === 1)
    expect((await running).response).toMatchObject(slowAnswer)
    expect((await waiting).response).toMatchObject(slowAnswer)
    expect(await server.metric('slipway_inference_duration_seconds_count')).toBe(runs + 2)
  })

  test('health is answered before the prediction', async () => {
    const health = healthClient(server.grpcAddress)
    const order: string[] = []
    const running = client.call('ModelInfer', slow()).then(() => order.push('prediction'))
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    for (const method of ['ServerLive', 'ServerReady']) order.push(`${method} ${(await client.call(method, {})).code}`)
    order.push(String((await health.call('Check', {})).response?.['status']))
    await running
    expect(order).toEqual(['ServerLive 0', 'ServerReady 0', 'SERVING', 'prediction'])
    health.close()
  })
})

test('who waits longer than the queue allows is told so', async () => {
  const server = await startServer(loopModel(), { SLIPWAY_QUEUE_TIMEOUT_MS: '50' })
  await server.ready()
  const client = inferenceClient(server.grpcAddress)
  const running = client.call('ModelInfer', slow())
  await server.sees('slipway_inferences_in_flight', (count) => count > 0)
  expect(await client.call('ModelInfer', slow(1))).toMatchObject({
    code: status.DEADLINE_EXCEEDED,
    details: expect.stringContaining('waited 50 ms for a free worker'),
  })
  expect((await running).code).toBe(status.OK)
  client.close()
  await server.stop()
})

describe('a termination signal', () => {
  test('loses no call: watchers hear of it, what is under way is answered, streams end, and the process exits with 0', async () => {
    const server = await startServer(loopModel(), { SLIPWAY_DRAIN_DELAY_MS: '3000' })
    await server.ready()
    const client = inferenceClient(server.grpcAddress)
    const health = healthClient(server.grpcAddress)
    const watch = health.raw['Watch']?.({ service: 'm' }) as grpc.ClientReadableStream<{ status: string }>
    const seen: string[] = []
    const watchEnded = new Promise<grpc.StatusObject>((resolve) => watch.on('status', resolve))
    const notServing = new Promise<void>((resolve) => {
      watch.on('data', ({ status }: { status: string }) => {
        seen.push(status)
        if (status === 'NOT_SERVING') resolve()
      })
    })
    watch.on('error', () => {
      // The status says it.
    })
    const stream = client.raw['ModelStreamInfer']?.() as grpc.ClientDuplexStream<object, object>
    const streamEnded = new Promise<grpc.StatusObject>((resolve) => stream.on('status', resolve))
    stream.on('error', () => {
      // The status says it.
    })
    const streamAnswer = new Promise((resolve) => stream.once('data', resolve))
    stream.write(slow(1))
    expect(await streamAnswer).toMatchObject({ error_message: '' })

    const running = Array.from({ length: 5 }, () => client.call('ModelInfer', slow(500)))
    await server.sees('slipway_queue_depth', (count) => count > 0)
    server.signal('SIGTERM')
    await notServing
    expect(seen).toEqual(['SERVING', 'NOT_SERVING'])
    // A client that has not heard of it yet is answered, on a new connection.
    const late = client.call('ModelInfer', slow(1))
    expect((await client.call('ServerReady', {})).response).toEqual({ ready: false })
    for (const { code, response } of await Promise.all([...running, late])) {
      expect(code).toBe(status.OK)
      expect(response).toMatchObject(slowAnswer)
    }
    expect((await watchEnded).code).toBe(status.UNAVAILABLE)
    expect((await streamEnded).code).toBe(status.UNAVAILABLE)
    expect(await server.finished).toEqual({ code: 0, signal: null })
    client.close()
    health.close()
  })

  test('waits for a prediction that takes longer than the delay', async () => {
    const server = await startServer(loopModel(), { SLIPWAY_DRAIN_DELAY_MS: '0' })
    await server.ready()
    const client = inferenceClient(server.grpcAddress)
    const running = client.call('ModelInfer', slow())
    await server.sees('slipway_inferences_in_flight', (count) => count > 0)
    server.signal('SIGTERM')
    expect((await running).response).toMatchObject(slowAnswer)
    expect(await server.finished).toEqual({ code: 0, signal: null })
    client.close()
  })
})

test('calls go on without a failure while their connections grow old and are replaced', async () => {
  const server = await startServer(identityModel('FLOAT'), { SLIPWAY_CONNECTION_MAX_AGE_MS: '1000' })
  await server.ready()
  // Large, so that there is always a request on its way when a connection ends.
  const tensor = Buffer.alloc(600_000)
  const request = {
    model_name: 'm',
    inputs: [{ name: 'x', datatype: 'FP32', shape: [tensor.byteLength / 4] }],
    raw_input_contents: [tensor],
  }
  const connections = new Set<Socket>()
  const counting = createServer((socket) => {
    connections.add(socket)
    const port = Number(server.grpcAddress.split(':')[1])
    pipeline(socket, connect(port, '127.0.0.1'), socket, () => {
      // Either end may close; the other follows.
    })
  })
  const client = inferenceClient(`127.0.0.1:${await listen(counting, 0)}`)
  const answers: Called[] = []
  const lane = async (): Promise<void> => {
    while (connections.size < 4) answers.push(await client.call('ModelInfer', request))
  }
  await Promise.all(Array.from({ length: 6 }, lane))
  expect(answers.filter(({ code }) => code !== status.OK)).toEqual([])
  client.close()
  counting.close()
  await server.stop()
})

test('before the model is loaded, inference and metadata say so and health does not serve', async () => {
  const server = await startServer(loopModel(), { SLIPWAY_WARMUP_REQUESTS: '100000' })
  const client = inferenceClient(server.grpcAddress)
  const health = healthClient(server.grpcAddress)
  expect((await client.call('ServerLive', {})).response).toEqual({ live: true })
  expect((await client.call('ModelReady', { name: 'm' })).response).toEqual({ ready: false })
  expect((await health.call('Check', {})).response).toEqual({ status: 'NOT_SERVING' })
  expect(await client.call('ModelInfer', slow(1))).toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining('the model m is not ready: it is'),
  })
  expect((await client.call('ModelMetadata', { name: 'm' })).code).toBe(status.UNAVAILABLE)
  expect((await infer(server, '{}')).status).toBe(503)
  client.close()
  health.close()
  await server.stop()
})
