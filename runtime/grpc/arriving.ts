/**
 * Counts messages that are still on their way against the bytes that all requests may hold. grpc-js keeps a message until
 * it is whole, and many that never become whole would otherwise take the memory of everybody.
 */
import type { Server } from '@grpc/grpc-js'
import { constants } from 'node:http2'
import type { Reservations } from '../http/body.ts'
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
  // grpc-js has its own listeners by now, and has paused the stream: a further one takes nothing away from it.
  http2ServerOf(server).on('stream', (stream, headers) => {
    const bytes = held()
    const path = headers[':path']
    if ((path !== inferPath && path !== streamPath) || bytes === undefined) return
    // A lone message is held until its client says that it was the only one; those of a stream are read one by one.
    const framing = path === streamPath ? new Framing() : undefined
    let arrived = 0
    const releaseTo = (left: number): void => {
      bytes.release(arrived - left)
      arrived = left
    }
    let timer: NodeJS.Timeout | undefined
    const rest = (): void => {
      clearTimeout(timer)
      timer = undefined
    }
    const release = (): void => {
      rest()
      releaseTo(0)
    }
    const refuse = (): void => {
      release()
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    }
    stream.on('data', (chunk: Buffer) => {
      if (stream.closed) return
      if (bytes.reserve(chunk.length) !== undefined) return refuse()
      arrived += chunk.length
      const left = framing === undefined ? arrived : framing.take(chunk)
      // One has become whole. A client waits between messages as long as it likes, and each has its own time.
      if (left < arrived) rest()
      releaseTo(left)
      if (left > 0) timer ??= setTimeout(refuse, patienceMs)
    })
    // Who reads the message reserves it anew, and runs after this.
    stream.prependListener('end', release)
    stream.once('close', release)
  })
}
