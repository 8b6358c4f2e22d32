/**
 * The requests of the differential run: good ones drawn by a seed, and one for each mistake that we know of. Each is the
 * same bytes for both servers.
 */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { inferenceProto } from '../../../runtime/grpc/api/inference.ts'
import { protoText } from '../../../runtime/grpc/protobuf/descriptor.ts'
import type { Datatype, Tensor } from '../../../runtime/tensor.ts'
import { grpcForms } from '../../fixtures/grpcforms.ts'
import { tensorOf } from '../../fixtures/tensors.ts'
import { printed, wireForms, type ReadTensor, type WireForm } from '../../fixtures/wireforms.ts'

/** `m` has an input and an output of every datatype but FP16, `half` one of FP16, `add` is `sum = a + b` of `[-1,4]`. */
export type ModelName = 'm' | 'half' | 'add'

export interface RestRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array<ArrayBuffer> | undefined
}

export interface GrpcRequest {
  readonly rpc: string
  readonly message: Uint8Array
}

export interface Case {
  readonly name: string
  readonly model: ModelName
  readonly ask: RestRequest | GrpcRequest
  /** How the answer's tensors are read, and what they must be; undefined where only the outcome is compared. */
  readonly reads?: { readonly form: WireForm; readonly expected: readonly ReadTensor[] }
}

/** The datatypes of the model `m`, by the names that ONNX and the protocol have for them. */
export const datatypesOfM: readonly (readonly [onnx: string, datatype: Datatype])[] = [
  ['FLOAT', 'FP32'],
  ['DOUBLE', 'FP64'],
  ['STRING', 'BYTES'],
  ['BOOL', 'BOOL'],
  ['INT8', 'INT8'],
  ['INT16', 'INT16'],
  ['INT32', 'INT32'],
  ['INT64', 'INT64'],
  ['UINT8', 'UINT8'],
  ['UINT16', 'UINT16'],
  ['UINT32', 'UINT32'],
  ['UINT64', 'UINT64'],
]

/** Valid requests of every form that both protocols share. */
export function goodCases(seed: number, count: number): Case[] {
  const rows = fc.nat({ max: 3 })
  const many = rows.chain((n) => fc.tuple(...datatypesOfM.map(([onnx, type]) => tensorOf(`in_${onnx}`, type, [n]))))
  const half = rows.chain((n) => fc.tuple(tensorOf('x', 'FP16', [n])))
  const forms = [...wireForms.filter(({ name }) => /^OIP (JSON, |JSON and |binary)/.test(name)), ...grpcForms]
  const drawn = (model: ModelName, tensors: fc.Arbitrary<Tensor[]>): Case[] =>
    fc.sample(tensors, { seed, numRuns: count }).flatMap((made, index) => {
      const inputs = made.map(withoutNul)
      return forms.flatMap((form): Case[] => {
        const message = form.request(inputs)
        if (message === undefined) return []
        const name = `${model}: ${form.name}, seed ${seed}.${index}`
        const expected = inputs.map((input) => ({
          ...printed(input),
          name: input.name.replace(/^in_/, 'out_').replace(/^x$/, 'y'),
        }))
        const { wire, body } = message
        if (wire.codec === 'oip-grpc') {
          const renamed = Request.decode(body)
          const said = Request.encode(Object.assign(renamed, { model_name: model })).finish()
          return [{ name, model, ask: { rpc: 'ModelInfer', message: said }, reads: { form, expected } }]
        }
        const length = wire.codec === 'oip-rest' ? wire.options.headerLength : undefined
        return [{ name, model, ask: post(model, body, length), reads: { form, expected } }]
      })
    })
  return [...drawn('m', many), ...drawn('half', half)]
}

/** Triton passes NUL on and ONNX Runtime's Node binding cannot, which a case of its own shows. */
function withoutNul(input: Tensor): Tensor {
  if (input.datatype !== 'BYTES') return input
  return { ...input, data: input.data.map((text) => text.filter((byte) => byte !== 0)) }
}

