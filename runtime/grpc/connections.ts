/**
 * How connections end without losing a call: first their clients are told to open no further calls on them, and only
 * when that has had time to arrive are they closed. grpc-js does both in one moment, when a connection is too old or the
 * server shuts down, and a call that is on its way then fails with "Connection dropped".
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-6.8 on a graceful shutdown in two steps
 */
import type { Server } from '@grpc/grpc-js'
import { constants, type Http2Server, type ServerHttp2Session } from 'node:http2'

/** The highest number that a call may have: all that were sent before the news arrived are still answered. */
const everyCall = 2 ** 31 - 1

/** How long the news may take to arrive, in milliseconds. */
const newsMs = 5000

export class Connections {
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #maxAgeMs: number

  /** @param maxAgeMs connections end after about this time, so that clients follow their Service */
  constructor(server: Server, maxAgeMs: number) {
    this.#maxAgeMs = maxAgeMs
    http2ServerOf(server).on('session', (session) => this.#opened(session))
  }

  /** Tells every client to open its next connection elsewhere. Calls go on. */
  end(): void {
    for (const session of this.#sessions) endSession(session)
  }

  /** Resolves when every connection is gone, or after `patienceMs`. */
  async gone(patienceMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, patienceMs)
    const leave = (): void => {
      if (this.#sessions.size === 0) resolve()
    }
    for (const session of this.#sessions) session.once('close', leave)
    leave()
    await promise
    clearTimeout(timer)
  }

  #opened(session: ServerHttp2Session): void {
    // Spread by a fifth, so that they do not all come back at once.
    const timer = setTimeout(() => endSession(session), this.#maxAgeMs * (0.8 + 0.4 * Math.random())).unref()
    this.#sessions.add(session)
    session.once('close', () => {
      clearTimeout(timer)
      this.#sessions.delete(session)
    })
  }
}

function endSession(session: ServerHttp2Session): void {
  if (session.closed || session.destroyed) return
  session.goaway(constants.NGHTTP2_NO_ERROR, everyCall)
  // The client closes it after its last call. This is for one that does not care.
  const timer = setTimeout(() => {
    if (!session.closed && !session.destroyed) session.close()
  }, newsMs).unref()
  session.once('close', () => clearTimeout(timer))
}

/** grpc-js has no way of its own to its HTTP/2 server; its version is pinned. */
export function http2ServerOf(server: Server): Http2Server {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<Http2Server, unknown> }
  const found = http2Servers?.keys().next().value
  if (found !== undefined) return found
  throw new Error('grpc-js keeps its HTTP/2 server in another place; runtime/grpc/connections.ts has to follow it')
}
