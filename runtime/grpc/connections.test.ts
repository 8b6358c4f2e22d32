// The end of a connection, call by call, against a real client of HTTP/2.
import { afterEach, describe, expect, jest, test } from '@jest/globals'
import grpc from '@grpc/grpc-js'
import { once } from 'node:events'
import { connect, type ClientHttp2Session } from 'node:http2'
import { Connections } from './connections.ts'

jest.setTimeout(60_000)

const same = (bytes: Buffer): Buffer => bytes
const echo: grpc.ServiceDefinition = {
  Echo: {
    path: '/test.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
}

interface Open {
  readonly connections: Connections
  readonly client: ClientHttp2Session
  /** What became of one call. */
  readonly call: () => Promise<string>
  /** The server holds a call. */
  readonly holding: Promise<void>
  /** Lets the calls go that the server holds. */
  readonly release: () => void
}

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const opened = async (holds = false): Promise<Open> => {
  const server = new grpc.Server()
  const held: (() => void)[] = []
  const holding = Promise.withResolvers<void>()
  server.addService(echo, {
    Echo: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) => {
      const go = (): void => answer(null, call.request)
      if (!holds) return go()
      held.push(go)
      holding.resolve()
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  // Old enough to end only when a test says so.
  const connections = new Connections(server, 3_600_000)
  const client = connect(`http://127.0.0.1:${port}`)
  closing.push(
    () => client.destroy(),
    () => server.forceShutdown(),
  )
  await once(client, 'remoteSettings')
  return {
    connections,
    client,
    holding: holding.promise,
    call: async () => {
      const request = client.request({
        ':method': 'POST',
        ':path': '/test.Echo/Echo',
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      const status = Promise.withResolvers<string>()
      request.on('trailers', (trailers) => status.resolve(`status ${String(trailers['grpc-status'])}`))
      request.on('error', (error) => status.resolve(error.message))
      request.on('close', () => status.resolve(`closed with ${request.rstCode}`))
      request.resume()
      // One message of one byte.
      request.end(Buffer.from([0, 0, 0, 0, 1, 7]))
      return status.promise
    },
    release: () => {
      for (const go of held.splice(0)) go()
    },
  }
}

describe('a connection that ends', () => {
  test('answers a call that was on its way when its client was told', async () => {
    const { connections, call } = await opened()
    expect(await call()).toBe('status 0')
    connections.end()
    // Nothing has been read since: the client does not know yet.
    expect(await call()).toBe('status 0')
  })

  test('tells its client to call elsewhere, and is gone when all is answered', async () => {
    const { connections, client, call, holding, release } = await opened(true)
    const told = once(client, 'goaway')
    const running = call()
    await holding
    connections.end()
    const [code] = await told
    expect(code).toBe(0)
    release()
    expect(await running).toBe('status 0')
    await connections.gone(30_000)
    expect(client.closed || client.destroyed).toBe(true)
  })
})
