// A gRPC client of the inference service, with messages as plain bytes.
import * as grpc from '@grpc/grpc-js'
import { inference } from './upstream.ts'

export interface Caller {
  /** @returns the message of the answer. @throws grpc.ServiceError */
  infer(body?: Buffer, headers?: Readonly<Record<string, string>>): Promise<string>
  /** Sends `count` messages on one stream, each so long after the answer to the one before. @returns the answers */
  stream(count: number, pauseMs?: number): Promise<string[]>
  close(): void
}

export const openCaller = (port: number): Caller => {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  })
  const { infer, stream } = inference
  return {
    infer: (body = Buffer.from('x'), headers = {}) =>
      new Promise((resolve, reject) => {
        const metadata = new grpc.Metadata()
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
        client.makeUnaryRequest(
          infer.path,
          infer.requestSerialize,
          infer.responseDeserialize,
          body,
          metadata,
          {},
          (error, value) => (error === null ? resolve(value?.toString() ?? '') : reject(error)),
        )
      }),
    stream: (count, pauseMs = 0) =>
      new Promise((resolve, reject) => {
        const call = client.makeBidiStreamRequest(stream.path, stream.requestSerialize, stream.responseDeserialize)
        const answers: string[] = []
        call.on('data', (chunk: Buffer) => {
          answers.push(chunk.toString())
          if (answers.length >= count) call.end()
          else if (pauseMs === 0) call.write(Buffer.from('x'))
          else setTimeout(() => call.write(Buffer.from('x')), pauseMs)
        })
        call.on('error', reject)
        call.on('end', () => resolve(answers))
        call.write(Buffer.from('x'))
      }),
    close: () => client.close(),
  }
}
