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
      'the default signature by its name',
      one('FP32', [1]),
      '{"signature_name":"serving_default","instances":[1]}',
      { x: '1' },
    ],
  ])('%s', (_name, inputs, body, expected) => {
    const found = read(inputs, body).inputs.map(printed)
    expect(found.map(({ name, elements }) => [name, elements.join()])).toEqual(Object.entries(expected))
    expect(found.map(({ shape }) => shape)).toEqual(Object.values(inputs).map(([, shape]) => shape))
  })

  test.each<[string, Inputs, string]>([
    ['an empty document', one('INT32', [1, 2]), ''],
    ['a signature name that is a number', one('INT32', [1, 2]), '{"signature_name":5,"instances":[[1,2]]}'],
    ['both forms at once', one('INT32', [1, 2]), '{"instances":[[1,2]],"inputs":[[1,2]]}'],
    ['rows of different lengths', one('INT32', [1, 2]), '{"instances":[[1,2],[3,4],[5,6,7]]}'],
    ['rows of different depths', one('INT32', [1, 2]), '{"instances":[[1,2],[3,4],[[5,6]]]}'],
    ['a number beside a list', one('INT32', [1]), '{"instances":[1,[1]]}'],
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
    expect(say('instances', outputs)).toBe(`{"predictions":${rows}}`)
    expect(say('inputs', outputs)).toBe(`{"outputs":${columns}}`)
  })

  test('outputs that disagree about the rows are refused in rows', () => {
    const other = tensor('other', 'INT32', [1, 3], Int32Array.of(1, 2, 3))
    expect(() => say('instances', [ints, other])).toThrow('inconsistent batch size')
  })
})
