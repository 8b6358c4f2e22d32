import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  addModel,
  alwaysFailingModel,
  elementType,
  externalDataModel,
  heavyModel,
  identityModel,
  mlpModel,
  onnxModel,
  sequenceModel,
  type ElementType,
} from '../../test/fixtures/onnx.ts'
import { runtimeProgram } from '../../test/fixtures/program.ts'
import { Fault } from '../errors.ts'
import { inspectModel } from './inspect.ts'

jest.setTimeout(60_000)
const root = mkdtempSync(join(tmpdir(), 'slipway-inspect-'))
const entry = pathToFileURL(runtimeProgram())
beforeAll(() => writeFileSync(join(root, 'outside.bin'), Buffer.alloc(16)))
afterAll(() => rmSync(root, { recursive: true }))

const inspect = (bytes: Uint8Array, memoryLimit?: number) => {
  const file = join(mkdtempSync(join(root, 'm-')), 'model.onnx')
  writeFileSync(file, bytes)
  return inspectModel({ file, sizeBytes: bytes.length, memoryLimit, entry, intraOpThreads: 1 })
}

test('a signature is told in the datatypes of the protocol, with -1 for any size', async () => {
  const { signature, selfTest } = await inspect(addModel())
  expect(signature).toEqual({
    inputs: [
      { name: 'a', datatype: 'FP32', shape: [-1, 4] },
      { name: 'b', datatype: 'FP32', shape: [-1, 4] },
    ],
    outputs: [{ name: 'sum', datatype: 'FP32', shape: [-1, 4] }],
  })
  expect(selfTest).toBe('ran on zeros of a[1,4], b[1,4]')
})

const datatypeOf: Readonly<Partial<Record<ElementType, string>>> = {
  FLOAT: 'FP32',
  DOUBLE: 'FP64',
  FLOAT16: 'FP16',
  STRING: 'BYTES',
}
const served = (Object.keys(elementType) as ElementType[]).filter((type) => type !== 'BFLOAT16')
test.each(served)('a model of %s loads and runs', async (type) => {
  const { signature, selfTest } = await inspect(identityModel(type, [2, 'n']))
  expect(signature.inputs).toEqual([{ name: 'x', datatype: datatypeOf[type] ?? type, shape: [2, -1] }])
  expect(selfTest).toBe('ran on zeros of x[2,1]')
})

test('a model that is particular about its sizes is tried with others, and loaded all the same', async () => {
  const reshaped = (count: number) =>
    onnxModel({
      nodes: [{ op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] }],
      inputs: [{ name: 'x', type: 'FLOAT', shape: ['n'] }],
      outputs: [{ name: 'y', type: 'FLOAT', shape: [2, count / 2] }],
      initializers: [
        {
          name: 'shape',
          type: 'INT64',
          shape: [2],
          data: new Uint8Array(BigInt64Array.of(2n, BigInt(count / 2)).buffer),
        },
      ],
    })
  expect((await inspect(reshaped(64))).selfTest).toBe('ran on zeros of x[64]')
  expect((await inspect(reshaped(70))).selfTest).toMatch(
    /^no invented input suits the model, so it was loaded but not run/,
  )
})

const cut = (() => {
  const whole = mlpModel()
  return whole.subarray(0, Math.floor(whole.length / 2))
})()
test.each<[string, Uint8Array, string, string]>([
  [
    'an HTML page',
    Buffer.from('\n<!DOCTYPE html><html>'),
    'ModelInvalid',
    'the URL answered a web page (starts with <!DOCTYPE html>)',
  ],
  ['an XML error', Buffer.from('<?xml version="1.0"?><Error/>'), 'ModelInvalid', 'starts with <?xml version="1.0"?>'],
  ['an empty file', Buffer.alloc(0), 'ModelInvalid', 'the model file is empty'],
  [
    'a Git LFS pointer',
    Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
    'ModelInvalid',
    'the file is a Git LFS pointer',
  ],
  ['a zip archive', Buffer.from('PK\u0003\u0004abc'), 'ModelInvalid', 'export the model to ONNX'],
  ['a compressed file', Buffer.from([0x1f, 0x8b, 8, 0]), 'ModelInvalid', 'compressed with gzip'],
  ['JSON', Buffer.from('{"error":"no"}'), 'ModelInvalid', 'the file is JSON'],
  [
    'some text',
    Buffer.from('hello world, this is no model'),
    'ModelInvalid',
    'ONNX Runtime cannot read the file of 29 bytes',
  ],
  ['a truncated model', cut, 'ModelInvalid', 'compare its size and sha256 with the original'],
  ['a bfloat16 input', identityModel('BFLOAT16'), 'ModelUnsupported', 'the input x has the type bfloat16'],
  ['a sequence output', sequenceModel(), 'ModelUnsupported', 'export with zipmap=False'],
  ['weights in another file', externalDataModel('weights.bin'), 'ModelUnsupported', 'save_as_external_data=False'],
  [
    'weights outside its folder',
    externalDataModel('../outside.bin'),
    'ModelUnsupported',
    'keeps weights in another file',
  ],
  [
    'weights at an absolute path',
    externalDataModel('/etc/passwd'),
    'ModelUnsupported',
    'keeps weights in another file',
  ],
  [
    'an unknown operator',
    onnxModel({
      nodes: [{ op: 'Levitate', inputs: ['x'], outputs: ['y'] }],
      inputs: [{ name: 'x', type: 'FLOAT', shape: [1] }],
      outputs: [{ name: 'y', type: 'FLOAT', shape: [1] }],
    }),
    'ModelUnsupported',
    'Levitate',
  ],
  ['a declared shape it fails on', alwaysFailingModel(), 'ModelInvalid', 'fails on an input of its own declared shape'],
])('%s is refused with what to do', async (_name, bytes, code, words) => {
  const error: unknown = await inspect(bytes).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(Fault)
  expect(error).toMatchObject({ code, retryable: false, message: expect.stringContaining(words) })
  expect((error as Fault).message).not.toMatch(/onnxruntime_src|\n|\{\w+\}/)
})

test('a model larger than the memory is refused with both numbers before it is loaded', async () => {
  const error: unknown = await inspect(heavyModel(2_000_000), 64 * 1024 * 1024).catch((reason: unknown) => reason)
  expect(error).toMatchObject({
    code: 'ModelTooLarge',
    message:
      "the model file has 1.9 MiB, and the container's memory limit is 64 MiB; set spec.resources.limits.memory to 128Mi or more, or use a smaller model",
  })
})
