/**
 * Gives the memory of large messages back at once, as `http/body.ts` does over HTTP. V8 counts memory outside its heap, and
 * marks the whole heap when it has grown: left to it, that took as much time as reading, running and answering.
 * It must never give back what anybody may still read.
 */
import type { Server } from '@grpc/grpc-js'
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import { inferPath, streamPath } from './arriving.ts'
import { http2ServerOf } from './connections.ts'
import { Framing } from './framing.ts'

/** Less is not worth the call, in bytes. */
export const leastFreed = 16 * 1024

/** Frees what inference over this server has read and written. Call it when grpc-js has its own listeners. */
export function freePieces(server: Server): void {
  const reads = new WeakMap<Http2Session, Reads>()
  http2ServerOf(server).on('stream', (stream, headers) => {
    const { session } = stream
    if (session === undefined) return
    const read = reads.get(session) ?? new Reads()
    reads.set(session, read)
    watch(stream, read)
    const path = headers[':path']
    if (path !== inferPath && path !== streamPath) return
    freeRead(stream, read)
    freeWritten(stream)
  })
}

/**
 * What node:http2 reads from a connection at once, up to 64 KiB, lies in one piece of memory, and the frames in it go to their
 * streams as views. It can be freed when every stream is done with its views and node:http2 has gone on to the next piece.
 */
export class Reads {
  /** How many views of each piece are in use. Those of calls that break off stay here, and go with the collectors. */
  readonly #views = new WeakMap<ArrayBuffer, number>()
  #current: ArrayBuffer | undefined

  /** A view of this memory goes to a stream. */
  arrived(memory: ArrayBuffer): void {
    const before = this.#current
    this.#current = memory
    this.#views.set(memory, (this.#views.get(memory) ?? 0) + 1)
    if (before !== undefined && before !== memory) this.#free(before)
  }

  /** A view of this memory is not needed any more. */
  done(memory: ArrayBuffer): void {
    this.#views.set(memory, (this.#views.get(memory) ?? 0) - 1)
    if (memory !== this.#current) this.#free(memory)
  }

  #free(memory: ArrayBuffer): void {
    if (this.#views.get(memory) === 0) free(memory)
  }
}

/** Counts views when they come: a stream that is paused holds them before anybody hears of them. */
function watch(stream: ServerHttp2Stream, read: Reads): void {
  const push = stream.push.bind(stream)
  stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (Buffer.isBuffer(chunk)) read.arrived(chunk.buffer as ArrayBuffer)
    return push(chunk, encoding)
  }
}

/** grpc-js puts a message together in memory of its own when its last byte has come, and looks at its views no more. */
function freeRead(stream: ServerHttp2Stream, read: Reads): void {
  const framing = new Framing()
  let held: ArrayBuffer[] = []
  stream.on('data', (chunk: Buffer) => {
    const left = framing.take(chunk)
    const memory = chunk.buffer as ArrayBuffer
    held.push(memory)
    // A message may begin in the view in which another ends.
    if (left >= chunk.byteLength) return
    const over = left === 0 ? held : held.slice(0, -1)
    held = left === 0 ? [] : [memory]
    for (const each of over) read.done(each)
  })
}

/** The frame of an answer is a copy that grpc-js has made for the stream alone. */
function freeWritten(stream: ServerHttp2Stream): void {
  type Written = (error: Error | null | undefined) => void
  const write = stream.write.bind(stream) as (chunk: Buffer, written: Written) => boolean
  const freeing = (chunk: Buffer, written: Written): boolean =>
    write(chunk, (error) => {
      written(error)
      if (error === undefined || error === null) freeOwn(chunk)
    })
  stream.write = freeing as typeof stream.write
}

/** An answer whose memory is free when grpc-js has copied it into its frame. Nobody else may look at that memory. */
export function copiedOnce(answer: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  // A small one may lie in Node's pool, with what is somebody else's.
  if (answer.buffer.byteLength <= Buffer.poolSize) return answer
  answer.copy = (target, ...places) => {
    const copied = Buffer.prototype.copy.call(answer, target, ...places)
    free(answer.buffer)
    return copied
  }
  return answer
}

function freeOwn({ buffer, byteOffset, byteLength }: Buffer): void {
  if (byteOffset === 0 && buffer.byteLength === byteLength) free(buffer as ArrayBuffer)
}

function free(memory: ArrayBuffer): void {
  if (memory.byteLength >= leastFreed) memory.transfer(0)
}
