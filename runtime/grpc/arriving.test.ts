import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { serviceName } from './api/inference.ts'
import { countArriving } from './arriving.ts'
import { bytesMethod } from './definition.ts'

const limit = 100_000
let held = 0
let mostHeld = 0
/** As the scheduler counts. */
const bytes = {
  reserve(count: number) {
    if (held + count > limit) return new Error('full') as never
    held += count
    mostHeld = Math.max(mostHeld, held)
    return undefined
  },
  release: (count: number) => void (held -= count),
}

/** What was held when a message was whole. */
const heldAtHandler: number[] = []
const path = `/${serviceName}/ModelInfer`
const streamPath = `/${serviceName}/ModelStreamInfer`
const ends: (() => void)[] = []
afterAll(() => {
  for (const end of ends) end()
})

/** A client of a server of its own. @param patienceMs how long a message may be on its way; undefined as in the product */
async function connected(patienceMs?: number): Promise<ClientHttp2Session> {
  const server = new Server({ 'grpc.max_receive_message_length': 1_000_000 })
  server.addService(
    {
      ModelInfer: bytesMethod(path, { requestStream: false, responseStream: false }),
      ModelStreamInfer: bytesMethod(streamPath, { requestStream: true, responseStream: true }),
    },
    {
      ModelInfer: (_call: unknown, callback: (error: null, answer: Buffer) => void) => {
        heldAtHandler.push(held)
        callback(null, Buffer.from([8, 1]))
      },
      ModelStreamInfer: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', () => call.write(Buffer.from([8, 1])))
        call.on('end', () => call.end())
      },
    },
  )
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  countArriving(server, () => bytes, patienceMs)
  const listener = createServer((socket) => injector.injectConnection(socket))
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const session = connect(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`)
  ends.push(() => {
    session.destroy()
    listener.close()
    server.forceShutdown()
  })
  return session
}
let client: ClientHttp2Session
beforeAll(async () => {
  client = await connected()
})

const begin = (method = path, session = client): ClientHttp2Stream =>
  session.request({ ':method': 'POST', ':path': method, 'content-type': 'application/grpc', te: 'trailers' })

/** The first bytes of a message of 90,000: its frame says so. */
function part(count: number): Buffer {
  const frame = Buffer.alloc(count)
  frame.writeUInt32BE(90_000, 1)
  return frame
}

async function until(claim: () => boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!claim()) {
    if (performance.now() > end) throw new Error(`it never came to that; ${held} bytes are held`)
    await new Promise((resolve) => setImmediate(resolve)) // oxlint-disable-line no-await-in-loop
  }
}

test('messages on their way hold what has come, and what finds no room is ended', async () => {
  const first = begin()
  first.write(part(60_000))
  await until(() => held === 60_000)
  const second = begin()
  second.on('error', () => {})
  const closed = new Promise((resolve) => second.once('close', resolve))
  second.write(part(60_000))
  await closed
  expect(second.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  await until(() => held === 60_000)

  const answered = once(first, 'response')
  first.end(Buffer.alloc(30_005))
  await answered
  first.resume()
  await once(first, 'close')
  expect(heldAtHandler).toEqual([0])
  expect(held).toBe(0)

  const gone = begin()
  gone.write(part(1000))
  await until(() => held === 1000)
  gone.close(constants.NGHTTP2_CANCEL)
  await until(() => held === 0)
})

test('messages of a stream hold what has come of the one that is not whole', async () => {
  const stream = begin(streamPath)
  const answered = once(stream, 'data')
  stream.write(part(90_005))
  await answered
  expect(held).toBe(0)
  stream.write(part(50_000))
  await until(() => held === 50_000)
  stream.end(Buffer.alloc(40_005))
  stream.resume()
  await once(stream, 'close')
  expect(held).toBe(0)
})

test.each([path, streamPath])(
  'a message of %s that never becomes whole is ended, whatever trickles',
  async (method) => {
    const stream = begin(method, await connected(300))
    stream.on('error', () => {})
    const closed = new Promise((resolve) => stream.once('close', resolve))
    stream.write(part(100))
    await until(() => held === 100)
    const timer = setInterval(() => stream.write('y'), 20)
    await closed
    clearInterval(timer)
    expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    await until(() => held === 0)
  },
)

test('a client of a stream may wait between two messages', async () => {
  const stream = begin(streamPath, await connected(50))
  const answers: Buffer[] = []
  stream.on('data', (answer: Buffer) => answers.push(answer))
  // Each comes in one piece, so that the time within a message is none, however slow the machine.
  const small = Buffer.from('00000000020801', 'hex')
  stream.write(small)
  await until(() => answers.length > 0)
  await new Promise((resolve) => setTimeout(resolve, 200))
  stream.end(small)
  await once(stream, 'close')
  expect(Buffer.concat(answers).toString('hex')).toBe('00000000020801'.repeat(2))
  expect(held).toBe(0)
})

test('a client of a stream may wait after a message in two parts', async () => {
  const patienceMs = 1500
  const stream = begin(streamPath, await connected(patienceMs))
  const answers: Buffer[] = []
  stream.on('data', (answer: Buffer) => answers.push(answer))
  stream.write(Buffer.from('0000000002', 'hex'))
  await until(() => held === 5)
  stream.write(Buffer.from('0801', 'hex'))
  await until(() => answers.length > 0)
  await new Promise((resolve) => setTimeout(resolve, patienceMs + 200))
  stream.end(Buffer.from('00000000020801', 'hex'))
  await once(stream, 'close')
  expect(Buffer.concat(answers).toString('hex')).toBe('00000000020801'.repeat(2))
})
