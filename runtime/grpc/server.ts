/**
 * The gRPC server: its services, the limits of its connections, and the end of service.
 * Connections are accepted here and handed to grpc-js, so that a port means the same as for HTTP.
 */
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js'
import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Access } from '../access.ts'
import { handshakeMs, listen } from '../http/server.ts'
import type { Identity, Secured } from '../tls.ts'
import { Answers } from './answers.ts'
import { healthProto } from './api/health.ts'
import { inferenceProto } from './api/inference.ts'
import { reflectionProtos } from './api/reflection.ts'
import { countArriving } from './arriving.ts'
import { Connections } from './connections.ts'
import { definitionOf } from './definition.ts'
import { guard } from './guard.ts'
import { HealthService } from './health.ts'
import { inferenceService, type InferenceContext } from './inference.ts'
import { freePieces } from './pieces.ts'
import { ReflectionService } from './reflection.ts'
import { forgetStreams } from './streams.ts'

export interface GrpcOptions extends Omit<InferenceContext, 'answers'> {
  /** What every answer names as its maker. */
  readonly revision: string
  readonly maxBodyBytes: number
  /** After about this time a connection ends, with its last answer, so that clients follow their Service. */
  readonly connectionMaxAgeMs: number
  /** Undefined lets everybody in. */
  readonly access?: Access | undefined
  /** Undefined speaks gRPC without TLS. */
  readonly tls?: Identity | undefined
}

export interface GrpcServer {
  /** What takes another certificate, where it speaks TLS. */
  readonly secured: Secured | undefined
  /** Starts to listen. Resolves with the port, which the system chooses for 0. */
  listen(port: number): Promise<number>
  /** Tells every client to open its next connection elsewhere; all calls are still answered. */
  drain(): void
  /** Stops accepting and resolves when every call in flight has been answered. */
  close(): Promise<void>
}

/** Calls at once on one connection; clients keep further ones back. */
const maxConcurrentCalls = 128

/** A peer that is silent for this long is asked for a sign of life, and has that long to give it. */
const keepaliveMs = 60_000
const keepaliveTimeoutMs = 20_000

export function createGrpcServer(options: GrpcOptions): GrpcServer {
  const answers = new Answers(options.revision, options.models)
  const { access, tls } = options
  const server = new Server({
    ...(access === undefined
      ? {}
      : { interceptors: [guard(access, (metadata, refused) => answers.refusal(metadata, refused.report()))] }),
    'grpc.max_receive_message_length': options.maxBodyBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': maxConcurrentCalls,
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
  })
  /** Ends each stream that its client holds open. */
  const open = new Set<() => void>()
  const inference = inferenceService({ ...options, answers }, open)
  server.addService(inference.definition, inference.implementation)
  const health = new HealthService({
    state: options.state,
    answers,
    serves: (model) => model === options.models.name,
  })
  server.addService(definitionOf(healthProto), {
    Check: health.check.bind(health),
    Watch: health.watch.bind(health),
  })
  const reflection = new ReflectionService([inferenceProto, healthProto, ...reflectionProtos], answers)
  for (const file of reflectionProtos) {
    server.addService(definitionOf(file), {
      ServerReflectionInfo: (call: ServerDuplexStream<Buffer, Buffer>) => {
        const end = (): void =>
          void call.emit('error', { code: status.UNAVAILABLE, details: 'the server is shutting down' })
        open.add(end)
        for (const event of ['close', 'cancelled']) call.once(event, () => open.delete(end))
        reflection.talk(call)
      },
    })
  }

  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  // A connection needs some time for its first call.
  const connections = new Connections(server, Math.max(1000, options.connectionMaxAgeMs))
  countArriving(server, () => options.models.current?.scheduler)
  freePieces(server)
  forgetStreams(server)
  const inject = (socket: Socket): void => injector.injectConnection(socket)
  const secured =
    tls === undefined
      ? undefined
      : createTlsServer({ ...tls, ALPNProtocols: ['h2'], handshakeTimeout: handshakeMs, noDelay: true }, inject)
  // Who gives up while TLS is agreed on is nobody's mistake here.
  secured?.on('tlsClientError', () => {})
  const listener = secured ?? createServer({ noDelay: true }, inject)
  return {
    secured,
    listen: (port) => listen(listener, port),
    drain() {
      health.look()
      connections.end()
    },
    async close() {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      health.end()
      for (const end of open) end()
      connections.end()
      await connections.gone(newsMs)
      // Who never finishes its request, or never reads its answer, must not keep the pod.
      const force = setTimeout(() => server.forceShutdown(), lastCallsMs)
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
      clearTimeout(force)
      await closed
    },
  }
}

/** How long calls under way may take when the server ends: as long as a request may wait, by default. */
const lastCallsMs = 30_000

/** How long connections may take to hear that the server ends, beyond their calls. */
const newsMs = 1000
