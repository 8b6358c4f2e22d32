import { expect, test } from '@jest/globals'
import { fault, printBytes, reportOf, wordsOf } from './errors.ts'

test('a fault is one sentence: what was found; what to do', () => {
  const { code, status, message, retryable } = fault('HttpNotFound', { status: 404, url: 'http://store/a.onnx' })
  expect({ code, status, retryable }).toEqual({ code: 'ModelNotFound', status: 500, retryable: false })
  expect(message).toBe(
    'the server answered 404 for http://store/a.onnx; check the spelling of spec.model.uri and that the file was uploaded',
  )
})

test('braces of an example and values that look like placeholders stay as they are', () => {
  expect(fault('BodyMissing', {}).message).toContain('{"inputs":[{"name":…')
  expect(fault('InputMissing', { name: '{shape}', datatype: 'FP32', shape: '[1]' }).message).toContain(
    'the input "{shape}" is missing; add {"name":"{shape}","datatype":"FP32","shape":[1]',
  )
})

test('a value of any length makes a message of bounded length', () => {
  const { message } = fault('InputTwice', { field: 'inputs[0].name', found: 'x'.repeat(10_000_000) })
  expect(message.length).toBeLessThan(1200)
  expect(message).toContain('x…" a second time; send every input once')
})

test('a bug is reported as one, in its own words on one line', () => {
  expect(reportOf(new Error('first\n  second'))).toMatchObject({
    code: 'Internal',
    status: 500,
    message: expect.stringContaining('first second'),
  })
  expect(wordsOf('plain')).toBe('plain')
})

test.each([
  [0, '0 bytes'],
  [10_239, '10239 bytes'],
  [10_240, '10 KiB'],
  [2_327_524, '2.2 MiB'],
  [2 ** 31, '2 GiB'],
])('%i bytes print as %s', (bytes, text) => {
  expect(printBytes(bytes)).toBe(text)
})
