import { describe, expect, test } from '@jest/globals'
import { Metadata, status } from '@grpc/grpc-js'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { contents } from '../../test/fixtures/grpcforms.ts'
import { anyTensor } from '../../test/fixtures/tensors.ts'
import { Fault } from '../errors.ts'
import { inferenceProto } from '../grpc/api/inference.ts'
import { protoText } from '../grpc/protobuf/descriptor.ts'
import { statusOf } from '../grpc/status.ts'
import { tensor, type Datatype, type Tensor, type TensorSpec } from '../tensor.ts'
import type { ModelIdentity } from './codec.ts'
import { requestHead } from './oip-grpc-request.ts'
import { oipGrpc } from './oip-grpc.ts'

/** The messages as an implementation that others wrote reads and writes them. */
const { root } = protobuf.parse(protoText(inferenceProto), { keepCase: true })
const Request = root.lookupType('inference.ModelInferRequest')
const Response = root.lookupType('inference.ModelInferResponse')

const bytesOf = (request: object): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Request.encode(Request.fromObject(request)).finish())

const decode = (request: object, model: ModelIdentity) => oipGrpc.decode(bytesOf(request), model, {})

const read = (body: Uint8Array): Answer =>
  Response.toObject(Response.decode(body), { longs: BigInt, defaults: true }) as Answer

interface Answer {
  readonly model_name: string
  readonly model_version: string
  readonly id: string
  readonly outputs: readonly {
    readonly name: string
    readonly datatype: string
    readonly shape: readonly bigint[]
    readonly contents: Readonly<Record<string, readonly unknown[]>> | null
  }[]
  readonly raw_output_contents: readonly Uint8Array[]
}

/** A model whose outputs are its inputs, of the datatypes asked for and any sizes. */
const echo = (tensors: readonly Tensor[]): ModelIdentity => {
  const specs = tensors.map(({ name, datatype, shape }): TensorSpec => ({ name, datatype, shape: shape.map(() => -1) }))
  return { name: 'm', version: 'v1', signature: { inputs: specs, outputs: specs } }
}

/** Raw bytes by a second hand: elements one after the other through a DataView, and lengths before texts. */
const rawOf = (made: Tensor): Buffer => {
  if (made.datatype === 'BYTES') {
    return Buffer.concat(
      made.data.flatMap((element) => {
        const length = Buffer.alloc(4)
        length.writeUInt32LE(element.byteLength)
        return [length, Buffer.from(element)]
      }),
    )
  }
  return Buffer.from(made.data.buffer, made.data.byteOffset, made.data.byteLength)
}

const contentsField: Readonly<Partial<Record<Datatype, string>>> = contents

const typedOf = (made: Tensor): object => {
  const field = contentsField[made.datatype] ?? ''
  if (made.datatype === 'BOOL') return { [field]: Array.from(made.data, (value) => value === 1) }
  return { [field]: Array.from<unknown>(made.data).map((value) => (typeof value === 'bigint' ? String(value) : value)) }
}

const headOf = ({ name, datatype, shape }: Tensor): object => ({ name, datatype, shape })

/** A tensor in one comparable form. */
const printed = (made: Tensor): object => ({ ...headOf(made), bytes: rawOf(made).toString('hex') })

const someTensors = fc
  .array(anyTensor, { minLength: 1, maxLength: 4 })
  .map((tensors) => tensors.map((made, at) => tensor(`x${at}`, made.datatype, made.shape, made.data)))

