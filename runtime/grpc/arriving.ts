/**
 * Counts messages that are still on their way against the bytes that all requests may hold. grpc-js keeps a message until
 * it is whole, and many that never become whole would otherwise take the memory of everybody.
 */
import type { Server } from '@grpc/grpc-js'
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Reservations } from '../http/body.ts'
import { WaitingLine, type Place } from '../scheduling/queue.ts'
import { serviceName } from './api/inference.ts'
import { http2ServerOf } from './connections.ts'
import { Framing } from './framing.ts'

export const inferPath = `/${serviceName}/ModelInfer`
export const streamPath = `/${serviceName}/ModelStreamInfer`

/** How long a message may take to become whole, in milliseconds: as long as a request over HTTP. */
const messageMs = 300_000

/**
 * Ends calls whose bytes find no room, or whose message does not become whole in time. A client of gRPC reads that end as
 * RESOURCE_EXHAUSTED.
 * @param held where bytes are counted now; undefined while nothing is served
 * @param patienceMs how long a message may be on its way
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
 */
export function countArriving(
  server: Server,
  held: () => Reservations | undefined,
  patienceMs: number = messageMs,
): void {
  // One timer for all of them: most messages come in one piece, and a timer for each costs more than to count it.
  const line: Line = new WaitingLine({
    maxEntries: Infinity,
    maxWaitMs: patienceMs,
    onExpired: (arriving) => arriving.refuse(),
  })
  // grpc-js has its own listeners by now, and has paused the stream: a further one takes nothing away from it.
  http2ServerOf(server).on('stream', (stream, headers) => {
    const bytes = held()
    const path = headers[':path']
    if ((path !== inferPath && path !== streamPath) || bytes === undefined) return
    // A lone message is held until its client says that it was the only one; those of a stream are read one by one.
    const arriving = new Arriving(stream, bytes, line, path === streamPath ? new Framing() : undefined)
    const release = (): void => arriving.release()
    stream.on('data', (chunk: Buffer) => arriving.take(chunk))
    // Who reads the message reserves it anew, and runs after this.
    stream.prependListener('end', release)
    stream.on('close', release)
  })
}

type Line = WaitingLine<Arriving>

/** The bytes of one call that are not read yet. */
class Arriving {
  readonly #stream: ServerHttp2Stream
  readonly #bytes: Reservations
  readonly #line: Line
  readonly #framing: Framing | undefined
  #arrived = 0
  /** Where it waits for the rest of its message. */
  #place: Place<Arriving> | undefined

  constructor(stream: ServerHttp2Stream, bytes: Reservations, line: Line, framing: Framing | undefined) {
    this.#stream = stream
    this.#bytes = bytes
    this.#line = line
    this.#framing = framing
  }

  take(chunk: Buffer): void {
    if (this.#stream.closed) return
    if (this.#bytes.reserve(chunk.length) !== undefined) return this.refuse()
    this.#arrived += chunk.length
    const left = this.#framing === undefined ? this.#arrived : this.#framing.take(chunk)
    // One has become whole. A client waits between messages as long as it likes, and each has its own time.
    if (left < this.#arrived) this.#rest()
    this.#releaseTo(left)
    if (left > 0) this.#place ??= this.#line.push(this)
  }

  release(): void {
    this.#rest()
    this.#releaseTo(0)
  }

  refuse(): void {
    this.release()
    this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #rest(): void {
    if (this.#place !== undefined) this.#line.remove(this.#place)
    this.#place = undefined
  }

  #releaseTo(left: number): void {
    this.#bytes.release(this.#arrived - left)
    this.#arrived = left
  }
}
