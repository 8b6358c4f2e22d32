// NVIDIA's own client, unmodified, against the runtime over gRPC: the one that most services in the field use.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DataType, inferenceProto } from '../../runtime/grpc/api/inference.ts'
import type { Field, MessageType } from '../../runtime/grpc/protobuf/message.ts'
import { elementType, onnxModel } from '../fixtures/onnx.ts'
import { startServer, type Server } from '../fixtures/runtime.ts'
import { pythonWith } from '../kit/python.ts'

jest.setTimeout(600_000)

const elements = Object.entries(elementType).flatMap(([element]) => (element === 'BFLOAT16' ? [] : [element]))

interface Results {
  readonly [name: string]: unknown
  readonly fields: Readonly<Record<string, Readonly<Record<string, readonly [number, number, boolean]>>>>
  readonly datatypes: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, readonly [string, string] | null>>
}

let server: Server
let results: Results
beforeAll(async () => {
  const python = await pythonWith(['tritonclient[grpc]==2.73.0'])
  const model = onnxModel({
    nodes: elements.map((name) => ({ op: 'Identity', inputs: [`in_${name}`], outputs: [`out_${name}`] })),
    inputs: elements.map((name) => ({ name: `in_${name}`, type: name as keyof typeof elementType, shape: ['n'] })),
    outputs: elements.map((name) => ({ name: `out_${name}`, type: name as keyof typeof elementType, shape: ['n'] })),
  })
  server = await startServer(model)
  await server.ready()
  const script = join(import.meta.dirname, 'tritonclient_grpc.py')
  const { stdout } = await promisify(execFile)(python, [script, server.grpcAddress, 'm'], { maxBuffer: 2 ** 26 })
  results = JSON.parse(stdout) as Results
})
afterAll(() => server.stop())

describe('tritonclient over gRPC', () => {
  test.each([
    ['infer', 'wrong'],
    ['infer with gzip', 'compressed_wrong'],
    ['async_infer', 'async_wrong'],
    ['aio', 'aio_wrong'],
    ['typed contents in, raw out', 'typed_wrong'],
    ['typed contents in and out', 'typed_answer_wrong'],
  ])('%s gets every datatype back bit for bit', (_name, key) => {
    expect(results[key]).toEqual([])
  })

  test('a tensor of 600 KB comes back bit for bit, and only the output asked for', () => {
    expect(results['large_same']).toBe(true)
    expect(results['only_asked']).toEqual(['out_FLOAT'])
  })

  test('learns what the server and the model are', () => {
    expect(results).toMatchObject({
      live: true,
      ready: true,
      model_ready: true,
      id: 'r-1',
      server_metadata: { name: 'slipway' },
      model_metadata: { name: 'm', versions: ['v1'], platform: 'onnx_onnxv1' },
      model_config: { config: { name: 'm', backend: 'onnxruntime' } },
      statistics: { model_stats: [{ name: 'm', version: 'v1' }] },
      shared_memory: {},
      index: { models: [{ name: 'm', version: 'v1', state: 'READY' }] },
    })
    expect((results['model_metadata'] as { inputs: unknown[] }).inputs).toHaveLength(elements.length)
  })

  test('gets classes where it asks for them', () => {
    expect(results['classes']).toEqual(['2147483647:1'])
  })

  test('a stream gives answers and errors in the order of its requests', () => {
    expect(results['stream']).toEqual(['0', '1', '2', expect.stringContaining('there is no model other here')])
  })

  test.each([
    ['unknown model', 'StatusCode.NOT_FOUND', 'there is no model other here'],
    ['unknown version', 'StatusCode.NOT_FOUND', 'has no live version 9'],
    ['missing input', 'StatusCode.INVALID_ARGUMENT', 'the input "in_BOOL" is missing'],
    ['sequence', 'StatusCode.UNIMPLEMENTED', 'sequence_id'],
    ['load', 'StatusCode.UNIMPLEMENTED', 'explicit model load / unload is not allowed'],
    ['shared memory', 'StatusCode.UNIMPLEMENTED', 'does not have the extension system_shared_memory'],
    ['metadata', 'StatusCode.NOT_FOUND', 'there is no model other here'],
  ])('%s is an exception with status %s', (name, code, words) => {
    expect(results.errors[name]).toEqual([code, expect.stringContaining(words)])
  })

  test('raw and typed contents at once are refused in the words that its examples look for', () => {
    expect(results['both']).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining(
        "contents field must not be specified when using raw_input_contents for 'in_FLOAT' for model 'm'",
      ),
    ])
  })
})

describe('our messages are those of tritonclient', () => {
  /** Types as descriptors number them. */
  const typeNumber = ({ type }: Field): number => {
    if (typeof type === 'object') return type.kind === 'enum' ? 14 : 11
    return { double: 1, float: 2, int64: 3, uint64: 4, int32: 5, bool: 8, string: 9, bytes: 12, uint32: 13 }[type]
  }
  const ours = (type: MessageType, scope: string): (readonly [string, MessageType])[] => [
    [`${scope}.${type.name}`, type],
    ...type.nested.flatMap((nested) => (nested.kind === 'message' ? ours(nested, `${scope}.${type.name}`) : [])),
  ]
  const messages = inferenceProto.types.flatMap((type) => (type.kind === 'message' ? ours(type, 'inference') : []))

  test('every field of ours has its name, number and type there', () => {
    let compared = 0
    for (const [name, { fields }] of messages) {
      for (const [key, field] of Object.entries(fields)) {
        // The Open Inference Protocol has model properties, Triton has not.
        if (name === 'inference.ModelMetadataResponse' && key === 'properties') continue
        const type = field.label === 'map' ? 11 : typeNumber(field)
        expect([name, key, results.fields[name]?.[key]]).toEqual([
          name,
          key,
          [field.number, type, field.label !== 'one'],
        ])
        compared += 1
      }
    }
    expect(compared).toBeGreaterThan(70)
  })

  test('so have the datatypes of a configuration', () => {
    expect(Object.fromEntries(DataType.values.map((name, number) => [name, number]))).toEqual(results.datatypes)
  })
})
