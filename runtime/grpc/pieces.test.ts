import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import grpc, { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { inferenceClient, type Client } from '../../test/fixtures/grpc.ts'
import { identityModel } from '../../test/fixtures/onnx.ts'
import { startServer, type Server as Runtime } from '../../test/fixtures/runtime.ts'
import { inferPath, streamPath } from './arriving.ts'
import { http2ServerOf } from './connections.ts'
import { bytesMethod } from './definition.ts'
import { copiedOnce, freePieces, leastFreed, Reads } from './pieces.ts'

jest.setTimeout(120_000)

const piece = (): ArrayBuffer => new ArrayBuffer(64 * 1024)
const isFree = (memory: ArrayBufferLike): boolean => memory.byteLength === 0

describe('what was read at once', () => {
  test('is free when its views are done and another read has begun, in whichever order', () => {
    const [first, second] = [piece(), piece()]
    const reads = new Reads()
    reads.arrived(first)
    reads.done(first)
    expect(isFree(first)).toBe(false)
    reads.arrived(second)
    expect(isFree(first)).toBe(true)
    reads.arrived(piece())
    expect(isFree(second)).toBe(false)
    reads.done(second)
    expect(isFree(second)).toBe(true)
  })

  test('stays while one of its views is in use', () => {
    const shared = piece()
    const reads = new Reads()
    reads.arrived(shared)
    reads.arrived(shared)
    reads.arrived(piece())
    reads.done(shared)
    expect(isFree(shared)).toBe(false)
    reads.done(shared)
    expect(isFree(shared)).toBe(true)
  })
})

test('an answer is free when it was copied, and its copy is whole', () => {
  const answer = Buffer.alloc(100_000, 'answer')
  const frame = Buffer.alloc(100_005)
  const own = Buffer.from(new Uint8Array(answer).buffer)
  expect(copiedOnce(own).copy(frame, 5)).toBe(100_000)
  expect(frame.subarray(5).equals(answer)).toBe(true)
  expect(isFree(own.buffer)).toBe(true)
  const pooled = Buffer.from('small')
  expect(copiedOnce(pooled).copy(frame)).toBe(5)
  expect(pooled.toString()).toBe('small')
})

describe('a server of grpc-js', () => {
  const ends: (() => void)[] = []
  afterAll(() => {
    for (const end of ends) end()
  })

  /** An echo, the memory of all that it has read, and of all that it has written. */
  async function echo() {
    const server = new Server({ 'grpc.max_receive_message_length': -1 })
    server.addService(
      {
        ModelInfer: bytesMethod(inferPath, { requestStream: false, responseStream: false }),
        ModelStreamInfer: bytesMethod(streamPath, { requestStream: true, responseStream: true }),
      },
      {
        ModelInfer: ({ request }: { request: Buffer }, callback: (error: null, answer: Buffer) => void) =>
          callback(null, request),
        ModelStreamInfer: (call: ServerDuplexStream<Buffer, Buffer>) => {
          call.on('data', (message: Buffer) => call.write(message))
          call.on('end', () => call.end())
        },
      },
    )
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
    const read = new Set<ArrayBufferLike>()
    const written = new Set<ArrayBufferLike>()
    freePieces(server)
    http2ServerOf(server).on('stream', (stream) => {
      stream.on('data', ({ buffer }: Buffer) => read.add(buffer))
      const write = stream.write.bind(stream) as (chunk: Buffer, done: () => void) => boolean
      const noting = (chunk: Buffer, done: () => void): boolean => {
        written.add(chunk.buffer)
        return write(chunk, done)
      }
      stream.write = noting as typeof stream.write
    })
    const listener = createServer((socket) => injector.injectConnection(socket))
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const client = new grpc.Client(
      `127.0.0.1:${(listener.address() as AddressInfo).port}`,
      grpc.credentials.createInsecure(),
      { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': -1 },
    )
    ends.push(() => {
      client.close()
      listener.close()
      server.forceShutdown()
    })
    return { client, read, written }
  }
  const same = (bytes: Buffer): Buffer => bytes
  /** How many large ones: small ones are not worth it. */
  const inUse = (memories: ReadonlySet<ArrayBufferLike>): number =>
    [...memories].filter(({ byteLength }) => byteLength >= leastFreed).length

  test('has freed all that it read of calls and wrote for them, but for the last read', async () => {
    const { client, read, written } = await echo()
    for (let turn = 0; turn < 3; turn += 1) {
      const message = Buffer.alloc(600_000, turn)
      // oxlint-disable-next-line no-await-in-loop -- one after another
      const answer = await new Promise<Buffer>((resolve, reject) => {
        client.makeUnaryRequest(inferPath, same, same, message, (error, got) =>
          got === undefined ? reject(error ?? new Error('no answer')) : resolve(got),
        )
      })
      expect(answer.equals(message)).toBe(true)
    }
    expect([...read].some(isFree)).toBe(true)
    expect(inUse(read)).toBeLessThanOrEqual(1)
    expect(written.size).toBe(3)
    expect(inUse(written)).toBe(0)
  })

  test('gives back each message of a stream as it came, however they are cut', async () => {
    const { client, read } = await echo()
    const call = client.makeBidiStreamRequest(streamPath, same, same)
    const messages = Array.from({ length: 60 }, (_, at) => Buffer.alloc(1 + ((at * 7919) % 90_000), at + 1))
    const got: Buffer[] = []
    call.on('data', (message: Buffer) => got.push(Buffer.from(message)))
    for (const message of messages) call.write(message)
    call.end()
    await once(call, 'end')
    expect(got.map((message, at) => message.equals(messages[at] ?? Buffer.alloc(0)))).toEqual(messages.map(() => true))
    expect(inUse(read)).toBeLessThanOrEqual(1)
  })
})

describe('the runtime', () => {
  let server: Runtime
  let client: Client
  beforeAll(async () => {
    server = await startServer(identityModel('FLOAT', ['n']))
    await server.ready()
    client = inferenceClient(server.grpcAddress)
  })
  afterAll(() => {
    client.close()
    return server.stop()
  })

  // One connection carries them all, so what is read at once belongs to several calls.
  test('gives everybody his own numbers on one connection, beside calls that break off', async () => {
    const one = async (number: number): Promise<boolean> => {
      const floats = Float32Array.from({ length: 5000 + 7919 * (number % 20) }, (_, at) => number + at / 1024)
      const bytes = Buffer.from(floats.buffer)
      const input = { name: 'x', datatype: 'FP32', shape: [floats.length] }
      const message = { model_name: 'm', inputs: [input], raw_input_contents: [bytes] }
      if (number % 5 === 0) {
        const stop = new AbortController()
        const broken = client.call('ModelInfer', message, { signal: stop.signal })
        stop.abort()
        await broken
        return true
      }
      const { response } = await client.call('ModelInfer', message)
      const [answer] = (response?.['raw_output_contents'] ?? []) as readonly Buffer[]
      return answer?.equals(bytes) === true
    }
    for (let turn = 0; turn < 5; turn += 1) {
      const all = Array.from({ length: 24 }, (_, number) => one(number + turn * 24))
      expect(new Set(await Promise.all(all))).toEqual(new Set([true])) // oxlint-disable-line no-await-in-loop
    }
  })
})