/** Requests that ask about server and model. */
export function questions(): Case[] {
  const get = (path: string, method = 'GET'): Case => ({
    name: `${method} ${path}`,
    model: 'add',
    ask: { method, path, headers: {}, body: undefined },
  })
  const call = (rpc: string, request: object = {}, type = `${rpc}Request`): Case => ({
    name: `gRPC ${rpc} ${JSON.stringify(request)}`,
    model: 'add',
    ask: { rpc, message: message(type, request) },
  })
  return [
    ...['/v2', '/v2/health/live', '/v2/health/ready', '/v2/models/add', '/v2/models/add/versions/1'].map((path) =>
      get(path),
    ),
    ...['', '/versions/1'].flatMap((version) =>
      ['ready', 'config', 'stats'].map((what) => get(`/v2/models/add${version}/${what}`)),
    ),
    get('/v2/models/stats'),
    get('/v2/repository/index', 'POST'),
    get('/v2/systemsharedmemory/status'),
    get('/v2/cudasharedmemory/status'),
    get('/v2/models/none'),
    get('/v2/models/none/ready'),
    get('/v2/models/none/config'),
    get('/v2/models/add/versions/7'),
    get('/v2/models/add/versions/7/ready'),
    get('/v2/models/add/versions/x'),
    get('/v2/models/add/none'),
    get('/v2/none'),
    get('/none'),
    get('/v2/models/add/infer', 'GET'),
    get('/v2/models/add', 'POST'),
    get('/v2/health/live', 'POST'),
    get('/v2/repository/index', 'GET'),
    get('/v2/repository/models/add/load', 'POST'),
    get('/v2/repository/models/add/unload', 'POST'),
    get('/v2/models/add/infer', 'PUT'),
    call('ServerLive'),
    call('ServerReady'),
    call('ModelReady', { name: 'add' }),
    call('ModelReady', { name: 'add', version: '1' }),
    call('ModelReady', { name: 'add', version: '7' }),
    call('ModelReady', { name: 'none' }),
    call('ServerMetadata'),
    call('ModelMetadata', { name: 'add' }),
    call('ModelMetadata', { name: 'none' }),
    call('ModelMetadata', { name: 'add', version: '7' }),
    call('ModelConfig', { name: 'add' }),
    call('ModelConfig', { name: 'none' }),
    call('ModelStatistics', { name: 'add' }),
    call('RepositoryIndex'),
  ]
}

const a = { name: 'a', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }
const b = { name: 'b', datatype: 'FP32', shape: [1, 4], data: [10, 20, 30, 40] }
const binary = (input: object, size: number): object => ({
  ...omit(input, 'data'),
  parameters: { binary_data_size: size },
})
const sixteen = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)