describe('a request written by another implementation', () => {
  test('gives raw tensors of every datatype exactly, wherever they lie', () => {
    fc.assert(
      fc.property(someTensors, fc.string({ maxLength: 9 }), (tensors, id) => {
        const body = {
          model_name: 'm',
          id,
          inputs: tensors.toReversed().map(headOf),
          raw_input_contents: tensors.toReversed().map(rawOf),
        }
        const request = decode(body, echo(tensors))
        expect(request.id).toBe(id === '' ? undefined : id)
        expect(request.inputs.map(printed)).toEqual(tensors.map(printed))
      }),
    )
  })

  test('gives typed tensors of every datatype but FP16 exactly', () => {
    fc.assert(
      fc.property(someTensors, (tensors) => {
        const typed = tensors.filter(({ datatype }) => datatype !== 'FP16')
        const body = { model_name: 'm', inputs: typed.map((made) => ({ ...headOf(made), contents: typedOf(made) })) }
        expect(decode(body, echo(typed)).inputs.map(printed)).toEqual(typed.map(printed))
      }),
    )
  })

  test('names its model, without its tensors being read', () => {
    const body = { model_name: 'm', inputs: [{ name: 'anything' }], raw_input_contents: [Buffer.alloc(9)] }
    expect(requestHead(bytesOf(body))).toEqual({ name: 'm', version: undefined, urgency: {} })
    const parameters = { priority: { uint64_param: 1 }, timeout: { int64_param: 2500 } }
    expect(requestHead(bytesOf({ ...body, model_version: 'v1', parameters }))).toEqual({
      name: 'm',
      version: 'v1',
      urgency: { priority: 1, timeoutMs: 2.5 },
    })
    expect(() => requestHead(bytesOf({}))).toThrow('model_name is missing')
  })
})

describe('an answer read by another implementation', () => {
  const answered = (tensors: readonly Tensor[], parameters: object): Answer => {
    const body = {
      model_name: 'm',
      id: 'r-1',
      inputs: tensors.map(headOf),
      raw_input_contents: tensors.map(rawOf),
      parameters,
    }
    const request = decode(body, echo(tensors))
    // Inputs lie in the request's memory, and what an engine gives does not: the answer is the same.
    const echoed = request.answer(request.inputs).body
    const { body: computed } = request.answer(tensors)
    expect(Buffer.from(computed)).toEqual(Buffer.from(echoed))
    return read(computed)
  }

  test('says its id, however long the one of the answer before was', () => {
    const made = tensor('x0', 'INT32', [2], Int32Array.of(1, 2))
    const ids = ['short', 'long'.repeat(1000), 'again', 'longer'.repeat(100_000), 'x']
    const found = ids.map((id) => {
      const body = { model_name: 'm', id, inputs: [headOf(made)], raw_input_contents: [rawOf(made)] }
      return decode(body, echo([made])).answer([made]).body
    })
    // Read when all are written, so that none lies where a later one is written.
    expect(found.map((body) => read(body).id)).toEqual(ids)
    expect(found.map((body) => Buffer.from(read(body).raw_output_contents[0] ?? []).toString('hex'))).toEqual(
      ids.map(() => rawOf(made).toString('hex')),
    )
  })

  test('is raw, of every datatype', () => {
    fc.assert(
      fc.property(someTensors, (tensors) => {
        const { outputs, raw_output_contents: raw, ...head } = answered(tensors, {})
        expect(head).toMatchObject({ model_name: 'm', model_version: 'v1', id: 'r-1' })
        expect(
          outputs.map(({ name, datatype, shape, contents }, at) => ({
            name,
            datatype,
            shape: shape.map(Number),
            contents,
            bytes: Buffer.from(raw[at] ?? []).toString('hex'),
          })),
        ).toEqual(tensors.map((made) => ({ ...printed(made), contents: null })))
      }),
    )
  })

  test('is typed when it is asked for by binary_data_output: false', () => {
    fc.assert(
      fc.property(someTensors, (tensors) => {
        const typed = tensors.filter(({ datatype }) => datatype !== 'FP16')
        const { outputs, raw_output_contents: raw } = answered(typed, { binary_data_output: { bool_param: false } })
        expect(raw).toEqual([])
        const again = outputs.map(({ name, datatype, shape, contents }) => ({
          name,
          datatype,
          shape: shape.map(Number),
          contents,
        }))
        // What another implementation read is sent as a request again, so that every number is compared exactly.
        const request = decode({ model_name: 'm', inputs: again.map(longsAsText) }, echo(typed))
        expect(request.inputs.map(printed)).toEqual(typed.map(printed))
      }),
    )
  })

  /** 64-bit numbers as text, as the other implementation takes them. */
  const longsAsText = (value: unknown): unknown => {
    if (typeof value === 'bigint') return String(value)
    if (Array.isArray(value)) return value.map(longsAsText)
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, longsAsText(inner)]))
  }

  test('holds the outputs asked for, in their order, and classes where asked', () => {
    const a = tensor('a', 'FP32', [1, 3], Float32Array.of(0.5, 2, 1))
    const b = tensor('b', 'INT64', [1], BigInt64Array.of(7n))
    const request = decode(
      {
        model_name: 'm',
        inputs: [headOf(a), headOf(b)],
        raw_input_contents: [rawOf(a), rawOf(b)],
        outputs: [{ name: 'b' }, { name: 'a', parameters: { classification: { int64_param: 2 } } }],
        parameters: { priority: { uint64_param: 1 }, note: { string_param: 'x' }, ratio: { double_param: 0.5 } },
      },
      echo([a, b]),
    )
    expect(request.outputs).toEqual(['b', 'a'])
    expect(request.parameters).toEqual({ priority: 1n, note: 'x', ratio: 0.5 })
    const { outputs, raw_output_contents: raw } = read(request.answer([b, a]).body)
    expect(outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ['b', 'INT64', [1n]],
      ['a', 'BYTES', [1n, 2n]],
    ])
    expect(Buffer.from(raw[1] ?? []).toString()).toBe('\n\0\0\x002.000000:1\n\0\0\x001.000000:2')
  })
})

