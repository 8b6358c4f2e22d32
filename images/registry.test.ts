import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { isPrivateHost, readManifest } from './registry.ts'

let server: Server
let host = ''

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url !== '/v2/team/app/manifests/1') return response.writeHead(404).end('{}')
    response.setHeader('docker-content-digest', 'sha256:aa')
    return response.end(
      JSON.stringify({ config: { digest: 'sha256:bb', size: 3 }, layers: [{ size: 10 }, { size: 20 }] }),
    )
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  host = typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : ''
})

afterAll(async () => {
  await new Promise((resolve) => {
    server.close(resolve)
  })
})

describe('a registry', () => {
  test('tells the digest, the id and the download size of an image', async () => {
    expect(await readManifest(host, 'team/app', '1')).toEqual({
      digest: 'sha256:aa',
      configDigest: 'sha256:bb',
      sizeBytes: 33,
    })
  })

  test('has no manifest for a tag that was never pushed', async () => {
    expect(await readManifest(host, 'team/app', '2')).toBeUndefined()
  })

  test('that is not there is an error that names it', async () => {
    await expect(readManifest('127.0.0.1:1', 'team/app', '1')).rejects.toThrow(
      'The registry 127.0.0.1:1 does not answer',
    )
  })
})

test.each([
  ['localhost:5000', true],
  ['127.0.0.1:5000', true],
  ['10.250.0.1:5000', true],
  ['172.16.0.9', true],
  ['172.32.0.9', false],
  ['192.168.1.2:80', true],
  ['registry.example', false],
  ['10.example.org', false],
])('plain HTTP is assumed for %s: %s', (name, expected) => {
  expect(isPrivateHost(name)).toBe(expected)
})
