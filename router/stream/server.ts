// Where Envoy asks for its configuration: one method of gRPC on a Unix socket in the pod's folder. Written on node:http2,
// because a whole gRPC library would cost the agent several MiB for this one method. Decides nothing.
import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { join } from 'node:path'
import { agentSocket } from '../xds/bootstrap.ts'
import { decodeRequest, encodeResponse, type Request, type Response } from './discovery.ts'
import { WireError } from './wire.ts'

/** The stream of one Envoy. An Envoy that is started again opens another one. */
export interface DiscoveryStream {
  readonly isOpen: boolean
  /** Nothing happens on a stream that has ended. */
  send(response: Response): void
}

export interface DiscoveryListener {
  /** A new stream; those before it are over, whether or not they have ended. */
  opened(stream: DiscoveryStream): void
  heard(stream: DiscoveryStream, request: Request): void
}

const method = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
/** Far more than a request of Envoy takes that names thousands of clusters. */
const requestBytes = 16 * 1024 * 1024
const unimplemented = '12'
const invalidArgument = '3'

/**
 * Starts to listen. A socket that an agent before this one has left is replaced: whether there are two agents is found
 * out by their port, before.
 */
export const serveDiscovery = async (
  folder: string,
  listener: DiscoveryListener,
): Promise<{ close(): Promise<void> }> => {
  const sessions = new Set<ServerHttp2Session>()
  const server = createServer()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    // Envoy has gone in the middle of something: the end of its stream says so.
    session.on('error', () => {})
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    if (headers[':path'] === method) converse(stream, listener)
    else refuse(stream, unimplemented, `only ${method} is served here`)
  })
  const path = join(folder, agentSocket)
  await rm(path, { force: true })
  server.listen(path)
  await once(server, 'listening')
  await chmod(path, 0o600)
  return {
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}

const converse = (stream: ServerHttp2Stream, listener: DiscoveryListener): void => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  const opened: DiscoveryStream = {
    get isOpen() {
      return !stream.destroyed && !stream.closed
    },
    // What is not read at once waits in memory: it is at most the whole configuration.
    send: (response) => {
      if (!stream.destroyed && !stream.closed) stream.write(framed(encodeResponse(response)))
    },
  }
  let status: [string, string] = ['0', '']
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status[0], 'grpc-message': status[1] }))
  stream.on('end', () => stream.end())
  listener.opened(opened)
  let rest: Buffer = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    if (status[0] !== '0') return
    try {
      const split = messagesIn(Buffer.concat([rest, chunk]))
      rest = split.rest
      for (const message of split.messages) listener.heard(opened, decodeRequest(message))
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      status = [invalidArgument, error.message]
      stream.end()
    }
  })
}

const refuse = (stream: ServerHttp2Stream, status: string, message: string): void => {
  const headers = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status, 'grpc-message': message }
  stream.respond(headers, { endStream: true })
}

const headBytes = 5

/** gRPC puts a byte (0: not compressed) and the length before each message. */
const framed = (message: Buffer): Buffer => {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

const messagesIn = (bytes: Buffer): { messages: Buffer[]; rest: Buffer } => {
  const messages: Buffer[] = []
  let at = 0
  while (bytes.length >= at + headBytes) {
    const length = bytes.readUInt32BE(at + 1)
    if (bytes[at] !== 0) throw new WireError('a message is compressed, which nobody has offered')
    if (length > requestBytes) throw new WireError(`a message of ${length} bytes is over the limit of ${requestBytes}`)
    if (bytes.length < at + headBytes + length) break
    messages.push(bytes.subarray(at + headBytes, at + headBytes + length))
    at += headBytes + length
  }
  return { messages, rest: bytes.subarray(at) }
}
