/**
 * What TensorFlow Serving's own tests and documentation say of requests and answers in JSON, as cases of our own: the
 * same forms, other values.
 * @see https://github.com/tensorflow/serving/blob/master/tensorflow_serving/util/json_tensor_test.cc
 * @see https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md
 */
import { describe, expect, test } from '@jest/globals'
import { printed } from '../../test/fixtures/wireforms.ts'
import { tensor, type Datatype, type Tensor } from '../tensor.ts'
import { decode } from './codecs.ts'

type Shape = readonly number[]
type Inputs = Readonly<Record<string, readonly [Datatype, Shape]>>

const wire = { codec: 'kserve-v1', options: undefined } as const

/** Reads a request for a model whose inputs are these, each with free dimensions. */
function read(inputs: Inputs, body: string) {
  const specs = Object.entries(inputs).map(([name, [datatype, shape]]) => ({
    name,
    datatype,
    shape: shape.map(() => -1),
  }))
  const model = { name: 'm', version: '1', signature: { inputs: specs, outputs: [] } }
  return decode(wire, Uint8Array.from(Buffer.from(body)), model)
}

const one = (datatype: Datatype, shape: Shape): Inputs => ({ x: [datatype, shape] })
const several: Inputs = {
  ints: ['INT32', [2, 3, 2]],
  texts: ['BYTES', [2, 2]],
  floats: ['FP32', [2, 2]],
  doubles: ['FP64', [2, 1]],
}

