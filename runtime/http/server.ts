/**
 * The HTTP server: limits and timeouts of connections, answers to broken HTTP, and the end of service.
 */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Access } from '../access.ts'
import { fault, printBytes, type Fault } from '../errors.ts'
import type { Identity, Secured } from '../tls.ts'
import { revisionHeader } from './answer.ts'
import { announcedLength } from './body.ts'
import { limitAge } from './connectionage.ts'
import { createDispatcher, type Dispatch } from './dispatcher.ts'
import { guarded } from './guard.ts'
import { refuse } from './infer.ts'

const maxHeaderBytes = 32 * 1024

/** How long a connection may take, in milliseconds. Who sends slower than this holds a connection, and no memory. */
export interface Patience {
  /** For the head of a request. */
  readonly headersMs: number
  /** For a whole request. */
  readonly requestMs: number
  /** Between two requests. */
  readonly idleMs: number
  /** To read why its request was broken off, and to end its side. */
  readonly farewellMs: number
}

const patience: Patience = {
  headersMs: 30_000,
  requestMs: 300_000,
  // Longer than the idle timeout of common load balancers (60 s), so that they close first and never hit a closed one.
  idleMs: 75_000,
  farewellMs: 5000,
}

/** How long a connection that has never sent a request may still send one when the server ends. */
const silenceMs = 1000

/** How long a client may take to agree on TLS. */
export const handshakeMs = 10_000

export interface ServerOptions {
  readonly connectionMaxAgeMs: number
  /** Undefined lets everybody in. */
  readonly access?: Access | undefined
  /** Undefined speaks plain HTTP. */
  readonly tls?: Identity | undefined
}

export interface HttpServer {
  /** What takes another certificate, where it speaks TLS. */
  readonly secured: Secured | undefined
  /** Starts to listen. Resolves with the port, which the system chooses for 0. */
  listen(port: number): Promise<number>
  /** Stops accepting and resolves when every answer in flight has been sent. */
  close(): Promise<void>
}

export function createHttpServer(
  context: Dispatch & ServerOptions,
  { headersMs, requestMs, idleMs, farewellMs } = patience,
): HttpServer {
  const { access, tls } = context
  const open = createDispatcher(context)
  const dispatched = access === undefined ? open : guarded(access, context, open)
  // Node takes a connection on which nothing was ever sent for a busy one, and waits for it when the server closes.
  const silent = new Set<Socket>()
  const dispatch: RequestListener = (request, response) => {
    if (silent.size > 0) silent.delete(request.socket)
    if (request.headers.host === undefined && request.httpVersion !== '1.0') {
      const reason = 'it has no Host header'
      return refuse(request, response, fault('BadHttp', { reason }), context, {
        protocol: 'oip',
        started: performance.now(),
      })
    }
    request.url = originForm(request.url ?? '/')
    return dispatched(request, response)
  }
  const options = {
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: idleMs,
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: Math.min(30_000, headersMs),
    noDelay: true,
    // Node's own refusal of a request without a host has no words.
    requireHostHeader: false,
  }
  const secured =
    tls === undefined ? undefined : createTlsServer({ ...options, ...tls, handshakeTimeout: handshakeMs }, dispatch)
  const server = secured ?? createServer(options, dispatch)
  const connected = secured === undefined ? 'connection' : 'secureConnection'
  limitAge(server, connected, context.connectionMaxAgeMs)
  server.on(connected, (socket: Socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  // A client that asks before it sends a large body gets its refusal instead of the permission to send.
  server.on('checkContinue', (request, response: ServerResponse) => {
    if ((announcedLength(request) ?? 0) <= context.maxBodyBytes) response.writeContinue()
    dispatch(request, response)
  })
  // What else a client may expect of a server nobody knows: it is answered as if it had asked for nothing (RFC 9110, 10.1.1).
  server.on('checkExpectation', dispatch)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    answerBroken(error, socket, context.answering.revision)
    // Node looks at a connection's time once. Who goes on sending would keep it from now on, and what it sends would be
    // held; cut off at once, it would read a reset instead of the answer.
    const timer = setTimeout(() => socket.destroy(), farewellMs)
    socket.once('close', () => clearTimeout(timer))
  })
  return {
    secured,
    listen: (port) => listen(server, port),
    close() {
      setTimeout(() => silent.forEach((socket) => socket.destroy()), silenceMs).unref()
      return close(server)
    },
  }
}

/** The path and query of a request's target, which clients of a proxy write with the server before it (RFC 9112, 3.2.2). */
function originForm(target: string): string {
  if (target.startsWith('/')) return target
  const rest = target.replace(/^https?:\/\/[^/?#]*/i, '')
  return rest === '' || rest.startsWith('?') ? `/${rest}` : rest
}

/** Listens on all addresses. @throws Fault `BadConfiguration` when the port is taken, or may not be used */
export async function listen(server: NetServer, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const refused = (error: Error): void =>
      reject(
        fault('BadConfiguration', {
          problem: `the port ${port} cannot be used: ${error.message}`,
          remedy:
            'give SLIPWAY_HTTP_PORT, SLIPWAY_GRPC_PORT and SLIPWAY_METRICS_PORT ports that no other container of the pod has',
        }),
      )
    server.once('error', refused)
    server.listen(port, () => {
      server.off('error', refused)
      resolve()
    })
  })
  const address: AddressInfo | string | null = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

export function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)))
    server.closeIdleConnections()
  })
}

/** The answer under way on a connection, where Node itself looks for it in the same case. */
type Answered = Duplex & { readonly _httpMessage?: ServerResponse | null }

/** Answers a request that Node's parser refused, in the same form as every other error. */
function answerBroken(error: NodeJS.ErrnoException, socket: Duplex, revision: string): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // Where an answer is on its way already, a second one would be read as part of it.
  // oxlint-disable-next-line no-underscore-dangle -- Node's own name
  if ((socket as Answered)._httpMessage?.headersSent === true) return void socket.end()
  const { status, message } = faultOfParser(error)
  const body = JSON.stringify({ error: message })
  socket.end(
    [
      `HTTP/1.1 ${status} Error`,
      'connection: close',
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      `${revisionHeader}: ${revision}`,
      '',
      body,
    ].join('\r\n'),
  )
}

function faultOfParser(error: NodeJS.ErrnoException): Fault {
  if (error.code === 'HPE_HEADER_OVERFLOW') return fault('HeadersTooLarge', { limit: printBytes(maxHeaderBytes) })
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return fault('RequestTimeout', {})
  return fault('BadHttp', { reason: error.message })
}
