import { expect, test } from '@jest/globals'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { fault } from '../errors.ts'
import type { TensorSpec } from '../tensor.ts'
import { encodeTermination, failed, maxMessageBytes, succeeded, writeTermination } from './termination.ts'

const many = (count: number, name: (index: number) => string): TensorSpec[] =>
  Array.from({ length: count }, (_, index) => ({ name: name(index), datatype: 'FP32', shape: [-1, 3] }))
const digest = `sha256:${'a'.repeat(64)}`

test('success and failure are small JSON', () => {
  const inputs = many(1, () => 'x')
  expect(JSON.parse(encodeTermination(succeeded(digest, 7, { inputs, outputs: inputs })))).toEqual({
    ok: true,
    digest,
    sizeBytes: 7,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
    outputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
  })
  expect(JSON.parse(encodeTermination(failed(fault('ModelEmpty', {}))))).toEqual({
    ok: false,
    code: 'ModelInvalid',
    message: 'the model file is empty; upload the file again',
    retryable: false,
  })
})

test('a long one is compressed and holds everything', () => {
  const inputs = many(200, (index) => `encoder_layer_${index}_attention`)
  const text = encodeTermination(succeeded(digest, 7, { inputs, outputs: [] }))
  expect(text.length).toBeLessThanOrEqual(maxMessageBytes)
  expect(text.startsWith('gz:')).toBe(true)
  expect(JSON.parse(gunzipSync(Buffer.from(text.slice(3), 'base64')).toString())).toMatchObject({ ok: true, inputs })
})

test('one that fits in no form says so instead of being cut', () => {
  let state = 1
  const noise = (): string => String((state = (state * 48_271) % 2_147_483_647))
  const inputs = many(2000, () => noise() + noise() + noise())
  const message: unknown = JSON.parse(encodeTermination(succeeded(digest, 7, { inputs, outputs: [] })))
  expect(message).toMatchObject({ ok: false, message: expect.stringContaining('2000 inputs') })
})

test('a crash is reported with its words', () => {
  expect(failed(new TypeError('x is not a function'))).toMatchObject({
    ok: false,
    code: 'Internal',
    message: expect.stringContaining('x is not a function'),
  })
})

test('a message that cannot be written is said on the log and stops nothing', () => {
  const warnings: string[] = []
  writeTermination('/proc/no/such/place', failed('x'), (words) => warnings.push(words))
  expect(warnings).toEqual([expect.stringContaining('could not be written to /proc/no/such/place')])
  const path = join(mkdtempSync(join(tmpdir(), 'slipway-termination-')), 'log')
  writeTermination(path, succeeded(digest, 1), (words) => warnings.push(words))
  expect(readFileSync(path, 'utf8')).toBe(`{"ok":true,"digest":"${digest}","sizeBytes":1}`)
})
