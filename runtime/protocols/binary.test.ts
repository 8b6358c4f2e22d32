import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { anyTensor } from '../../test/fixtures/tensors.ts'
import { Fault } from '../errors.ts'
import { tensor, type Tensor, type TensorSpec } from '../tensor.ts'
import { byteLengthOf, tensorOfBytes, writeTensor } from './binary.ts'
import type { Encoded, InferenceRequest, ModelIdentity } from './codec.ts'
import { oipRest } from './oip-rest.ts'

const modelOf = (inputs: readonly TensorSpec[], outputs: readonly TensorSpec[] = inputs): ModelIdentity => ({
  name: 'm',
  version: 'v1',
  signature: { inputs, outputs },
})

/** A body whose JSON is followed by bytes, at a place in memory that need not be aligned. */
const bodyOf = (json: string, tail: Uint8Array, pad = 0): { body: Uint8Array<ArrayBuffer>; headerLength: number } => {
  const head = Buffer.from(json)
  const body = new Uint8Array(new ArrayBuffer(pad + head.length + tail.length), pad)
  body.set(head)
  body.set(tail, head.length)
  return { body, headerLength: head.length }
}

const bytesOf = (made: Tensor): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(byteLengthOf(made))
  writeTensor(made, bytes, 0)
  return bytes
}

const decode = (json: string, tail: Uint8Array, model: ModelIdentity, pad = 0): InferenceRequest => {
  const { body, headerLength } = bodyOf(json, tail, pad)
  return oipRest.decode(body, model, { headerLength })
}

/** The JSON and the bytes behind it of an answer. */
const split = ({ body, headers }: Encoded): { json: Record<string, unknown>; tail: Buffer } => {
  const length = Number(headers['inference-header-content-length'] ?? body.byteLength)
  const bytes = Buffer.from(body)
  return {
    json: JSON.parse(bytes.toString('utf8', 0, length)) as Record<string, unknown>,
    tail: bytes.subarray(length),
  }
}

