/**
 * Gives the memory of large messages back at once, as `http/body.ts` does over HTTP. V8 counts memory outside its heap, and
 * marks the whole heap when it has grown: left to it, that took as much time as reading, running and answering.
 * It must never give back what anybody may still read.
 */
import type { Server } from '@grpc/grpc-js'
import type { Http2Session, ServerHttp2Stream } from 'node:http2'
import { Readable, Writable } from 'node:stream'
import { inferPath, streamPath } from './arriving.ts'
import { http2ServerOf } from './connections.ts'
import { Framing } from './framing.ts'

/** Less is not worth the call, in bytes. */
export const leastFreed = 16 * 1024

/** Frees what inference over this server has read and written. Call it when grpc-js has its own listeners. */
export function freePieces(server: Server): void {
  const reads = new WeakMap<Http2Session, Reads>()
  /** Counts views when they come: a stream that is paused holds them before anybody hears of them. */
  function push(this: ServerHttp2Stream, chunk: unknown, encoding?: BufferEncoding): boolean {
    if (Buffer.isBuffer(chunk) && this.session !== undefined)
      reads.get(this.session)?.arrived(chunk.buffer as ArrayBuffer)
    return Readable.prototype.push.call(this, chunk, encoding)
  }
  http2ServerOf(server).on('stream', (stream, headers) => {
    const { session } = stream
    if (session === undefined) return
    const read = reads.get(session) ?? new Reads()
    reads.set(session, read)
    // One function for all streams: to make some for each costs more than all else here, where messages are small.
    stream.push = push
    const path = headers[':path']
    if (path === inferPath) freeLone(stream, read)
    else if (path === streamPath) freeEach(stream, read)
    else return
    stream.write = writeFreeing as typeof stream.write
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
    const small = memory.byteLength < leastFreed
    this.#current = small ? undefined : memory
    if (!small) this.#views.set(memory, (this.#views.get(memory) ?? 0) + 1)
    if (before !== undefined && before !== memory) this.#free(before)
  }

  /** A view of this memory is not needed any more. */
  done(memory: ArrayBuffer): void {
    if (memory.byteLength < leastFreed) return
    this.#views.set(memory, (this.#views.get(memory) ?? 0) - 1)
    if (memory !== this.#current) this.#free(memory)
  }

  #free(memory: ArrayBuffer): void {
    if (this.#views.get(memory) === 0) free(memory)
  }
}

/** A lone message has been put together in memory of grpc-js' own when its client says that it was the only one. */
function freeLone(stream: ServerHttp2Stream, read: Reads): void {
  const held: ArrayBuffer[] = []
  const over = (): void => {
    for (const each of held) read.done(each)
  }
  stream.on('data', ({ buffer }: Buffer) => {
    if (buffer.byteLength < leastFreed) return
    if (held.length === 0) stream.on('end', over)
    held.push(buffer as ArrayBuffer)
  })
}

/** grpc-js puts a message together in memory of its own when its last byte has come, and looks at its views no more. */
function freeEach(stream: ServerHttp2Stream, read: Reads): void {
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

type Written = (error: Error | null | undefined) => void
type Write = (this: ServerHttp2Stream, chunk: Buffer, written: Written) => boolean

/** No encoding is looked at where bytes are written, but one has to be named. */
const encoding = 'utf8'

/** The frame of an answer is a copy that grpc-js has made for the stream alone. */
const writeFreeing: Write = function (chunk, written) {
  if (chunk.byteLength < leastFreed) return Writable.prototype.write.call(this, chunk, encoding, written)
  const free: Written = (error) => {
    written(error)
    if (error === undefined || error === null) freeOwn(chunk)
  }
  return Writable.prototype.write.call(this, chunk, encoding, free)
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
