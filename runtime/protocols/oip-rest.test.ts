import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../errors.ts'
import { anyTensor } from '../../test/fixtures/tensors.ts'
import { elementCount, tensor, type Datatype, type Tensor, type TensorSpec } from '../tensor.ts'
import type { InferenceRequest, ModelIdentity } from './codec.ts'
import { encodeAnswer, oipRest } from './oip-rest.ts'

const modelOf = (inputs: readonly TensorSpec[], outputs: readonly TensorSpec[] = []): ModelIdentity => ({
  name: 'm',
  version: 'v1',
  signature: { inputs, outputs },
})
const allJson = { headerLength: undefined }
const decode = (body: string, model: ModelIdentity): InferenceRequest =>
  oipRest.decode(new Uint8Array(Buffer.from(body)), model, allJson)
const encode = (outputs: readonly Tensor[], id?: string): string =>
  Buffer.from(
    encodeAnswer(
      id,
      outputs.map((tensor) => ({ tensor, binary: false })),
      modelOf([]),
    ).body,
  ).toString()

function plainly(element: number | bigint | Uint8Array): number | bigint | string {
  return typeof element === 'object' ? Buffer.from(element).toString() : element
}

/** An answer's outputs, taken as the inputs of a request: both have the same form. */
const asRequest = (tensors: readonly Tensor[]): string => {
  const answer = encode(tensors)
  return `{"inputs":${answer.slice(answer.indexOf('"outputs":') + '"outputs":'.length)}`
}

/** The same request with the elements nested as the shape says. */
const nested = ({ datatype, shape }: Tensor, request: string): string => {
  const start = request.indexOf('"data":[') + '"data":['.length
  const flat = request.slice(start, request.lastIndexOf(']}]}'))
  // Elements never hold a bare comma; strings are taken apart by JSON.parse.
  const items: string[] =
    datatype === 'BYTES' ? (JSON.parse(`[${flat}]`) as string[]).map((text) => JSON.stringify(text)) : flat.split(',')
  let next = 0
  const nest = (level: number): string =>
    level === shape.length
      ? (items[next++] ?? '')
      : `[${Array.from({ length: shape[level] ?? 0 }, () => nest(level + 1)).join(' , ')}]`
  return `${request.slice(0, start - 1)}${nest(0)}}]}`
}