describe('binary tensors', () => {
  test('come back bit for bit wherever in the body they lie, and the answer holds the same bytes', () => {
    fc.assert(
      fc.property(anyTensor, fc.nat({ max: 8 }), (made, pad) => {
        const { datatype, shape } = made
        const bytes = bytesOf(made)
        const parameters = `"parameters":{"binary_data_size":${bytes.length}}`
        const json = `{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","datatype":"${datatype}","shape":[${shape.join()}],${parameters}}]}`
        const request = decode(json, bytes, modelOf([made]), pad)
        expect(request.inputs).toEqual([made])
        const answer = split(request.answer(request.inputs))
        expect(answer.json['outputs']).toEqual([
          { name: 'x', datatype, shape: [...shape], parameters: { binary_data_size: bytes.length } },
        ])
        expect(answer.tail.equals(bytes)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  test('are viewed in place where they lie aligned', () => {
    const bytes = bytesOf(tensor('x', 'FP64', [2], Float64Array.of(1, 2)))
    const read = tensorOfBytes('x', 'x', 'FP64', [2], bytes)
    expect(read.datatype === 'FP64' && read.data.buffer).toBe(bytes.buffer)
  })

  const a: TensorSpec = { name: 'a', datatype: 'FP32', shape: [-1, 2] }
  const t: TensorSpec = { name: 't', datatype: 'BYTES', shape: [-1] }
  const b: TensorSpec = { name: 'b', datatype: 'BOOL', shape: [-1] }
  const floats = new Uint8Array(Float32Array.of(1.5, -2).buffer)
  const jsonText = '{"name":"t","datatype":"BYTES","shape":[1],"data":["hé"]}'
  const binaryFloats = '{"name":"a","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}'

  test('and JSON tensors stand in one request and in one answer', () => {
    const json = `{"id":"1","inputs":[${jsonText},${binaryFloats}],"outputs":[{"name":"t"},{"name":"a","parameters":{"binary_data":true}}]}`
    const request = decode(json, floats, modelOf([a, t]))
    expect(request.inputs).toEqual([
      tensor('a', 'FP32', [1, 2], Float32Array.of(1.5, -2)),
      tensor('t', 'BYTES', [1], [new Uint8Array(Buffer.from('hé'))]),
    ])
    const answer = request.answer(request.inputs.toReversed())
    expect(answer.headers['content-type']).toBe('application/octet-stream')
    const { json: answered, tail } = split(answer)
    expect(answered).toEqual({
      model_name: 'm',
      model_version: 'v1',
      id: '1',
      outputs: [
        { name: 't', datatype: 'BYTES', shape: [1], data: ['hé'] },
        { name: 'a', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } },
      ],
    })
    expect(tail.equals(floats)).toBe(true)
  })

  test.each([
    ['', '', false],
    ['"parameters":{"binary_data_output":true},', '', true],
    ['"parameters":{"binary_data_output":true},', ',"parameters":{"binary_data":false}', false],
    ['"parameters":{"binary_data_output":false},', ',"parameters":{"binary_data":true}', true],
    ['', ',"parameters":{"binary_data":true}', true],
  ])('with %s and %s the output is binary: %s', (request, output, binary) => {
    const json = `{${request}"inputs":[${binaryFloats}],"outputs":[{"name":"a"${output}}]}`
    const { headers } = decode(json, floats, modelOf([a])).answer([tensor('a', 'FP32', [1, 2], Float32Array.of(1, 2))])
    expect(headers['content-type']).toBe(binary ? 'application/octet-stream' : 'application/json')
    expect(headers['inference-header-content-length'] !== undefined).toBe(binary)
  })

  test('need no size where the shape says it', () => {
    const json = '{"inputs":[{"name":"a","datatype":"FP32","shape":[1,2]}]}'
    expect(decode(json, floats, modelOf([a])).inputs).toEqual([tensor('a', 'FP32', [1, 2], Float32Array.of(1.5, -2))])
  })

  const texts = (...lengths: number[]): Uint8Array => {
    const parts = lengths.flatMap((length) => {
      const head = Buffer.alloc(4)
      head.writeUInt32LE(length)
      return [head, Buffer.alloc(Math.min(length, 3), 'x')]
    })
    return Buffer.concat(parts)
  }
  const sized = (name: string, datatype: string, shape: string, size: number): string =>
    `{"inputs":[{"name":"${name}","datatype":"${datatype}","shape":${shape},"parameters":{"binary_data_size":${size}}}]}`
  test.each<[string, string, Uint8Array, ModelIdentity, string, string]>([
    [
      'bytes left over',
      sized('a', 'FP32', '[1,2]', 8),
      new Uint8Array(9),
      modelOf([a]),
      'BinaryLeft',
      "unexpected additional input data for model 'm': 1 bytes",
    ],
    [
      'bytes missing',
      sized('a', 'FP32', '[1,2]', 8),
      new Uint8Array(7),
      modelOf([a]),
      'BinaryMissing',
      'inputs[0] needs 8 bytes of binary data, and 7 are left',
    ],
    [
      'another size than its shape',
      sized('a', 'FP32', '[1,2]', 4),
      new Uint8Array(4),
      modelOf([a]),
      'BinarySize',
      'inputs[0] has 4 bytes of binary data; the shape [1,2] of FP32 needs 8',
    ],
    [
      'an overflowing shape',
      sized('a', 'FP32', '[2147483647,2]', 8),
      new Uint8Array(8),
      modelOf([a]),
      'BinarySize',
      'needs 17179869176',
    ],
    [
      'a shape beyond all numbers',
      sized('x', 'FP32', '[2147483647,2147483647,2147483647]', 0),
      new Uint8Array(0),
      modelOf([{ name: 'x', datatype: 'FP32', shape: [-1, -1, -1] }]),
      'ShapeOverflow',
      'total element count to exceed maximum size',
    ],
    [
      'a truth value of 2',
      sized('b', 'BOOL', '[1]', 1),
      Uint8Array.of(2),
      modelOf([b]),
      'DataElement',
      'inputs[0] holds the byte 2, which is no BOOL',
    ],
    [
      'a string without its length',
      sized('t', 'BYTES', '[1]', 3),
      new Uint8Array(3),
      modelOf([t]),
      'BinaryStrings',
      'the strings of inputs[0] are 3 bytes, too few',
    ],
    [
      'a string cut short',
      sized('t', 'BYTES', '[1]', 7),
      texts(9),
      modelOf([t]),
      'BinaryStrings',
      'end inside element 0, whose length is 9',
    ],
    [
      'a string too many',
      sized('t', 'BYTES', '[1]', 14),
      texts(3, 3),
      modelOf([t]),
      'BinaryStrings',
      'go on for 7 bytes after the last element',
    ],
    [
      'a string too few',
      sized('t', 'BYTES', '[2]', 8),
      Buffer.concat([texts(3), Buffer.alloc(1)]),
      modelOf([t]),
      'BinaryStrings',
      'end before the length of element 1',
    ],
    [
      'more strings than any body',
      sized('t', 'BYTES', '[2147483647]', 4),
      new Uint8Array(4),
      modelOf([t]),
      'BinaryStrings',
      'too few for that many lengths',
    ],
    [
      'strings without a size',
      '{"inputs":[{"name":"t","datatype":"BYTES","shape":[1]}]}',
      texts(3),
      modelOf([t]),
      'FieldMissing',
      'inputs[0].data is missing',
    ],
  ])('with %s are refused', (_name, json, tail, model, code, words) => {
    const refused = faultOf(() => decode(json, tail, model))
    expect(refused).toMatchObject({ code, status: 400, message: expect.stringContaining(words) })
  })

  test('a header that is longer than the body is refused', () => {
    expect(faultOf(() => oipRest.decode(new Uint8Array(2), modelOf([a]), { headerLength: 3 })).message).toBe(
      'the header Inference-Header-Content-Length is 3; write how many bytes of the body are JSON, at most the 2 bytes of the body',
    )
  })
})

describe('a raw body', () => {
  const raw = (spec: Omit<TensorSpec, 'name'>, body: Uint8Array<ArrayBuffer>): InferenceRequest =>
    oipRest.decode(body, modelOf([{ name: 'x', ...spec }]), { headerLength: 0 })

  test.each([
    [[-1, 2], 8, [1, 2]],
    [[-1, 2], 24, [3, 2]],
    [[-1, -1], 12, [1, 3]],
    [[2, -1], 16, [2, 2]],
    [[2], 8, [2]],
    [[], 4, []],
  ])('for the shape %j with %i bytes has the shape %j, and is answered in binary', (shape, size, found) => {
    const request = raw({ datatype: 'FP32', shape }, new Uint8Array(size))
    expect(request.inputs[0]?.shape).toEqual(found)
    expect(request.answer(request.inputs).headers['inference-header-content-length']).toMatch(/^\d+$/)
  })

  test('for BYTES is one element', () => {
    expect(raw({ datatype: 'BYTES', shape: [-1, 1] }, new Uint8Array(Buffer.from('abc'))).inputs).toEqual([
      tensor('x', 'BYTES', [1, 1], [new Uint8Array(Buffer.from('abc'))]),
    ])
  })

  test.each<[readonly number[], 'FP32' | 'BYTES', number, string]>([
    [[3, -1, -1], 'FP32', 12, 'RawShape'],
    [[-1, -1, -1], 'FP32', 12, 'RawShape'],
    [[2], 'BYTES', 12, 'RawShape'],
    [[-1, 2], 'FP32', 9, 'BinarySize'],
    [[2], 'FP32', 4, 'BinarySize'],
  ])('for the shape %j of %s with %i bytes is refused', (shape, datatype, size, code) => {
    expect(faultOf(() => raw({ datatype, shape }, new Uint8Array(size)))).toMatchObject({ code, status: 400 })
  })

  test('needs a model with one input', () => {
    const model = modelOf([
      { name: 'x', datatype: 'FP32', shape: [1] },
      { name: 'y', datatype: 'FP32', shape: [1] },
    ])
    expect(faultOf(() => oipRest.decode(new Uint8Array(4), model, { headerLength: 0 })).message).toContain(
      'the body is raw bytes, and the model has 2 inputs',
    )
  })
})

describe('classification', () => {
  const classesOf = (made: Tensor, classes: number, binary = false): unknown => {
    const json = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[0]}],"outputs":[{"name":"y","parameters":{"classification":${classes},"binary_data":${binary}}}]}`
    const model = modelOf([{ name: 'x', datatype: 'FP32', shape: [1] }], [made])
    const { body } = oipRest
      .decode(new Uint8Array(Buffer.from(json)), model, { headerLength: undefined })
      .answer([made])
    return binary ? body : (JSON.parse(Buffer.from(body).toString()) as { outputs: unknown[] }).outputs[0]
  }

  test('answers the highest values of each item with their indexes', () => {
    const made = tensor('y', 'FP32', [2, 3], Float32Array.of(0.1, 0.7, 0.2, 5, 4, 5))
    expect(classesOf(made, 2)).toEqual({
      name: 'y',
      datatype: 'BYTES',
      shape: [2, 2],
      data: ['0.700000:1', '0.200000:2', '5.000000:0', '5.000000:2'],
    })
  })

  test('of more classes than there are answers all; without a batch the shape is [n]; NaN comes last', () => {
    expect(classesOf(tensor('y', 'FP16', [2], Uint16Array.of(0x7e00, 0x3c00)), 9)).toMatchObject({
      shape: [2],
      data: ['1.000000:1', 'NaN:0'],
    })
    expect(classesOf(tensor('y', 'INT64', [1, 2], BigInt64Array.of(-(2n ** 62n), 3n)), 1)).toMatchObject({
      shape: [1, 1],
      data: ['3:1'],
    })
    expect(classesOf(tensor('y', 'FP32', [0, 2], new Float32Array(0)), 1)).toMatchObject({ shape: [0, 1], data: [] })
  })

  test('may be answered in binary', () => {
    const body = Buffer.from(classesOf(tensor('y', 'UINT8', [1, 2], Uint8Array.of(1, 9)), 1, true) as Uint8Array)
    expect([...body.subarray(-7)]).toEqual([3, 0, 0, 0, ...Buffer.from('9:1')])
  })

  test('of texts is refused', () => {
    expect(faultOf(() => classesOf(tensor('y', 'BYTES', [1], [new Uint8Array(0)]), 1))).toMatchObject({
      status: 400,
      message: expect.stringContaining('class result not available for output "y" due to unsupported type BYTES'),
    })
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
