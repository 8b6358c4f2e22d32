// Unary calls of ModelInfer on node:http2 with a message that is ready, over a few connections as gRPC clients have them.
import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2'
import type { Job } from '../load.ts'
import type { Lane } from './http.ts'

/** Calls share connections; more than this many to one server is unusual. */
const maxSessions = 4

export function connectGrpc({ port, requests, connections }: Pick<Job, 'port' | 'requests' | 'connections'>): Lane[] {
  const frames = requests.map(({ bytes }) => {
    const frame = Buffer.alloc(5 + bytes.length)
    frame.writeUInt32BE(bytes.length, 1)
    frame.set(bytes, 5)
    return frame
  })
  const sessions: (ClientHttp2Session | undefined)[] = []
  const session = (place: number): ClientHttp2Session => {
    const open = sessions[place]
    if (open !== undefined && !open.closed && !open.destroyed) return open
    const opened = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 4 * 1024 * 1024 } })
    // Its calls fail with the error; nobody else has to know.
    opened.on('error', () => {})
    sessions[place] = opened
    return opened
  }
  return Array.from({ length: connections }, (_, index) => {
    const place = index % maxSessions
    let next = index
    return {
      ask: () => call(session(place), frames[next++ % frames.length]!),
      close: () => sessions[place]?.destroy(),
    }
  })
}

function call(session: ClientHttp2Session, frame: Buffer): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    let status: string | undefined
    let message: string | undefined
    const read = (headers: IncomingHttpHeaders): void => {
      if (headers['grpc-status'] === undefined) return
      status = headers['grpc-status'].toString()
      message = headers['grpc-message']?.toString()
    }
    stream.on('response', read)
    stream.on('trailers', read)
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('close', () => {
      if (status === '0') resolve(Buffer.concat(chunks).subarray(5))
      else reject(new Error(status === undefined ? 'the call ended without a status' : `status ${status}: ${message}`))
    })
    stream.end(frame)
  })
}
