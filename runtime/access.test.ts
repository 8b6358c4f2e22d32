import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import grpc from '@grpc/grpc-js'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { healthClient, inferenceClient } from '../test/fixtures/grpc.ts'
import { identityModel, loopModel } from '../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../test/fixtures/runtime.ts'
import { Access, type Asker } from './access.ts'
import { Fault } from './errors.ts'
import { parseKeys } from './keys.ts'

jest.setTimeout(120_000)

const nobody: Asker = { authorization: undefined, apiKey: undefined, named: undefined, address: '10.0.0.1' }
const [first, second] = ['first-key-0123456789', 'second-key-012345678'] as const

describe('who may ask', () => {
  const codeOf = (access: Access, asker: Partial<Asker>): string => {
    const admitted = access.admit({ ...nobody, ...asker })
    return admitted instanceof Fault ? admitted.code : 'admitted'
  }

  test('is everybody without keys, and whoever has one of them with keys', () => {
    const access = new Access({ maxPerClient: undefined, clientHeader: undefined })
    expect(codeOf(access, {})).toBe('admitted')
    access.useKeys([first, second])
    expect(codeOf(access, {})).toBe('KeyUnknown')
    expect(codeOf(access, { apiKey: '' })).toBe('KeyUnknown')
    expect(codeOf(access, { apiKey: first.slice(0, -1) })).toBe('KeyUnknown')
    expect(codeOf(access, { apiKey: second })).toBe('admitted')
    expect(codeOf(access, { authorization: `Bearer ${first}` })).toBe('admitted')
    expect(codeOf(access, { authorization: `bearer  ${first}` })).toBe('admitted')
    expect(codeOf(access, { authorization: `Basic ${first}` })).toBe('KeyUnknown')
    access.useKeys([second])
    expect(codeOf(access, { apiKey: first })).toBe('KeyUnknown')
  })

  test('has a limit of its own, by the named header, the key or the address', () => {
    const access = new Access({ maxPerClient: 2, clientHeader: 'x-user-id' })
    const leave = access.admit(nobody)
    expect(codeOf(access, {})).toBe('admitted')
    expect(codeOf(access, {})).toBe('ClientLimit')
    expect(codeOf(access, { address: '10.0.0.2' })).toBe('admitted')
    expect(codeOf(access, { named: 'ann' })).toBe('admitted')
    if (leave instanceof Fault) throw leave
    leave()
    expect(codeOf(access, {})).toBe('admitted')
    access.useKeys([first, second])
    const keyed = { apiKey: first, address: '10.0.0.3' }
    expect([codeOf(access, keyed), codeOf(access, keyed), codeOf(access, { ...keyed, address: '10.0.0.4' })]).toEqual([
      'admitted',
      'admitted',
      'ClientLimit',
    ])
    expect(codeOf(access, { apiKey: second })).toBe('admitted')
  })

  test('is read from a file of one key a line', () => {
    expect(parseKeys(`# of the team\n${first}\n\n  ${second}  \n`, '/keys')).toEqual([first, second])
    expect(() => parseKeys('# none\n', '/keys')).toThrow('/keys holds no key; write one key a line into it')
    expect(() => parseKeys(`${first}\nshort\n`, '/keys')).toThrow('key 2 of /keys has fewer than 16 characters')
  })
})

const add = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[2]}]}'
const grpcRequest = {
  model_name: 'm',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1], contents: { fp32_contents: [2] } }],
}