describe('what TensorFlow Serving reads from JSON', () => {
  test.each<[string, Inputs, string, Readonly<Record<string, string>>]>([
    ['rows of one input', one('INT32', [3, 2]), '{"instances":[[9,8],[7,6],[5,4]]}', { x: '9,8,7,6,5,4' }],
    [
      'rows that are numbers, whole or not',
      one('FP32', [5]),
      '{"instances":[1,2.0,3,0.25,0.0]}',
      { x: '1,2,3,0.25,0' },
    ],
    ['the same for doubles', one('FP64', [4]), '{"instances":[1.0,2,0.662,0]}', { x: '1,2,0.662,0' }],
    ['base64 as rows', one('BYTES', [2]), '{"instances":[{"b64":"c2xpcA=="},{"b64":"d2F5"}]}', { x: '"slip","way"' }],
    [
      'base64 in rows',
      one('BYTES', [2, 1]),
      '{"instances":[[{"b64":"c2xpcA=="}],[{"b64":"d2F5"}]]}',
      { x: '"slip","way"' },
    ],
    [
      'base64 in a named row',
      one('BYTES', [1, 2, 1]),
      '{"instances":[{"x":[[{"b64":"c2xpcA=="}],[{"b64":"d2F5"}]]}]}',
      { x: '"slip","way"' },
    ],
    [
      'rows of several inputs, NaN and Infinity among them',
      several,
      `{"instances":[
        {"ints":[[1,2],[3,4],[5,6]],"texts":["a","b"],"floats":[1.0,NaN],"doubles":[NaN]},
        {"texts":["c","d"],"ints":[[7,8],[9,0],[1,2]],"floats":[2.0,Infinity],"doubles":[2.0]}]}`,
      { ints: '1,2,3,4,5,6,7,8,9,0,1,2', texts: '"a","b","c","d"', floats: '1,NaN,2,Infinity', doubles: 'NaN,2' },
    ],
    ['a named column', one('INT32', [1, 3, 2]), '{"inputs":{"x":[[[1,2],[3,4],[5,6]]]}}', { x: '1,2,3,4,5,6' }],
    ['a bare column', one('INT32', [1, 3, 2]), '{"inputs":[[[1,2],[3,4],[5,6]]]}', { x: '1,2,3,4,5,6' }],
    [
      'columns of their own sizes, a scalar in base64 among them',
      { ints: ['INT32', [1, 2]], texts: ['BYTES', [3]], bytes: ['BYTES', []] },
      '{"inputs":{"ints":[[1,2]],"texts":["a","b","c"],"bytes":{"b64":"c2xpcA=="}}}',
      { ints: '1,2', texts: '"a","b","c"', bytes: '"slip"' },
    ],
    [
      'numbers of other widths in one list',
      one('FP32', [7]),
      '{"instances":[1,2.0,3,4,5.5,0.0078125,0.0]}',
      { x: '1,2,3,4,5.5,0.0078125,0' },
    ],
    [
      'columns by the default signature',
      one('FP32', [2]),
      '{"signature_name":"serving_default","inputs":[3,4]}',
      { x: '3,4' },
    ],
    [
      'the default signature by its name',
      one('FP32', [1]),
      '{"signature_name":"serving_default","instances":[1]}',
      { x: '1' },
    ],
    // TensorFlow Serving refuses what it would have to round, and a named row among bare ones. Here numbers are rounded as
    // every JSON reader rounds them, and one input may be named or not in each row.
    ['a whole number that the datatype has to round', one('FP32', [1]), '{"instances":[16777217]}', { x: '16777216' }],
    ['the same for doubles', one('FP64', [1]), '{"instances":[9007199254740993]}', { x: '9007199254740992' }],
    ['a named row among bare ones', one('BYTES', [2, 1]), '{"instances":[["a"],{"x":["b"]}]}', { x: '"a","b"' }],
  ])('%s', (_name, inputs, body, expected) => {
    const found = read(inputs, body).inputs.map(printed)
    expect(found.map(({ name, elements }) => [name, elements.join()])).toEqual(Object.entries(expected))
    expect(found.map(({ shape }) => shape)).toEqual(Object.values(inputs).map(([, shape]) => shape))
  })

  test.each<[string, Inputs, string]>([
    ['an empty document', one('INT32', [1, 2]), ''],
    ['a signature name that is a number', one('INT32', [1, 2]), '{"signature_name":5,"instances":[[1,2]]}'],
    ['another signature than the only one', one('INT32', [1, 2]), '{"signature_name":"images","instances":[[1,2]]}'],
    ['what is no JSON', one('INT32', [1]), 'instances = [1, 2]'],
    ['more than one document', one('INT32', [1]), '{"instances":[1]}X'],
    ['both forms at once', one('INT32', [1, 2]), '{"instances":[[1,2]],"inputs":[[1,2]]}'],
    ['rows of different lengths', one('INT32', [1, 2]), '{"instances":[[1,2],[3,4],[5,6,7]]}'],
    [
      'rows of different lengths by name',
      { a: ['INT32', [1, 2]], b: ['INT32', [1]] },
      '{"instances":[{"a":[1,2,3],"b":1},{"a":[1,2],"b":1}]}',
    ],
    ['rows of different depths', one('INT32', [1, 2]), '{"instances":[[1,2],[3,4],[[5,6]]]}'],
    ['a number beside a list', one('INT32', [1]), '{"instances":[1,[1]]}'],
    ['texts for numbers', one('FP32', [1]), '{"instances":["a"]}'],
    ['texts among numbers', one('INT32', [1, 2]), '{"instances":[[1,2],["a","b"]]}'],
    ['a number beyond the datatype', one('FP32', [1]), '{"instances":[1.7976931348623157e308]}'],
    ['a list among objects', { a: ['INT32', [1]], b: ['INT32', [1]] }, '{"instances":[{"a":1,"b":2},[1,20]]}'],
    [
      'an object that lacks an input',
      { a: ['INT32', [1]], b: ['INT32', [1]] },
      '{"instances":[{"a":1,"b":2},{"a":1}]}',
    ],
    [
      'named rows of different shapes',
      { a: ['INT32', [1, 2]], b: ['INT32', [1]] },
      '{"instances":[{"a":[1,2],"b":1},{"a":[[1,2]],"b":1}]}',
    ],
  ])('refuses %s', (_name, inputs, body) => {
    expect(() => read(inputs, body)).toThrow(expect.objectContaining({ status: 400 }))
  })
})

