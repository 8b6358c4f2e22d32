/**
 * How connections end without losing a call: first their clients are told to open no further calls on them, and only
 * when that has had time to arrive are they closed. grpc-js does both in one moment, when a connection is too old or the
 * server shuts down, and a call that is on its way then fails with "Connection dropped".
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-6.8 on a graceful shutdown in two steps
 */
import type { Server } from '@grpc/grpc-js'
import type { Http2Server, ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'

/** GOAWAY, NO_ERROR, with the highest number that a call may have: all that are on their way are still answered. */
const shutdownNotice = Buffer.from('0000080700000000007fffffff00000000', 'hex')

/** How long the news may take to arrive, in milliseconds. */
const newsMs = 5000

export class Connections {
  /** With the socket under each: node:http2 keeps it from writers, and whole frames of ours do it no harm. */
  readonly #sessions = new Map<ServerHttp2Session, Duplex | undefined>()
  readonly #maxAgeMs: number

  /** @param maxAgeMs connections end after about this time, so that clients follow their Service */
  constructor(server: Server, maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs
    const http2 = http2ServerOf(server)
    let socket: Duplex | undefined
    // A session is opened while its connection is being announced.
    http2.prependListener('connection', (announced: Duplex) => (socket = announced))
    http2.on('session', (session) => this.#opened(session, socket))
  }

  /** Tells every client to open its next connection elsewhere. Calls go on. */
  end(): void {
    for (const [session, socket] of this.#sessions) endSession(session, socket)
  }

  /** Resolves when every connection is gone, or after `patienceMs`. */
  async gone(patienceMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, patienceMs)
    const leave = (): void => {
      if (this.#sessions.size === 0) resolve()
    }
    for (const session of this.#sessions.keys()) session.once('close', leave)
    leave()
    await promise
    clearTimeout(timer)
  }

  #opened(session: ServerHttp2Session, socket: Duplex | undefined): void {
    // Spread by a fifth, so that they do not all come back at once.
    const timer = setTimeout(() => endSession(session, socket), this.#maxAgeMs * (0.8 + 0.4 * Math.random())).unref()
    this.#sessions.set(session, socket)
    session.once('close', () => {
      clearTimeout(timer)
      this.#sessions.delete(session)
    })
  }
}

/**
 * Its client is told to open no further call, and what is on its way is still answered. The frame is written past nghttp2,
 * which takes no new call once it has itself said GOAWAY, whatever number it said: such a call is left unanswered until
 * the connection is closed, and then refused. node:http2 has no shutdown notice, which is made for this.
 */
function endSession(session: ServerHttp2Session, socket: Duplex | undefined): void {
  if (isOver(session)) return
  socket?.write(shutdownNotice)
  // The client closes it after its last call. This is for one that does not care.
  const timer = setTimeout(() => {
    if (!isOver(session)) session.close()
  }, newsMs).unref()
  session.once('close', () => clearTimeout(timer))
}

const isOver = (session: ServerHttp2Session): boolean => session.closed || session.destroyed

/** grpc-js has no way of its own to its HTTP/2 server; its version is pinned. */
export function http2ServerOf(server: Server): Http2Server {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<Http2Server, unknown> }
  const found = http2Servers?.keys().next().value
  if (found !== undefined) return found
  throw new Error('grpc-js keeps its HTTP/2 server in another place; runtime/grpc/connections.ts has to follow it')
}