/** Requests to the model `add` with something odd about each. */
export function oddCases(): Case[] {
  const json: Readonly<Record<string, unknown>> = {
    'a plain request': { inputs: [a, b] },
    'an id': { id: 'x', inputs: [a, b] },
    'inputs in another order': { inputs: [b, a] },
    'an empty id': { id: '', inputs: [a, b] },
    'an id that is a number': { id: 7, inputs: [a, b] },
    'an unknown member': { inputs: [a, b], more: 1 },
    'no rows': { inputs: [a, b].map((input) => ({ ...input, shape: [0, 4], data: [] })) },
    'an array instead of an object': [a, b],
    'no inputs': {},
    'empty inputs': { inputs: [] },
    'inputs that are an object': { inputs: { a, b } },
    'an input that is a number': { inputs: [1, 2] },
    'a missing input': { inputs: [a] },
    'an unknown input': { inputs: [a, b, { ...a, name: 'c' }] },
    'an input under another name': { inputs: [a, { ...b, name: 'c' }] },
    'an input given twice': { inputs: [a, a, b] },
    'no name': { inputs: [omit(a, 'name'), b] },
    'no datatype': { inputs: [omit(a, 'datatype'), b] },
    'no shape': { inputs: [omit(a, 'shape'), b] },
    'no data': { inputs: [omit(a, 'data'), b] },
    'a wrong datatype': { inputs: [{ ...a, datatype: 'FP64' }, b] },
    'an unknown datatype': { inputs: [{ ...a, datatype: 'FP31' }, b] },
    'a datatype that is a number': { inputs: [{ ...a, datatype: 32 }, b] },
    'a negative dimension': { inputs: [{ ...a, shape: [-1, 4] }, b] },
    'a dimension of 0 for data': { inputs: [{ ...a, shape: [0, 4] }, b] },
    'a fractional dimension': { inputs: [{ ...a, shape: [1.5, 4] }, b] },
    'a dimension that is a text': { inputs: [{ ...a, shape: ['1', 4] }, b] },
    'a shape that is a number': { inputs: [{ ...a, shape: 4 }, b] },
    'too few dimensions': { inputs: [{ ...a, shape: [4] }, b] },
    'too many dimensions': { inputs: [{ ...a, shape: [1, 1, 4] }, b] },
    'a wrong fixed dimension': { inputs: [{ ...a, shape: [2, 2] }, b] },
    'a shape whose size overflows': { inputs: [{ ...a, shape: [2 ** 53 - 1, 4] }, b] },
    'rows that do not fit together': {
      inputs: [
        { ...a, shape: [3, 4], data: Array(12).fill(1) },
        { ...b, shape: [2, 4], data: Array(8).fill(1) },
      ],
    },
    'too little data': { inputs: [{ ...a, data: [1, 2, 3] }, b] },
    'too much data': { inputs: [{ ...a, data: [1, 2, 3, 4, 5] }, b] },
    'data that is a number': { inputs: [{ ...a, data: 1 }, b] },
    'data that is an object': { inputs: [{ ...a, data: {} }, b] },
    'a text among floats': { inputs: [{ ...a, data: [1, 2, 3, '4'] }, b] },
    'a boolean among floats': { inputs: [{ ...a, data: [1, 2, 3, true] }, b] },
    'null among floats': { inputs: [{ ...a, data: [1, 2, 3, null] }, b] },
    'nested data': { inputs: [{ ...a, data: [[1, 2, 3, 4]] }, b] },
    'data nested otherwise': {
      inputs: [
        {
          ...a,
          data: [
            [1, 2],
            [3, 4],
          ],
        },
        b,
      ],
    },
    'an output by name': { inputs: [a, b], outputs: [{ name: 'sum' }] },
    'an unknown output': { inputs: [a, b], outputs: [{ name: 'none' }] },
    'an output given twice': { inputs: [a, b], outputs: [{ name: 'sum' }, { name: 'sum' }] },
    'outputs that are an object': { inputs: [a, b], outputs: {} },
    'empty outputs': { inputs: [a, b], outputs: [] },
    'an output without a name': { inputs: [a, b], outputs: [{}] },
    'two classes': { inputs: [a, b], outputs: [{ name: 'sum', parameters: { classification: 2 } }] },
    'more classes than elements': { inputs: [a, b], outputs: [{ name: 'sum', parameters: { classification: 9 } }] },
    'no classes': { inputs: [a, b], outputs: [{ name: 'sum', parameters: { classification: 0 } }] },
    'negative classes': { inputs: [a, b], outputs: [{ name: 'sum', parameters: { classification: -1 } }] },
    'classes that are a text': { inputs: [a, b], outputs: [{ name: 'sum', parameters: { classification: '2' } }] },
    'classes in binary': {
      inputs: [a, b],
      outputs: [{ name: 'sum', parameters: { classification: 2, binary_data: true } }],
    },
    'a binary answer': { inputs: [a, b], outputs: [{ name: 'sum', parameters: { binary_data: true } }] },
    'all answers in binary': { inputs: [a, b], parameters: { binary_data_output: true } },
    'a priority and a timeout': { inputs: [a, b], parameters: { priority: 1, timeout: 60_000_000 } },
    'a priority that is a text': { inputs: [a, b], parameters: { priority: 'high' } },
    'a negative timeout': { inputs: [a, b], parameters: { timeout: -1 } },
    'a parameter of its own': { inputs: [a, b], parameters: { mine: 'x', other: 1.5, third: true } },
    'a parameter that is an object': { inputs: [a, b], parameters: { mine: {} } },
    'parameters that are an array': { inputs: [a, b], parameters: [] },
    'a sequence': { inputs: [a, b], parameters: { sequence_id: 1, sequence_start: true } },
    'shared memory that nobody registered': {
      inputs: [{ ...omit(a, 'data'), parameters: { shared_memory_region: 'r', shared_memory_byte_size: 16 } }, b],
    },
  }
  const text = JSON.stringify({ inputs: [a, b] })
  const raw: Readonly<Record<string, RestRequest>> = {
    'no body': post('add', ''),
    'a body that ends early': post('add', text.slice(0, -2)),
    'two bodies': post('add', text + text),
    'no JSON at all': post('add', 'hello'),
    'a byte order mark': post('add', `\u{feff}${text}`),
    'a comma too many': post('add', text.replace(']}]', ']},]')),
    'a deep nesting': post('add', text.replace('[1,2,3,4]', '['.repeat(200) + '1' + ']'.repeat(200))),
    'NaN and Infinity': post('add', text.replace('[1,2,3,4]', '[NaN,Infinity,-Infinity,4]')),
    'a number beyond FP32': post('add', text.replace('[1,2,3,4]', '[1e39,2,3,4]')),
    'a number beyond FP64': post('add', text.replace('[1,2,3,4]', '[1e400,2,3,4]')),
    'a number with a leading zero': post('add', text.replace('[1,2,3,4]', '[01,2,3,4]')),
    'a version': { ...post('add', text), path: '/v2/models/add/versions/1/infer' },
    'an unknown version': { ...post('add', text), path: '/v2/models/add/versions/7/infer' },
    'a version that is no number': { ...post('add', text), path: '/v2/models/add/versions/x/infer' },
    'an unknown model': { ...post('add', text), path: '/v2/models/none/infer' },
    gzip: post('add', Uint8Array.from(gzipSync(text)), undefined, { 'content-encoding': 'gzip' }),
    'gzip that is none': post('add', text, undefined, { 'content-encoding': 'gzip' }),
    'an unknown content encoding': post('add', text, undefined, { 'content-encoding': 'br' }),
    'another content type': post('add', text, undefined, { 'content-type': 'text/plain' }),
    'binary tensors': binaryPost([binary(a, 16), binary(b, 16)], [sixteen, sixteen]),
    'binary and JSON': binaryPost([binary(a, 16), b], [sixteen]),
    'a tensor without its bytes': binaryPost([binary(a, 16), binary(b, 16)], [sixteen]),
    'bytes too many': binaryPost([binary(a, 16), b], [sixteen, sixteen]),
    'a size that is too small': binaryPost([binary(a, 12), b], [sixteen.subarray(0, 12)]),
    'a size that is too large': binaryPost([binary(a, 20), b], [sixteen, sixteen.subarray(0, 4)]),
    'a negative size': binaryPost([binary(a, -16), b], [sixteen]),
    'a size that is a text': binaryPost([{ ...omit(a, 'data'), parameters: { binary_data_size: '16' } }, b], [sixteen]),
    'data and a size': binaryPost([{ ...a, parameters: { binary_data_size: 16 } }, b], [sixteen]),
    'a header length beyond the body': post('add', text, text.length + 10),
    'a header length inside the JSON': post('add', text, 10),
    'a negative header length': post('add', text, undefined, { 'inference-header-content-length': '-1' }),
    'a header length that is no number': post('add', text, undefined, { 'inference-header-content-length': 'x' }),
    'a raw request to a model of two inputs': post('add', sixteen, 0),
    'a raw request': post('half', sixteen, 0),
    'a raw request of half an element': post('half', sixteen.subarray(0, 3), 0),
  }
  return [
    ...Object.entries(json).map(([name, value]): Case => ({
      name,
      model: 'add',
      ask: post('add', JSON.stringify(value)),
    })),
    ...Object.entries(raw).map(([name, ask]): Case => ({
      name,
      model: name.startsWith('a raw request') && !name.includes('two') ? 'half' : 'add',
      ask,
    })),
    ...Object.entries(elements).map(([name, [datatype, data]]): Case => ({
      name,
      model: 'm',
      ask: post('m', JSON.stringify(allTypes(datatype, data))),
    })),
    ...Object.entries(grpc()).map(([name, ask]): Case => ({
      name: `gRPC: ${name}`,
      model: 'add',
      ask: { rpc: 'ModelInfer', message: ask },
    })),
  ]
}