test('a body that lies in a larger buffer is read to its own end', () => {
  const around = Buffer.from('X{"instances":[[1,2],[3,4],[5,6]]}X')
  const body = new Uint8Array(around.buffer, around.byteOffset + 1, around.byteLength - 2)
  const model = {
    name: 'm',
    version: '1',
    signature: { inputs: [{ name: 'x', datatype: 'INT32', shape: [-1, -1] }], outputs: [] },
  } as const
  expect(decode(wire, body, model).inputs.map(printed)).toEqual([
    { name: 'x', shape: [3, 2], elements: ['1', '2', '3', '4', '5', '6'] },
  ])
})

describe('what TensorFlow Serving writes as JSON', () => {
  const ints = tensor('ints', 'INT32', [2, 1, 2], Int32Array.of(1, 2, 3, 4))
  const texts = (name: string): Tensor =>
    tensor(
      name,
      'BYTES',
      [2, 1],
      ['slip', 'way'].map((text) => Uint8Array.from(Buffer.from(text))),
    )
  const scalars = tensor('scalars', 'FP64', [2], Float64Array.of(8, 9.5))
  const say = (form: 'instances' | 'inputs', outputs: readonly Tensor[]): string =>
    Buffer.from(read(one('FP32', [2]), `{"${form}":[1,2]}`).answer(outputs).body).toString()

  test.each<[string, readonly Tensor[], string, string]>([
    [
      'an output of one number a row',
      [tensor('y', 'INT32', [5], Int32Array.of(1, 2, 3, 4, 5))],
      '[1,2,3,4,5]',
      '[1,2,3,4,5]',
    ],
    [
      'large and small floats by the digits that they need',
      [tensor('f', 'FP32', [2, 3], Float32Array.of(9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5))],
      '[[9000000,999999,0.5],[0.0003,0.00003,555557.5]]',
      '[[9000000,999999,0.5],[0.0003,0.00003,555557.5]]',
    ],
    ['no rows', [tensor('y', 'INT32', [0, 2], new Int32Array(0))], '[]', '[]'],
    [
      'no rows of several outputs',
      [tensor('t', 'BYTES', [0, 1, 2], []), tensor('f', 'FP32', [0, 3, 4], new Float32Array(0))],
      '[]',
      '{"t":[],"f":[]}',
    ],
    ['one output by its bare values', [ints], '[[[1,2]],[[3,4]]]', '[[[1,2]],[[3,4]]]'],
    [
      'bytes in base64, told by the name',
      [texts('x_bytes')],
      '[[{"b64":"c2xpcA=="}],[{"b64":"d2F5"}]]',
      '[[{"b64":"c2xpcA=="}],[{"b64":"d2F5"}]]',
    ],
    [
      'what is no number as bare tokens',
      [tensor('f', 'FP32', [2, 2], Float32Array.of(NaN, Infinity, 3, -Infinity))],
      '[[NaN,Infinity],[3,-Infinity]]',
      '[[NaN,Infinity],[3,-Infinity]]',
    ],
    [
      'several outputs by their names, in each row or each as a column',
      [ints, texts('texts'), scalars],
      '[{"ints":[[1,2]],"texts":["slip"],"scalars":8},{"ints":[[3,4]],"texts":["way"],"scalars":9.5}]',
      '{"ints":[[[1,2]],[[3,4]]],"texts":[["slip"],["way"]],"scalars":[8,9.5]}',
    ],
  ])('%s', (_name, outputs, rows, columns) => {
    const parsed = (text: string): unknown => JSON.parse(text.replaceAll(/-?(?:NaN|Infinity)/g, '"$&"'))
    // Of small numbers there are several ways to write them.
    expect(parsed(say('instances', outputs))).toEqual(parsed(`{"predictions":${rows}}`))
    expect(parsed(say('inputs', outputs))).toEqual(parsed(`{"outputs":${columns}}`))
  })

  test('outputs that disagree about the rows are refused in rows', () => {
    const other = tensor('other', 'INT32', [1, 3], Int32Array.of(1, 2, 3))
    const none = tensor('none', 'INT32', [0, 2], new Int32Array(0))
    const scalar = tensor('scalar', 'INT32', [], Int32Array.of(1))
    for (const outputs of [[ints, other], [none, other], [other, none], [scalar], [ints, scalar]]) {
      expect(() => say('instances', outputs)).toThrow('inconsistent batch size')
    }
  })
})