describe('the JSON codec', () => {
  test('null stands for a member that is left out, as clients with typed classes write it', () => {
    const model = modelOf(
      [{ name: 'x', datatype: 'FP32', shape: [-1] }],
      [{ name: 'y', datatype: 'FP32', shape: [-1] }],
    )
    const input = '{"name":"x","datatype":"FP32","shape":[1],"parameters":null,"data":[1]}'
    const request = decode(`{"id":null,"parameters":null,"inputs":[${input}],"outputs":null}`, model)
    expect(request).toMatchObject({ id: undefined, parameters: {}, outputs: ['y'] })
    expect(request.inputs).toEqual([tensor('x', 'FP32', [1], Float32Array.of(1))])
    expect(decode(`{"inputs":[${input}],"outputs":[{"name":"y","parameters":null}]}`, model).outputs).toEqual(['y'])

    const json =
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":null,"parameters":{"binary_data_size":4}}]}'
    const body = Buffer.concat([Buffer.from(json), Buffer.from(Float32Array.of(2).buffer)])
    const mixed = oipRest.decode(new Uint8Array(body), model, { headerLength: json.length })
    expect(mixed.inputs).toEqual([tensor('x', 'FP32', [1], Float32Array.of(2))])
  })

  test('every tensor of every datatype comes back bit for bit, flat and nested', () => {
    fc.assert(
      fc.property(anyTensor, (made) => {
        const model = modelOf([made])
        const request = asRequest([made])
        expect(decode(request, model).inputs).toEqual([made])
        expect(decode(nested(made, request), model).inputs).toEqual([made])
      }),
      { numRuns: 2000 },
    )
  })

  test('answers without NaN, infinities and 64-bit integers read alike with JSON.parse', () => {
    const plain = anyTensor.filter(({ datatype }) => !['INT64', 'UINT64', 'FP16', 'BOOL'].includes(datatype))
    fc.assert(
      fc.property(plain, (made) => {
        fc.pre([...made.data].every((element) => typeof element === 'object' || Number.isFinite(element)))
        const { outputs } = JSON.parse(encode([made])) as { outputs: { data: (number | string)[] }[] }
        const read = outputs[0]?.data ?? []
        expect(made.datatype === 'FP32' ? Float32Array.from(read as number[]) : read).toEqual(
          made.datatype === 'FP32' ? made.data : [...made.data].map(plainly),
        )
      }),
      { numRuns: 1000 },
    )
  })

  test('floats written in any way are read as JSON.parse and a typed array read them', () => {
    const way = fc.constantFrom<(value: number) => string>(
      String,
      (value) => value.toExponential(),
      (value) => value.toPrecision(7),
      (value) => value.toFixed(12),
    )
    const numbers = fc.array(
      fc.tuple(fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 }), way),
      {
        minLength: 1,
      },
    )
    fc.assert(
      fc.property(numbers, (written) => {
        const data = `[${written.map(([value, print]) => print(value)).join(',')}]`
        const model = modelOf([{ name: 'x', datatype: 'FP32', shape: [-1] }])
        const { inputs } = decode(
          `{"inputs":[{"name":"x","shape":[${written.length}],"datatype":"FP32","data":${data}}]}`,
          model,
        )
        expect(inputs[0]?.data).toEqual(Float32Array.from(JSON.parse(data) as number[]))
      }),
      { numRuns: 1000 },
    )
  })

  test('float32 answers are short', () => {
    expect(encode([tensor('x', 'FP32', [4], Float32Array.of(0.1, -2.5, 1e-7, 16_777_216))])).toContain(
      '"data":[0.1,-2.5,1e-7,16777216]',
    )
  })

  test('NaN and infinities are bare tokens both ways', () => {
    const made = tensor('x', 'FP64', [3], Float64Array.of(Number.NaN, Infinity, -Infinity))
    expect(encode([made])).toContain('"data":[NaN,Infinity,-Infinity]')
    expect(decode(asRequest([made]), modelOf([made])).inputs).toEqual([made])
  })

  test('64-bit integers keep every digit, and negative zero its sign', () => {
    const made = tensor('x', 'INT64', [2], BigInt64Array.of(9_007_199_254_740_993n, -9_223_372_036_854_775_808n))
    expect(encode([made])).toContain('[9007199254740993,-9223372036854775808]')
    expect(encode([tensor('x', 'FP32', [1], Float32Array.of(-0))])).toContain('[-0.0]')
  })

  test('the answer names model and version and echoes the id', () => {
    expect(encode([], 'a "quoted" ümlaut')).toBe(
      String.raw`{"model_name":"m","model_version":"v1","id":"a \"quoted\" ümlaut","outputs":[]}`,
    )
    expect(encode([])).not.toContain('"id"')
  })
})

const two = modelOf(
  [
    { name: 'a', datatype: 'FP32', shape: [-1, 2] },
    { name: 'n', datatype: 'INT64', shape: [] },
  ],
  [
    { name: 'y', datatype: 'FP32', shape: [-1] },
    { name: 'z', datatype: 'FP32', shape: [-1] },
  ],
)
const a = '{"name":"a","shape":[1,2],"datatype":"FP32","data":[1,2]}'
const n = '{"name":"n","shape":[],"datatype":"INT64","data":[7]}'

