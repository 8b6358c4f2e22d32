// A pod of a revision, as far as a router can tell: real HTTP/1.1 and real gRPC servers on loopback that say which
// revision they are. What is odd about a pod (slow, deaf, silent) is said when it is started.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { once } from 'node:events'
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as grpc from '@grpc/grpc-js'

/** What a pod saw of one request. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly bytes: number
}

export interface Pod {
  readonly revision: string
  readonly address: string
  readonly http: number
  readonly grpc: number
  /** Requests that came by HTTP, health checks left out. */
  readonly seen: readonly SeenRequest[]
  /** gRPC calls, streams once each. */
  readonly calls: readonly grpc.Metadata[]
  /** Whether it says that it is ready, when a router asks. */
  isHealthy: boolean
  /** Ends every connection and stops to listen, as a kill does. */
  kill(): Promise<void>
}

/** What a pod answers to this path, and to this message on a gRPC stream: 64 MiB, as fast as they are taken. */
export const floodPath = '/flood'
export const floodMessage = 'flood'
const floodChunk = Buffer.alloc(1024 * 1024, '.')
const floodChunks = 64

export interface PodOptions {
  readonly address?: string
  /** Before each answer. */
  readonly delayMs?: number
  readonly status?: number
  /** What it does with each request, once it has read it to its end, instead of answering. */
  readonly insteadOfAnswers?: 'hangs up' | 'is silent'
  readonly ports?: { readonly http: number; readonly grpc: number }
}

const bytes = { requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs }
function asIs(value: Buffer): Buffer {
  return value
}

/** The two calls of the inference service that matter to a proxy, with messages as plain bytes. */
export const inference = {
  infer: { path: '/inference.GRPCInferenceService/ModelInfer', requestStream: false, responseStream: false, ...bytes },
  stream: {
    path: '/inference.GRPCInferenceService/ModelStreamInfer',
    requestStream: true,
    responseStream: true,
    ...bytes,
  },
} as const

export const startPod = async (revision: string, options: PodOptions = {}): Promise<Pod> => {
  const { address = '127.0.0.1', delayMs = 0, status = 200, insteadOfAnswers, ports } = options
  const seen: SeenRequest[] = []
  const calls: grpc.Metadata[] = []
  const http = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    let received = 0
    request.on('data', (chunk: Buffer) => (received += chunk.length))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      const isHealth = path === '/v2/health/ready'
      if (!isHealth) seen.push({ method, path, headers, bytes: received })
      const answer = (): void => {
        if (insteadOfAnswers !== undefined && !isHealth) {
          if (insteadOfAnswers === 'hangs up') request.socket.destroy()
          return
        }
        response.writeHead(isHealth ? (pod.isHealthy ? 200 : 503) : status, {
          'content-type': 'application/json',
          'x-slipway-revision': revision,
        })
        if (path === floodPath) sendFlood(response)
        else response.end(JSON.stringify({ revision, bytes: received }))
      }
      if (isHealth || delayMs === 0) answer()
      else setTimeout(answer, delayMs)
    })
  })
  http.listen(ports?.http ?? 0, address)
  await once(http, 'listening')
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(inference, {
    infer: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      calls.push(call.metadata)
      setTimeout(() => done(null, Buffer.from(revision)), delayMs)
    },
    stream: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      calls.push(call.metadata)
      call.on('data', (message: Buffer) => {
        if (message.toString() === floodMessage) sendFlood(call)
        else call.write(Buffer.from(revision))
      })
      call.on('end', () => call.end())
      call.on('error', () => {})
    },
  })
  const host = address.includes(':') ? `[${address}]` : address
  const grpcPort = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${host}:${ports?.grpc ?? 0}`, grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  )
  const pod: Pod = {
    revision,
    address,
    http: (http.address() as AddressInfo).port,
    grpc: grpcPort,
    seen,
    calls,
    isHealthy: true,
    kill: async () => {
      server.forceShutdown()
      await closed(http)
    },
  }
  return pod
}

/** Until it is over or nobody is there any more. */
const sendFlood = (to: Writable): void => {
  const chunks = Array.from({ length: floodChunks }, () => floodChunk)
  pipeline(Readable.from(chunks), to).catch(() => {})
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

/** A port that accepts connections and never reads from them. */
export const startDeaf = async (): Promise<{ readonly port: number; close(): Promise<void> }> => {
  const sockets = new Set<Socket>()
  const server: TcpServer = createTcpServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