/** Elements that are at or beyond the edge of their datatype. */
const elements: Readonly<Record<string, readonly [Datatype, unknown]>> = {
  'a fraction for INT32': ['INT32', 1.5],
  'a float that is whole for INT32': ['INT32', 2e3],
  'too large for INT32': ['INT32', 2 ** 31],
  'too large for INT8': ['INT8', 128],
  'too large for UINT8': ['UINT8', 256],
  'negative for UINT8': ['UINT8', -1],
  'negative for UINT64': ['UINT64', -1],
  'a number for BOOL': ['BOOL', 1],
  'a text for BOOL': ['BOOL', 'true'],
  'a number for BYTES': ['BYTES', 7],
  'a text with NUL for BYTES': ['BYTES', 'a\u0000b'],
  'a text for INT64': ['INT64', '7'],
}

function allTypes(odd: Datatype, element: unknown): object {
  return {
    inputs: datatypesOfM.map(([onnx, datatype]) => ({
      name: `in_${onnx}`,
      datatype,
      shape: [1],
      data: [datatype === odd ? element : datatype === 'BYTES' ? 'x' : datatype === 'BOOL' ? true : 1],
    })),
  }
}

function grpc(): Readonly<Record<string, Uint8Array>> {
  const head = (name: string, more: object = {}): object => ({ name, datatype: 'FP32', shape: [1, 4], ...more })
  const typed = { contents: { fp32_contents: [1, 2, 3, 4] } }
  const said = (request: object): Uint8Array => message('ModelInferRequest', { model_name: 'add', ...request })
  const raw = [sixteen, sixteen]
  const inputs = [head('a'), head('b')]
  return {
    raw: said({ inputs, raw_input_contents: raw }),
    typed: said({ inputs: [head('a', typed), head('b', typed)] }),
    'an id': said({ id: 'x', inputs, raw_input_contents: raw }),
    'raw and typed': said({ inputs: [head('a', typed), head('b')], raw_input_contents: raw }),
    'a raw tensor too few': said({ inputs, raw_input_contents: [sixteen] }),
    'a raw tensor too many': said({ inputs, raw_input_contents: [...raw, sixteen] }),
    'a raw tensor that is too short': said({ inputs, raw_input_contents: [sixteen, sixteen.subarray(4)] }),
    'no data': said({ inputs }),
    'a typed element too few': said({
      inputs: [head('a', { contents: { fp32_contents: [1, 2, 3] } }), head('b', typed)],
    }),
    'contents of another datatype': said({
      inputs: [head('a', { contents: { int_contents: [1, 2, 3, 4] } }), head('b', typed)],
    }),
    'no inputs': said({}),
    'a missing input': said({ inputs: [head('a')], raw_input_contents: [sixteen] }),
    'an unknown input': said({ inputs: [...inputs, head('c')], raw_input_contents: [...raw, sixteen] }),
    'an input given twice': said({ inputs: [head('a'), head('a')], raw_input_contents: raw }),
    'a wrong datatype': said({ inputs: [head('a', { datatype: 'INT32' }), head('b')], raw_input_contents: raw }),
    'an unknown datatype': said({ inputs: [head('a', { datatype: 'FP31' }), head('b')], raw_input_contents: raw }),
    'too few dimensions': said({ inputs: [head('a', { shape: [4] }), head('b')], raw_input_contents: raw }),
    'a wrong fixed dimension': said({ inputs: [head('a', { shape: [2, 2] }), head('b')], raw_input_contents: raw }),
    'a negative dimension': said({ inputs: [head('a', { shape: [-1, 4] }), head('b')], raw_input_contents: raw }),
    'a shape whose size overflows': said({
      inputs: [head('a', { shape: ['4611686018427387904', 4] }), head('b')],
      raw_input_contents: raw,
    }),
    'an output by name': said({ inputs, outputs: [{ name: 'sum' }], raw_input_contents: raw }),
    'an unknown output': said({ inputs, outputs: [{ name: 'none' }], raw_input_contents: raw }),
    'two classes': said({
      inputs,
      outputs: [{ name: 'sum', parameters: { classification: { int64_param: 2 } } }],
      raw_input_contents: raw,
    }),
    'an unknown model': said({ model_name: 'none', inputs, raw_input_contents: raw }),
    'an unknown version': said({ model_version: '7', inputs, raw_input_contents: raw }),
    'a version that is no number': said({ model_version: 'x', inputs, raw_input_contents: raw }),
    'an empty message': new Uint8Array(0),
    'bytes that are no message': Uint8Array.of(0xff, 0xff, 0xff, 0xff),
  }
}

const { root } = protobuf.parse(protoText(inferenceProto), { keepCase: true })
const Request = root.lookupType('inference.ModelInferRequest')

function message(type: string, value: object): Uint8Array {
  const found = root.lookupType(`inference.${type}`)
  return found.encode(found.fromObject(value)).finish()
}

function post(
  model: ModelName,
  body: string | Uint8Array<ArrayBuffer>,
  headerLength?: number,
  headers: Readonly<Record<string, string>> = {},
): RestRequest {
  const length = headerLength === undefined ? {} : { 'inference-header-content-length': String(headerLength) }
  const bytes = typeof body === 'string' ? Uint8Array.from(Buffer.from(body)) : body
  return { method: 'POST', path: `/v2/models/${model}/infer`, headers: { ...length, ...headers }, body: bytes }
}

function binaryPost(inputs: readonly object[], tails: readonly Uint8Array[]): RestRequest {
  const json = Buffer.from(JSON.stringify({ inputs }))
  return post('add', Uint8Array.from(Buffer.concat([json, ...tails])), json.length)
}

function omit(value: object, key: string): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key))
}
