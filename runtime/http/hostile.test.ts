import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { addModel } from '../../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../../test/fixtures/runtime.ts'
import { BodyMemory } from '../bodymemory.ts'
import { readBody } from './body.ts'

jest.setTimeout(120_000)

describe('a hostile body', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(addModel(), { SLIPWAY_MAX_BODY_BYTES: String(8 * 1024 * 1024) })
    await server.ready()
  })
  afterAll(() => server.stop())

  const deep = '['.repeat(1_000_000)
  const tensor = (members: string): string => `{"inputs":[{"name":"a","datatype":"FP32",${members}}]}`
  test.each<[string, string, string, number]>([
    ['a million open arrays as data', '/v2/models/m/infer', tensor(`"shape":[1,4],"data":${deep}`), 400],
    ['a million open arrays as a parameter', '/v2/models/m/infer', `{"parameters":{"x":${deep}`, 400],
    ['a million open arrays as an unknown member', '/v2/models/m/infer', `{"x":${deep}`, 400],
    ['a million open objects', '/v2/models/m/infer', '{"x":'.repeat(1_000_000), 400],
    ['a million open arrays as rows', '/v1/models/m:predict', `{"instances":${deep}`, 400],
    ['a million open arrays as columns', '/v1/models/m:predict', `{"inputs":${deep}`, 400],
    ['a million open arrays for TorchServe', '/predictions/m', deep, 400],
    ['a million inputs', '/v2/models/m/infer', `{"inputs":[${'{},'.repeat(1_000_000)}{}]}`, 400],
    ['a million rows', '/v1/models/m:predict', `{"instances":[${'{},'.repeat(1_000_000)}{}]}`, 400],
    [
      'a million members',
      '/v2/models/m/infer',
      `{${Array.from({ length: 500_000 }, (_, i) => `"k${i}":0`).join()}}`,
      400,
    ],
    ['a million outputs', '/v2/models/m/infer', `{"outputs":[${'{"name":"q"},'.repeat(500_000)}{}]}`, 400],
    [
      'a shape of a million dimensions',
      '/v2/models/m/infer',
      tensor(`"shape":[${'1,'.repeat(1_000_000)}1],"data":[]`),
      400,
    ],
    ['a shape that overflows', '/v2/models/m/infer', tensor('"shape":[2147483647,4],"data":[1]'), 400],
    [
      'a number of a million digits',
      '/v2/models/m/infer',
      tensor(`"shape":[1,4],"data":[${'9'.repeat(1_000_000)}]`),
      400,
    ],
    [
      'an exponent of a million digits',
      '/v2/models/m/infer',
      tensor(`"shape":[1,4],"data":[1e${'9'.repeat(1_000_000)}]`),
      400,
    ],
    ['a name of four megabytes', '/v2/models/m/infer', `{"inputs":[{"name":"${'n'.repeat(4_000_000)}"}]}`, 400],
    [
      'a prototype',
      '/v2/models/m/infer',
      '{"parameters":{"__proto__":1,"constructor":"x"},"__proto__":{"inputs":[]}}',
      400,
    ],
  ])('of %s is refused, and in few words', async (_name, path, body, status) => {
    const answer = await call(server, path, { method: 'POST', body })
    expect(answer.status).toBe(status)
    expect(answer.body.error?.length).toBeGreaterThan(10)
    expect(answer.body.error?.length).toBeLessThan(5000)
  })

  test('leaves the server as it was', async () => {
    const tensors = ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }))
    expect(await infer(server, JSON.stringify({ inputs: tensors }))).toMatchObject({ status: 200 })
    expect(await server.metric('slipway_ready')).toBe(1)
  })
})

describe('the memory for bodies', () => {
  let http: HttpServer
  let reserved = 0
  let outcome: Promise<string>
  let started: Promise<unknown>
  beforeAll(async () => {
    let begin: () => void
    started = new Promise<void>((resolve) => (begin = resolve))
    http = createServer((request: IncomingMessage) => {
      const reservations = {
        reserve: (bytes: number) => void (reserved += bytes),
        release: (bytes: number) => void (reserved -= bytes),
      }
      const options = { maxBytes: 2 ** 30, coding: undefined, aligned: 0, reservations, memory: new BodyMemory(0) }
      outcome = readBody(request, options).then(
        () => 'read',
        (error: Error) => error.name,
      )
      request.once('data', () => begin())
    })
    http.listen(0)
    await once(http, 'listening')
  })
  afterAll(() => void http.close())

  test('is held for what a client sent, not for what it announced, and only while it is there', async () => {
    const { port } = http.address() as AddressInfo
    const socket: Socket = connect(port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n0123456789')
    await started
    expect(reserved).toBe(10)
    socket.destroy()
    expect(await outcome).toBe('ClientGone')
    expect(reserved).toBe(0)
  })
})