describe('a request', () => {
  test('may give members in any order, data before its shape, extra members and parameters', () => {
    const request = decode(
      `{"parameters":{"priority":1,"note":"x","flag":true},"extra":{"deep":[1,[2]]},"outputs":[{"name":"z","parameters":{"binary_data":false}}],
        "inputs":[{"data":[[1,2],[3,4]],"parameters":{"scale":0.5},"shape":[2,2],"name":"a","datatype":"FP32"},${n}],"id":"r1"}`,
      two,
    )
    expect(request.id).toBe('r1')
    expect(request.outputs).toEqual(['z'])
    expect(request.inputs.map(({ name, data }) => [name, [...data]])).toEqual([
      ['a', [1, 2, 3, 4]],
      ['n', [7n]],
    ])
  })

  test('gets its inputs in the order of the model and all outputs unless it names some', () => {
    for (const outputs of ['', ',"outputs":[]']) {
      const request = decode(`{"inputs":[${n},${a}]${outputs}}`, two)
      expect(request.inputs.map(({ name }) => name)).toEqual(['a', 'n'])
      expect(request.outputs).toEqual(['y', 'z'])
    }
  })

  test.each(['[7]', '7'])('may write a scalar as %s, and its shape as [] or [1]', (data) => {
    for (const shape of ['[]', '[1]']) {
      if (shape === '[1]' && data === '7') continue
      const scalar = `{"name":"n","shape":${shape},"datatype":"INT64","data":${data}}`
      expect(decode(`{"inputs":[${a},${scalar}]}`, two).inputs[1]?.data).toEqual(BigInt64Array.of(7n))
    }
  })

  const input = (members: string): string => `{"inputs":[{"name":"a",${members}},${n}]}`
  const data = (text: string): string => input(`"shape":[1,2],"datatype":"FP32","data":${text}`)
  test.each<[string, string, string, string]>([
    ['no body', '', 'BodyMissing', 'the request has no body'],
    ['no JSON', 'hello', 'InvalidJson', 'not valid JSON'],
    ['cut JSON', `{"inputs":[${a}`, 'InvalidJson', 'at byte'],
    ['a list', '[1]', 'FieldType', 'the body is an array; write an object with "inputs"'],
    ['text after the end', `{"inputs":[${a},${n}]}{}`, 'InvalidJson', 'something follows'],
    ['no inputs', '{}', 'FieldMissing', 'inputs is missing'],
    ['inputs as object', '{"inputs":{}}', 'FieldType', 'inputs is an object; write an array'],
    ['inputs twice', `{"inputs":[${a},${n}],"inputs":[]}`, 'FieldTwice', 'inputs appears twice'],
    ['an id that is a number', `{"id":1,"inputs":[]}`, 'FieldType', 'id is a number; write a string'],
    [
      'an unknown input',
      '{"inputs":[{"name":"q"}]}',
      'InputUnknown',
      'inputs[0].name names the input "q", which the model does not have; its inputs are a, n',
    ],
    [
      'a missing input',
      `{"inputs":[${a}]}`,
      'InputMissing',
      'the input "n" is missing; add {"name":"n","datatype":"INT64","shape":[]',
    ],
    ['an input twice', `{"inputs":[${a},${a},${n}]}`, 'InputTwice', 'inputs[1].name names the input "a" a second time'],
    ['no name', '{"inputs":[{"shape":[]}]}', 'FieldMissing', 'inputs[0].name is missing'],
    [
      'no datatype',
      input('"shape":[1,2],"data":[1,2]'),
      'FieldMissing',
      'inputs[0].datatype is missing; add it as "FP32"',
    ],
    [
      'no shape',
      input('"datatype":"FP32","data":[1,2]'),
      'FieldMissing',
      'inputs[0].shape is missing; add it as [-1,2]',
    ],
    ['no data', input('"shape":[1,2],"datatype":"FP32"'), 'FieldMissing', 'inputs[0].data is missing'],
    [
      'a datatype of its own',
      input('"shape":[1,2],"datatype":"FLOAT","data":[1,2]'),
      'DatatypeUnknown',
      '"FLOAT", which is no datatype; use one of BOOL',
    ],
    [
      'another datatype',
      input('"shape":[1,2],"datatype":"FP64","data":[1,2]'),
      'DatatypeWrong',
      'inputs[0].datatype is FP64 for the input "a"; the model takes FP32',
    ],
    [
      'another rank',
      input('"shape":[2],"datatype":"FP32","data":[1,2]'),
      'ShapeWrong',
      'inputs[0].shape is [2] for the input "a"; the model takes [-1,2]',
    ],
    ['another size', input('"shape":[1,3],"datatype":"FP32","data":[1,2,3]'), 'ShapeWrong', '[1,3]'],
    [
      'a negative dimension',
      input('"shape":[-1,2],"datatype":"FP32","data":[1,2]'),
      'ShapeDimension',
      'inputs[0].shape[0] is -1',
    ],
    ['half a dimension', input('"shape":[1.5,2],"datatype":"FP32","data":[1,2]'), 'ShapeDimension', 'is 1.5'],
    ['a dimension in words', input('"shape":["one",2],"datatype":"FP32","data":[1,2]'), 'ShapeDimension', 'is "one"'],
    [
      'a dimension beyond all bounds',
      input('"shape":[9e99,2],"datatype":"FP32","data":[1,2]'),
      'ShapeDimension',
      'is 9e99',
    ],
    [
      'more elements than any body',
      input('"shape":[2147483647,2],"datatype":"FP32","data":[1,2]'),
      'ShapeOverflow',
      'total element count to exceed maximum size',
    ],
    ['too few elements', data('[1]'), 'DataCount', 'inputs[0].data has 1 elements; the shape [1,2] needs 2'],
    ['too many elements', data('[1,2,3,4,5]'), 'DataCount', 'has 5 elements'],
    ['data that is no list', data('"abc"'), 'FieldType', 'inputs[0].data is a string'],
    ['too many rows', data('[[1,2],[3,4]]'), 'DataNesting', 'more than 1 entries at level 1'],
    ['a short row', data('[[1]]'), 'DataNesting', '1 entries at level 2 instead of 2'],
    ['deeper than its shape', data('[[[1],2]]'), 'DataNesting', 'an array where an element was expected'],
    ['half nested', data('[[1,2],3]'), 'DataNesting', 'more than 1 entries'],
    ['nested after flat', data('[1,[2]]'), 'DataNesting', 'an array where an element was expected'],
    ['a string element', data('["1",2]'), 'DataElement', 'holds "1", which is no FP32; write numbers without quotes'],
    ['null for NaN', data('[null,2]'), 'DataElement', 'write NaN as the bare token NaN'],
    ['a float that is too large', data('[1e39,2]'), 'DataElement', 'which is no FP32; write numbers within'],
    ['a float beyond every limit', data('[1e999,2]'), 'DataElement', 'which is no FP32'],
    ['a trailing comma', data('[1,2,]'), 'InvalidJson', 'not valid JSON'],
    [
      'an unknown output',
      `{"inputs":[${a},${n}],"outputs":[{"name":"q"}]}`,
      'OutputUnknown',
      'outputs[0].name names the output "q", which the model does not have; its outputs are y, z',
    ],
    [
      'an output twice',
      `{"inputs":[${a},${n}],"outputs":[{"name":"y"},{"name":"y"}]}`,
      'OutputTwice',
      'outputs[1].name',
    ],
    ['an output without a name', `{"inputs":[${a},${n}],"outputs":[{}]}`, 'FieldMissing', 'outputs[0].name is missing'],
    [
      'binary data that is not there',
      input('"shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}'),
      'BinaryMissing',
      'inputs[0] needs 8 bytes of binary data, and 0 are left in the body',
    ],
    [
      'data in two ways',
      input('"shape":[1,2],"datatype":"FP32","data":[1,2],"parameters":{"binary_data_size":8}'),
      'DataTwice',
      'inputs[0] has both data and binary_data_size',
    ],
    [
      'a binary size that is none',
      input('"shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":-1}'),
      'FieldType',
      'inputs[0].parameters.binary_data_size is -1; write a whole number from 0',
    ],
    [
      'shared memory',
      input('"shape":[1,2],"datatype":"FP32","parameters":{"shared_memory_region":"r"}'),
      'SharedMemoryUnsupported',
      'inputs[0].parameters.shared_memory_region asks for shared memory',
    ],
    [
      'a priority in words',
      `{"parameters":{"priority":"high"},"inputs":[${a},${n}]}`,
      'FieldType',
      'parameters.priority is high; write a whole number from 0',
    ],
    [
      'a flag in words',
      `{"parameters":{"binary_data_output":"yes"},"inputs":[${a},${n}]}`,
      'FieldType',
      'parameters.binary_data_output is "yes"; write true or false',
    ],
    [
      'a sequence',
      `{"parameters":{"sequence_id":7},"inputs":[${a},${n}]}`,
      'SequenceUnsupported',
      'parameters.sequence_id is for models that keep state',
    ],
    ['null for the inputs', '{"inputs":null}', 'FieldType', 'inputs is null; write an array'],
    [
      'null for data',
      input('"shape":[1,2],"datatype":"FP32","data":null'),
      'FieldMissing',
      'inputs[0].data is missing',
    ],
    ['nested parameters', `{"parameters":{"x":{}},"inputs":[${a},${n}]}`, 'FieldType', 'parameters.x is an object'],
    ['hostile depth', '{"inputs":'.repeat(10) + '['.repeat(100_000), 'FieldType', 'write an array'],
    ['hostile depth in a parameter', `{"x":${'['.repeat(100_000)}`, 'TooDeep', 'nests deeper'],
  ])('with %s is refused with one sentence that says so', (_name, body, code, words) => {
    const refused = faultOf(() => decode(body, two))
    expect(refused).toMatchObject({ code, status: code.endsWith('Unsupported') ? 501 : 400 })
    expect(refused.message).toContain(words)
    expect(refused.message).not.toMatch(/\{\w+\}|undefined|\n/)
  })

  test.each<[Datatype, string, string]>([
    ['INT8', '128', 'write whole numbers from -128 to 127'],
    ['INT32', '1.5', 'write whole numbers'],
    ['UINT8', '-1', 'write whole numbers from 0 to 255'],
    ['INT64', '9223372036854775808', 'from -9223372036854775808 to 9223372036854775807'],
    ['INT64', '1e30', 'without exponent beyond 2^53'],
    ['INT64', 'NaN', 'a number'],
    ['UINT64', '-1', 'from 0'],
    ['FP16', '70000', 'write numbers within ±65504'],
    ['FP64', '-1e999', 'write numbers within'],
    ['BOOL', '2', 'write true or false'],
    ['BOOL', '"true"', 'write true or false'],
    ['BYTES', '5', 'write strings'],
  ])('with the %s element %s is refused', (datatype, element, words) => {
    const model = modelOf([{ name: 'x', datatype, shape: [1] }])
    const body = `{"inputs":[{"name":"x","shape":[1],"datatype":"${datatype}","data":[${element}]}]}`
    expect(faultOf(() => decode(body, model)).message).toContain(words)
  })

  test('whole numbers may be written with a point or an exponent', () => {
    const model = modelOf([{ name: 'x', datatype: 'INT32', shape: [3] }])
    const body = '{"inputs":[{"name":"x","shape":[3],"datatype":"INT32","data":[1.0,2e3,-0]}]}'
    expect(decode(body, model).inputs[0]?.data).toEqual(Int32Array.of(1, 2000, 0))
  })

  test('whatever bytes come, the answer is a tensor that fits or a Fault', () => {
    const valid = Buffer.from(`{"id":"x","inputs":[${a},${n}],"outputs":[{"name":"y"}]}`)
    const change = fc.record({ at: fc.nat({ max: valid.length - 1 }), byte: fc.integer({ min: 0, max: 255 }) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat({ max: valid.length }), (changes, cut) => {
        const body = Uint8Array.from(valid.subarray(0, cut % 7 === 0 ? cut : valid.length))
        for (const { at, byte } of changes) if (at < body.length) body[at] = byte
        try {
          for (const { shape, data: read } of oipRest.decode(body, two, allJson).inputs)
            expect(read).toHaveLength(elementCount(shape))
        } catch (error) {
          expect(error).toBeInstanceOf(Fault)
        }
      }),
      { numRuns: 5000 },
    )
  })
})

function faultOf(act: () => unknown): Fault {
  try {
    act()
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('it was not refused')
}