describe('a server with keys', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-keys-'))
  const file = join(folder, 'keys')
  let server: Server
  beforeAll(async () => {
    writeFileSync(file, `${first}\n`)
    server = await startServer(identityModel('FLOAT'), { SLIPWAY_API_KEYS_FILE: file })
    await server.ready()
  })
  afterAll(async () => {
    await server.stop()
    rmSync(folder, { recursive: true })
  })

  test('answers its clients, and tells others what is missing', async () => {
    expect(await infer(server, add, { headers: { authorization: `Bearer ${first}` } })).toMatchObject({ status: 200 })
    const refused = await infer(server, add, { headers: { 'x-api-key': second } })
    expect(refused).toMatchObject({ status: 401, body: { error: expect.stringContaining('no API key that is known') } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer')
    expect((await call(server, '/v2/models/m')).status).toBe(401)
    expect((await call(server, '/v2/health/ready')).status).toBe(200)
    expect((await infer(server, add, { headers: { 'x-api-key': first } })).status).toBe(200)
  })

  test('does the same over gRPC', async () => {
    const client = inferenceClient(server.grpcAddress)
    const health = healthClient(server.grpcAddress)
    const code = async (method: string, request: object, headers = {}) =>
      (await client.call(method, request, { headers })).code
    expect(await code('ModelInfer', grpcRequest)).toBe(grpc.status.UNAUTHENTICATED)
    expect(await code('ModelInfer', grpcRequest, { 'x-api-key': second })).toBe(grpc.status.UNAUTHENTICATED)
    expect(await code('ModelInfer', grpcRequest, { authorization: `Bearer ${first}` })).toBe(grpc.status.OK)
    expect(await code('ModelMetadata', { name: 'm' })).toBe(grpc.status.UNAUTHENTICATED)
    expect(await code('ServerReady', {})).toBe(grpc.status.OK)
    expect((await health.call('Check', {})).code).toBe(grpc.status.OK)
    client.close()
    health.close()
  })

  test('follows its file, and keeps the keys when nothing of it can be used', async () => {
    const lines = (): number => server.log.filter((line) => line['event.action'] === 'keys').length
    const rewritten = async (text: string): Promise<void> => {
      const before = lines()
      writeFileSync(file, text)
      const end = performance.now() + 60_000
      while (lines() === before) {
        if (performance.now() > end) throw new Error('the file was never read again')
        await sleep(50) // oxlint-disable-line no-await-in-loop -- until it was read
      }
    }
    await rewritten(`${second}\n`)
    expect((await infer(server, add, { headers: { 'x-api-key': first } })).status).toBe(401)
    expect((await infer(server, add, { headers: { 'x-api-key': second } })).status).toBe(200)
    await rewritten('\n')
    expect((await infer(server, add, { headers: { 'x-api-key': second } })).status).toBe(200)
  })
})

test('a client with too much under way is told 429 and when to come again, over HTTP and gRPC; others are served', async () => {
  const server = await startServer(loopModel(), {
    SLIPWAY_CLIENT_MAX_REQUESTS: '1',
    SLIPWAY_CLIENT_HEADER: 'X-User-Id',
  })
  await server.ready()
  const asks = (turns: number): string =>
    `{"inputs":[{"name":"turns","datatype":"INT64","shape":[],"data":[${turns}]},{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}`
  const ann = { headers: { 'x-user-id': 'ann' } }
  const long = infer(server, asks(3000), ann)
  await server.sees('slipway_inferences_in_flight', (count) => count === 1)
  const refused = await infer(server, asks(1), ann)
  expect(refused).toMatchObject({ status: 429, body: { error: expect.stringContaining('has 1 requests under way') } })
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  const client = inferenceClient(server.grpcAddress)
  const overGrpc = await client.call('ModelMetadata', { name: 'm' }, ann)
  expect(overGrpc.code).toBe(grpc.status.RESOURCE_EXHAUSTED)
  expect(Number(overGrpc.metadata['grpc-retry-pushback-ms'])).toBeGreaterThan(0)
  expect((await client.call('ModelMetadata', { name: 'm' }, { headers: { 'x-user-id': 'bob' } })).code).toBe(0)
  expect((await long).status).toBe(200)
  expect((await infer(server, asks(1), ann)).status).toBe(200)
  expect((await client.call('ModelMetadata', { name: 'm' }, ann)).code).toBe(0)
  expect((await client.call('ModelMetadata', { name: 'm' }, ann)).code).toBe(0)
  client.close()
  await server.stop()
})
