import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { route } from './routes.ts'

describe('a path', () => {
  test.each<[string, string, object]>([
    ['GET', '/v2/health/live', { name: 'live' }],
    ['HEAD', '/v2/health/ready?x', { name: 'ready' }],
    ['GET', '/ping', { name: 'ping' }],
    ['GET', '/v2/models/m/ready', { name: 'modelReady', ref: { model: 'm' } }],
    ['GET', '/v2/models/m/versions/2/ready', { name: 'modelReady', ref: { model: 'm', version: '2' } }],
    ['POST', '/v2/models/m/infer', { name: 'infer', protocol: 'oip', ref: { model: 'm' } }],
    ['POST', '/v2/models/a%20b/versions/v%2F1/infer?q', { name: 'infer', ref: { model: 'a b', version: 'v/1' } }],
    ['POST', '/v1/models/m:predict', { name: 'infer', protocol: 'v1', ref: { model: 'm' } }],
    ['POST', '/v1/models/m%3Apredict', { name: 'infer', protocol: 'v1', ref: { model: 'm' } }],
    ['POST', '/v1/models/m/versions/3:Predict', { name: 'infer', protocol: 'v1', ref: { model: 'm', version: '3' } }],
    [
      'POST',
      '/v1/models/m/labels/stable:predict',
      { name: 'infer', protocol: 'v1', ref: { model: 'm', label: 'stable' } },
    ],
    ['POST', '/predictions/m', { name: 'infer', protocol: 'torchserve', ref: { model: 'm' } }],
    ['PUT', '/predictions/m/1.0', { name: 'infer', protocol: 'torchserve', ref: { model: 'm', version: '1.0' } }],
    ['GET', '/v2/models/m', { name: 'other' }],
    ['GET', '/v1/models/m/versions/3', { name: 'other' }],
    ['GET', '/v1/models/m/metadata', { name: 'other' }],
    ['POST', '/v2/models/m/infer/more', { name: 'other' }],
  ])('%s %s is understood', (method, target, call) => {
    expect(route(method, target)).toMatchObject(call)
  })

  test.each<[string, string, number, string, string | undefined]>([
    ['GET', '/v2/models/m/infer', 405, 'Method Not Allowed', 'POST'],
    ['POST', '/v2/models/m/ready', 405, 'Method Not Allowed', 'GET, HEAD'],
    ['GET', '/v1/models/m:predict', 405, 'Method Not Allowed', 'POST'],
    ['DELETE', '/predictions/m', 405, 'Method Not Allowed', 'POST, PUT'],
    ['POST', '/v1/models/:predict', 400, 'Missing model name in request', undefined],
    ['POST', '/v1/models/m:dance', 400, 'Malformed request: POST /v1/models/m:dance', undefined],
    ['POST', '/v1/models/m:explain', 501, 'this server does not explain', undefined],
    ['POST', '/v1/models/m:classify', 501, 'this server does not classify', undefined],
    ['POST', '/v1/models/m:regress', 501, 'this server does not regress', undefined],
    ['POST', '/v2/models/%zz/infer', 400, 'a broken percent escape', undefined],
    ['POST', '/predictions/%E0%A4', 400, 'a broken percent escape', undefined],
  ])('%s %s is refused by %i', (method, target, status, words, allow) => {
    const call = route(method, target)
    expect(call).toMatchObject({ name: 'refused', fault: { status, message: expect.stringContaining(words) } })
    expect(call.name === 'refused' ? call.allow : '').toBe(allow)
  })

  test('of any kind is understood or refused, in time that grows with its length only', () => {
    const piece = fc.constantFrom(
      '/v1',
      '/v2',
      '/models',
      '/versions',
      '/labels',
      '/',
      ':',
      '%',
      '%3A',
      'm',
      'infer',
      '?',
      '\0',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
        expect(route('POST', pieces.join('')).name).toMatch(/^(infer|other|refused|live|ready|ping|modelReady)$/)
      }),
      { numRuns: 500 },
    )
  })
})
