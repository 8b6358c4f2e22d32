import { expect, test } from '@jest/globals'
import { parseModelUri, printUrl } from './uri.ts'

test.each(['http://store/models/a.onnx', 'https://host:8443/x?sig=1'])('%s is fetched over HTTP', (uri) => {
  expect(parseModelUri(uri)).toEqual({ kind: 'http', url: new URL(uri) })
})

test.each([
  ['pvc://claim/model.onnx', 'model.onnx'],
  ['pvc://claim/a/b%20c.onnx', 'a/b c.onnx'],
  ['PVC://claim//a/./b.onnx', 'a/b.onnx'],
])('%s is the file %s of the claim', (uri, path) => {
  expect(parseModelUri(uri)).toEqual({ kind: 'pvc', claim: 'claim', path })
})

test.each([
  ['s3://bucket/key', 'has the scheme s3; use http://, https:// or pvc://claim/path'],
  ['file:///etc/passwd', 'has the scheme file'],
  ['model.onnx', 'it has no scheme'],
  ['http://', 'it is no URL'],
  ['pvc://claim', 'does not name a claim and a path'],
  ['pvc:///a.onnx', 'does not name a claim and a path'],
  ['pvc://claim/a.onnx?x=1', 'does not name a claim and a path'],
  ['pvc://claim/%zz', 'a broken percent escape'],
  ['pvc://claim/../other/a.onnx', 'leads out of the claim claim'],
  ['pvc://claim/a/%2e%2e/%2e%2e/etc/passwd', 'leads out of the claim claim'],
  ['pvc://claim/a%2f..%2f..%2fb', 'leads out of the claim claim'],
  ['pvc://claim/a%00b', 'leads out of the claim claim'],
])('%s is refused', (uri, words) => {
  expect(() => parseModelUri(uri)).toThrow(words)
})

test('a password is refused and not repeated', () => {
  expect(() => parseModelUri('https://user:hunter2@host/a.onnx')).toThrow(/carries a user name or password/)
  expect(() => parseModelUri('https://user:hunter2@host/a.onnx')).not.toThrow(/hunter2/)
})

test('messages show a URL without its query', () => {
  expect(printUrl(new URL('https://host/a.onnx?X-Amz-Signature=secret'))).toBe('https://host/a.onnx?…')
})
