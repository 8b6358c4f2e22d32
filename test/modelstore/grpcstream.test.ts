import { afterEach, describe, expect, test } from '@jest/globals'
import * as grpc from '@grpc/grpc-js'
import { ModelInferResponse, ModelStreamInferResponse } from '../../runtime/grpc/api/inference.ts'
import { encode } from '../../runtime/grpc/protobuf/message.ts'
import { startGrpcStream, type GrpcStreamOptions, type GrpcStream } from './grpcstream.ts'

let server: grpc.Server | undefined
afterEach(() => server?.forceShutdown())

const asIs = (bytes: Buffer): Buffer => bytes
const method = (name: string, streams: boolean) => ({
  path: `/inference.GRPCInferenceService/${name}`,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
})
const service = { infer: method('ModelInfer', false), stream: method('ModelStreamInfer', true) }

type Unary = grpc.handleUnaryCall<Buffer, Buffer>
type Stream = grpc.handleBidiStreamingCall<Buffer, Buffer>

const answer = (version: string) => ({ model_name: 'm', model_version: version })
const good: Unary = (_call, done) => done(null, encode(ModelInferResponse, answer('v1')))
const streamed = (version: string): Buffer => encode(ModelStreamInferResponse, { infer_response: answer(version) })
const goodStream: Stream = (call) => {
  call.on('data', () => call.write(streamed('v1')))
  call.on('end', () => call.end())
}

const start = async (infer: Unary, stream: Stream, options: Partial<GrpcStreamOptions> = {}): Promise<GrpcStream> => {
  const made = new grpc.Server()
  server = made
  made.addService(service, { infer, stream })
  const port = await new Promise<number>((resolve, reject) => {
    made.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return startGrpcStream({
    address: `127.0.0.1:${port}`,
    request: Buffer.from('request'),
    rate: 100,
    seconds: 60,
    messages: 3,
    pauseMs: 1,
    timeoutMs: 20_000,
    ...options,
  })
}

/** Calls `then` with the n-th call, and all calls go on as before. */
const atCall = (n: number, then: () => void, handler: Unary): Unary => {
  let calls = 0
  return (call, done) => {
    calls += 1
    if (calls === n) then()
    handler(call, done)
  }
}

describe('the gRPC load client', () => {
  test('counts every answer by version, of calls and of streams, and sees the change', async () => {
    let version = 'v1'
    let streams = 0
    const changes: string[] = []
    const running: GrpcStream = await start(
      (_call, done) => done(null, encode(ModelInferResponse, answer('v1'))),
      (call) => {
        streams += 1
        if (streams === 3) version = 'v2'
        if (streams === 4) running.stop()
        call.on('data', () => call.write(streamed(version)))
        call.on('end', () => call.end())
      },
      { onChange: (seen) => changes.push(seen) },
    )
    const { unary, streams: whole, messages } = await running.done
    expect(unary).toMatchObject({ failed: 0, failures: [], byVersion: { v1: unary.sent } })
    expect(whole).toEqual({ sent: 4, ok: 4, failed: 0, byVersion: { v1: 2, v2: 2 }, failures: [] })
    expect(messages).toEqual({ sent: 12, ok: 12, failed: 0, byVersion: { v1: 6, v2: 6 }, failures: [] })
    expect(changes.filter((seen) => seen === 'v2')).toHaveLength(1)
  })

  test('a call that is refused is a failure, with its status', async () => {
    const running: GrpcStream = await start(
      atCall(
        5,
        () => running.stop(),
        (_call, done) => done({ code: grpc.status.UNAVAILABLE, details: 'not now' }),
      ),
      goodStream,
    )
    const { unary, streams } = await running.done
    expect(unary).toMatchObject({ sent: unary.failed, ok: 0 })
    expect(unary.failures[0]?.error).toBe('14 not now')
    expect(streams.failed).toBe(0)
  })

  const cut: Record<string, { readonly stream: Stream; readonly said: string; readonly lost: number }> = {
    'that is cut off under a message': {
      stream: (call) => void call.once('data', () => call.emit('error', { code: 14, details: 'gone' })),
      said: '14 UNAVAILABLE: gone',
      lost: 1,
    },
    'that ends with OK before its last message': {
      stream: (call) => {
        call.once('data', () => {
          call.write(streamed('v1'))
          call.end()
        })
      },
      said: 'ended with OK after 1 of 3 messages',
      lost: 0,
    },
    'whose answer is an error': {
      stream: (call) => {
        call.on('data', () => call.write(encode(ModelStreamInferResponse, { error_message: 'no such model' })))
      },
      said: 'no such model',
      lost: 1,
    },
  }

  test.each(Object.entries(cut))('a stream %s is a failure', async (_, { stream, said, lost }) => {
    let streams = 0
    const running: GrpcStream = await start(good, (call) => {
      streams += 1
      if (streams === 1) running.stop()
      stream(call)
    })
    const { streams: whole, messages, unary } = await running.done
    expect(whole).toMatchObject({ sent: 1, ok: 0, failed: 1, failures: [{ error: said }] })
    // Where a message follows the early end of its stream, it is one that was never answered.
    expect(messages.failed).toBeGreaterThanOrEqual(lost)
    expect(messages.sent).toBe(messages.ok + messages.failed)
    expect(unary.failed).toBe(0)
  })

  test('who does not answer in time has failed', async () => {
    const running: GrpcStream = await start(
      atCall(
        1,
        () => running.stop(),
        () => {},
      ),
      (call) => void call.resume(),
      { timeoutMs: 300 },
    )
    const { unary, streams, messages } = await running.done
    expect(unary.failures[0]?.error).toMatch(/^4 /)
    for (const counted of [unary, streams, messages]) expect(counted).toMatchObject({ sent: counted.failed, ok: 0 })
  })
})