/** What a client is told when reading its request fails so. */
const refusalOf = (read: () => unknown): object => {
  try {
    read()
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const { code, details } = statusOf(error.report(), new Metadata(), 0)
    return { code, details }
  }
  return { code: status.OK }
}

describe('a bad request is refused by name', () => {
  const x = tensor('x', 'FP32', [2], Float32Array.of(1, 2))
  const model: ModelIdentity = {
    name: 'm',
    version: 'v1',
    signature: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [-1] },
        { name: 'h', datatype: 'FP16', shape: [-1] },
      ],
    },
  }
  const input = (change: object) => ({
    model_name: 'm',
    inputs: [{ ...headOf(x), ...change }],
    raw_input_contents: [rawOf(x)],
  })
  const typed = (contents: object, change: object = {}) => ({
    model_name: 'm',
    inputs: [{ ...headOf(x), contents, ...change }],
  })

  test.each<[string, object, status, string]>([
    [
      'raw and typed data',
      { ...typed({ fp32_contents: [1, 2] }), raw_input_contents: [rawOf(x)] },
      status.INVALID_ARGUMENT,
      "contents field must not be specified when using raw_input_contents for 'x' for model 'm'",
    ],
    [
      'no data',
      { model_name: 'm', inputs: [headOf(x)] },
      status.INVALID_ARGUMENT,
      "unable to find data for input tensor 'x' for model 'm' in request",
    ],
    [
      'raw data for more inputs than there are',
      { ...input({}), raw_input_contents: [rawOf(x), rawOf(x)] },
      status.INVALID_ARGUMENT,
      'raw_input_contents has 2 entries for 1 inputs',
    ],
    [
      'too few raw bytes',
      { ...input({}), raw_input_contents: [Buffer.alloc(7)] },
      status.INVALID_ARGUMENT,
      'raw_input_contents[0] has 7 bytes of binary data; the shape [2] of FP32 needs 8',
    ],
    [
      'too few typed elements',
      typed({ fp32_contents: [1] }),
      status.INVALID_ARGUMENT,
      'inputs[0].contents.fp32_contents has 1 elements; the shape [2] needs 2',
    ],
    [
      'a shape of more elements than memory holds',
      typed({ fp32_contents: [1] }, { shape: [2147483647] }),
      status.INVALID_ARGUMENT,
      'the shape [2147483647] needs 2147483647',
    ],
    [
      'elements in the field of another datatype',
      typed({ int_contents: [1, 2] }),
      status.INVALID_ARGUMENT,
      'inputs[0].contents.int_contents is given for elements of FP32; put them into fp32_contents',
    ],
    [
      'an unknown input',
      input({ name: 'z' }),
      status.INVALID_ARGUMENT,
      'inputs[0].name names the input "z", which the model does not have; its inputs are x',
    ],
    ['an input without a name', input({ name: '' }), status.INVALID_ARGUMENT, 'inputs[0].name is missing'],
    [
      'an input twice',
      { model_name: 'm', inputs: [headOf(x), headOf(x)], raw_input_contents: [rawOf(x), rawOf(x)] },
      status.INVALID_ARGUMENT,
      'a second time',
    ],
    ['no input', { model_name: 'm' }, status.INVALID_ARGUMENT, 'the input "x" is missing'],
    [
      'another datatype',
      input({ datatype: 'FP64' }),
      status.INVALID_ARGUMENT,
      'inputs[0].datatype is FP64 for the input "x"; the model takes FP32',
    ],
    [
      'no datatype there is',
      input({ datatype: 'BF16' }),
      status.INVALID_ARGUMENT,
      'inputs[0].datatype is "BF16", which is no datatype',
    ],
    ['a negative dimension', input({ shape: [-1] }), status.INVALID_ARGUMENT, 'inputs[0].shape[0] is -1'],
    [
      'another rank',
      input({ shape: [1, 2] }),
      status.INVALID_ARGUMENT,
      'inputs[0].shape is [1,2] for the input "x"; the model takes [-1]',
    ],
    [
      'a shape without end',
      input({ shape: Array.from({ length: 100_000 }, () => 1) }),
      status.INVALID_ARGUMENT,
      'inputs[0].shape has more than 64 dimensions',
    ],
    [
      'an unknown output',
      { ...input({}), outputs: [{ name: 'q' }] },
      status.INVALID_ARGUMENT,
      'outputs[0].name names the output "q"',
    ],
    [
      'an output twice',
      { ...input({}), outputs: [{ name: 'y' }, { name: 'y' }] },
      status.INVALID_ARGUMENT,
      'outputs[1].name names the output "y" a second time',
    ],
    [
      'a sequence',
      { ...input({}), parameters: { sequence_id: { int64_param: 5 } } },
      status.UNIMPLEMENTED,
      'parameters.sequence_id',
    ],
    [
      'shared memory',
      input({ parameters: { shared_memory_region: { string_param: 'r' } } }),
      status.UNIMPLEMENTED,
      'inputs[0].parameters.shared_memory_region',
    ],
    [
      'a typed answer of FP16',
      { ...input({}), parameters: { binary_data_output: { bool_param: false } } },
      status.INVALID_ARGUMENT,
      'the output h cannot hold FP16',
    ],
    [
      'fields without end',
      { ...input({}), outputs: Array.from({ length: 10_001 }, () => ({})) },
      status.INVALID_ARGUMENT,
      'which the model does not have',
    ],
  ])('%s', (_name, request, code, words) => {
    expect(refusalOf(() => decode(request, model))).toEqual({ code, details: expect.stringContaining(words) })
  })

  test('FP16 as typed contents', () => {
    const h = tensor('x0', 'FP16', [1], Uint16Array.of(0))
    const body = { model_name: 'm', inputs: [{ ...headOf(h), contents: { fp32_contents: [1] } }] }
    expect(() => decode(body, echo([h]))).toThrow(
      'cannot hold FP16, for which the protocol has no typed field; use raw',
    )
  })

  test('a number that the datatype cannot hold', () => {
    const small = tensor('x0', 'INT8', [1], Int8Array.of(0))
    const body = { model_name: 'm', inputs: [{ ...headOf(small), contents: { int_contents: [200] } }] }
    expect(() => decode(body, echo([small]))).toThrow('inputs[0].contents.int_contents holds 200, which is no INT8')
  })

  test.each([
    ['model_name', Buffer.concat([bytesOf(input({})), bytesOf({ model_name: 'other' })])],
    ['id', Buffer.concat([bytesOf({ ...input({}), id: 'a' }), bytesOf({ id: 'b' })])],
  ])('%s twice, because a proxy may have looked at the other one', (field, bytes) => {
    expect(() => oipGrpc.decode(Uint8Array.from(bytes), model, {})).toThrow(`${field} appears twice; send it once`)
  })

  test('a message of countless fields is left at once', () => {
    const bytes = Uint8Array.from(Buffer.from('7a00'.repeat(20_000), 'hex'))
    expect(() => requestHead(bytes)).toThrow('it has more than 10000 fields')
    expect(() => oipGrpc.decode(bytes, model, {})).toThrow('it has more than 10000 fields')
  })
})

