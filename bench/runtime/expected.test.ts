import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { ModelInferRequest, ModelInferResponse } from '../../runtime/grpc/api/inference.ts'
import { decode, encode } from '../../runtime/grpc/protobuf/message.ts'
import { checkAnswer } from './expected.ts'
import { connectHttp } from './lanes/http.ts'
import { bodiesOf, type Feed, type Form } from './requests.ts'

const expected = { a: Float32Array.of(1, -2.5, 1e-7), b: Float32Array.of(4) }
const bytesOf = (values: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => new Uint8Array(values.buffer)

/** An answer of those two outputs in a form. */
function answer(form: Form, a: readonly number[], b: readonly number[] = [4]): Uint8Array {
  const outputs = Object.entries({ a, b }).map(([name, data]) => ({
    name,
    datatype: 'FP32',
    shape: [data.length],
    data,
  }))
  const tensors = outputs.map(({ data }) => bytesOf(Float32Array.from(data)))
  if (form === 'grpc') {
    const described = outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) }))
    return encode(ModelInferResponse, { model_name: 'm', outputs: described, raw_output_contents: tensors })
  }
  if (form === 'json') return Buffer.from(JSON.stringify({ outputs }))
  return Buffer.concat([
    Buffer.from(JSON.stringify({ outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })) })),
    ...tensors,
  ])
}

describe.each(['json', 'binary', 'grpc'] as const)('an answer as %s', (form) => {
  test('passes when its numbers are those of a direct run, or nearly', () => {
    expect(() => checkAnswer(answer(form, [1, -2.5, 1e-7]), form, expected)).not.toThrow()
    expect(() => checkAnswer(answer(form, [1.0001, -2.5, 0]), form, expected)).not.toThrow()
  })

  test('is told with the place and both numbers when one differs', () => {
    const check = (): void => checkAnswer(answer(form, [1, 2.5, 1e-7]), form, expected)
    expect(check).toThrow('it answers 2.5 at place 1 of a, and a direct run -2.5')
  })

  test('fails in its last output too, and when a number is none', () => {
    expect(() => checkAnswer(answer(form, [1, -2.5, 0], [4.1]), form, expected)).toThrow('of b')
    if (form !== 'json') expect(() => checkAnswer(answer(form, [1, NaN, 0]), form, expected)).toThrow('of a')
  })
})

test('an answer with too few numbers, or without an output, is told', () => {
  expect(() => checkAnswer(answer('json', [1, -2.5]), 'json', expected)).toThrow('2 numbers for a')
  expect(() => checkAnswer(Buffer.from('{"outputs":[]}'), 'json', expected)).toThrow('no output a')
})

describe('requests', () => {
  const wide = (width: number): readonly Feed[] => [
    { name: 'x', datatype: 'FP32', shape: [1, width], data: new Float32Array(width).fill(0.5) },
    { name: 'rate', datatype: 'INT64', shape: [], data: BigInt64Array.of(16_000n) },
  ]
  const model = { requests: [wide(2), wide(3)], outputs: [{ name: 'y' }] }

  test('carry the same numbers in every form', () => {
    const [json, binary, grpc] = (['json', 'binary', 'grpc'] as const).map((form) => bodiesOf(model, form)[1]!)
    expect(JSON.parse(Buffer.from(json!.bytes).toString())).toEqual({
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [1, 3], data: [0.5, 0.5, 0.5] },
        { name: 'rate', datatype: 'INT64', shape: [], data: [16_000] },
      ],
    })
    const headLength = Number(binary!.headers['inference-header-content-length'])
    const raw = decode(ModelInferRequest, Uint8Array.from(grpc!.bytes)).raw_input_contents
    expect(Buffer.concat(raw).equals(Buffer.from(binary!.bytes).subarray(headLength))).toBe(true)
    expect(raw.map(({ length }) => length)).toEqual([12, 8])
  })

  describe('of several shapes', () => {
    const lengths: number[] = []
    let last = false
    const server = createServer((request, response) => {
      lengths.push(Number(request.headers['content-length']))
      if (last) response.shouldKeepAlive = false
      request.resume().on('end', () => response.end('{}'))
    })
    beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
    afterAll(() => void server.close())

    test('are sent in turn, and connections begin with different ones', async () => {
      const requests = bodiesOf(model, 'json')
      const [small = 0, large = 0] = requests.map(({ bytes }) => bytes.length)
      const port = (server.address() as AddressInfo).port
      const [first, second] = connectHttp({ port, path: '/', requests, connections: 2 })
      for (let round = 0; round < 3; round += 1) await first?.ask() // oxlint-disable-line no-await-in-loop
      await second?.ask()
      for (const lane of [first, second]) lane?.close()
      expect(small).toBeLessThan(large)
      expect(lengths).toEqual([small, large, small, large])
    })

    test('go on over another connection when the server says that this one ends', async () => {
      last = true
      const { port } = server.address() as AddressInfo
      const [lane] = connectHttp({ port, path: '/', requests: bodiesOf(model, 'json'), connections: 1 })
      // oxlint-disable-next-line no-await-in-loop -- one after another, without a pause
      for (let round = 0; round < 20; round += 1) expect(Buffer.from(await lane!.ask()).toString()).toBe('{}')
      lane?.close()
    })
  })
})
