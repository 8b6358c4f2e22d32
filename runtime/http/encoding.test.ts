import { describe, expect, test } from '@jest/globals'
import { gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { Fault } from '../errors.ts'
import { codingOf, compress, negotiate } from './encoding.ts'

describe('the coding of an answer', () => {
  test.each<[string | undefined, number, string | undefined]>([
    [undefined, 10_000, undefined],
    ['gzip', 1023, undefined],
    ['gzip', 1024, 'gzip'],
    ['gzip, deflate', 10_000, 'gzip'],
    ['gzip, deflate, br, zstd', 10_000, 'zstd'],
    ['GZIP', 10_000, 'gzip'],
    ['br', 10_000, undefined],
    ['identity', 10_000, undefined],
    ['gzip;q=0', 10_000, undefined],
    ['gzip;q=0.1, deflate;q=0.2', 10_000, 'deflate'],
    ['gzip;q=0.5, identity', 10_000, undefined],
    ['gzip; q=1, identity;q=0.5', 10_000, 'gzip'],
    ['gzip;q=x', 10_000, undefined],
    ['', 10_000, undefined],
  ])('for Accept-Encoding %s and %i bytes is %s', (accepted, bytes, coding) => {
    expect(negotiate(accepted, bytes)).toBe(coding)
  })

  test('is one that anybody can undo', async () => {
    const body = Buffer.from('tensor '.repeat(1000))
    expect(gunzipSync(await compress('gzip', body)).equals(body)).toBe(true)
    expect(inflateSync(await compress('deflate', body)).equals(body)).toBe(true)
    expect(zstdDecompressSync(await compress('zstd', body)).equals(body)).toBe(true)
  })
})

test.each<[string | undefined, string | undefined]>([
  [undefined, undefined],
  ['identity', undefined],
  ['', undefined],
  ['gzip', 'gzip'],
  ['X-GZip', 'gzip'],
  ['deflate', 'deflate'],
  ['zstd', 'zstd'],
])('a body with Content-Encoding %s is read as %s', (header, coding) => {
  expect(codingOf(header)).toBe(coding)
})

test.each(['br', 'gzip, zstd', 'compress', 'nonsense'])('a body with Content-Encoding %s is refused', (header) => {
  const refused = codingOf(header)
  expect(refused).toBeInstanceOf(Fault)
  expect(refused).toMatchObject({ status: 415, message: expect.stringContaining(header) })
})