describe('elements may come as any encoder writes them', () => {
  const model = (datatype: Datatype): ModelIdentity => ({
    name: 'm',
    version: 'v1',
    signature: { inputs: [{ name: 'x', datatype, shape: [-1] }], outputs: [{ name: 'y', datatype, shape: [-1] }] },
  })
  const request = (datatype: Datatype, count: number, contents: string): Uint8Array<ArrayBuffer> => {
    const bytes = Buffer.from(contents.replaceAll(' ', ''), 'hex')
    const head = Buffer.concat([
      Buffer.from('0a0178', 'hex'),
      Buffer.from([0x12, datatype.length]),
      Buffer.from(datatype),
      Buffer.from([0x18, count, 0x2a, bytes.length]),
      bytes,
    ])
    return Uint8Array.from(Buffer.concat([Buffer.from('0a016d', 'hex'), Buffer.from([0x2a, head.length]), head]))
  }

  test.each<[Datatype, string, number[]]>([
    ['INT32', '10 01 12 02 02 03 10 ff ff ff ff ff ff ff ff ff 01', [1, 2, 3, -1]],
    ['FP32', '35 0000803f 32 04 00000040 35 00004040 32 04 00008040', [1, 2, 3, 4]],
    ['BOOL', '08 00 08 01 0a 02 02 00', [0, 1, 1, 0]],
  ])('%s packed, single, and both', (datatype, contents, values) => {
    const { inputs } = oipGrpc.decode(request(datatype, values.length, contents), model(datatype), {})
    expect(Array.from<unknown>(inputs[0]?.data ?? [])).toEqual(values)
  })

  test('floats that fill no whole element are refused', () => {
    expect(() => oipGrpc.decode(request('FP32', 1, '32 03 000000'), model('FP32'), {})).toThrow(
      '3 bytes are no whole number of elements',
    )
  })
})

test('whatever arrives is refused with a reason or read: never a crash', () => {
  const mutated = fc
    .tuple(someTensors, fc.boolean(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
    .map(([tensors, typed, changes, cut]) => {
      const kept = typed ? tensors.filter(({ datatype }) => datatype !== 'FP16') : tensors
      const bytes = bytesOf({
        model_name: 'm',
        inputs: kept.map((made) => ({ ...headOf(made), ...(typed ? { contents: typedOf(made) } : {}) })),
        ...(typed ? {} : { raw_input_contents: kept.map(rawOf) }),
        parameters: { a: { int64_param: 1 } },
      })
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      const end = cut % 3 === 0 ? cut % (bytes.length + 1) : bytes.length
      return { model: echo(tensors), bytes: bytes.slice(0, end) }
    })
  fc.assert(
    fc.property(mutated, ({ model, bytes }) => {
      try {
        requestHead(bytes)
        oipGrpc.decode(bytes, model, {})
      } catch (error) {
        expect(error).toBeInstanceOf(Fault)
      }
    }),
    { numRuns: 2000 },
  )
})
