/**
 * Reads a request body into one buffer of its own, which can be transferred to another thread.
 * It must never hold more than the limit, whatever the client announces, streams or has compressed.
 */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { leastReused, type BodyMemory } from '../bodymemory.ts'
import { fault, printBytes, wordsOf, type Fault } from '../errors.ts'
import { tensorAlignment } from '../protocols/binary.ts'
import { decoderOf, type Coding } from './encoding.ts'

/** The client went away before its body was complete; there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

/** Bytes set aside for bodies, so that many large ones cannot exhaust the memory. */
export interface Reservations {
  reserve(bytes: number): Fault | undefined
  release(bytes: number): void
}

/** The announced length; undefined for a chunked body. Node's parser has refused malformed ones already. */
export function announcedLength(request: IncomingMessage): number | undefined {
  const header = request.headers['content-length']
  if (header !== undefined) return Number(header)
  return request.headers['transfer-encoding'] === undefined ? 0 : undefined
}

export interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** What was reserved for it, to be released when the request is over. */
  readonly reserved: number
}

export interface BodyOptions {
  /** The most bytes it may have, decompressed. */
  readonly maxBytes: number
  readonly coding: Coding | undefined
  /** Which offset of the body must lie aligned: where binary tensors begin. */
  readonly aligned: number
  readonly reservations: Reservations
  readonly memory: BodyMemory
}

/** A body is given its memory when this share of it is there: who announces more than is sent costs so many times that. */
const enoughShare = 1 / 8

/**
 * Reads the whole body.
 * @throws Fault `BodyTooLarge`, `BodyBroken` or `QueueFull` (nothing stays reserved); ClientGone
 */
export function readBody(request: IncomingMessage, options: BodyOptions): Promise<Body> {
  const { maxBytes, coding, aligned, reservations, memory } = options
  const length = announcedLength(request)
  if (length !== undefined && length > maxBytes) {
    return Promise.reject(fault('BodyTooLarge', { found: printBytes(length), limit: printBytes(maxBytes) }))
  }
  const decoder = coding === undefined ? undefined : decoderOf(coding)
  const source: Readable = decoder === undefined ? request : request.pipe(decoder)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let held = 0
    /** Where a large body goes as it comes, so that its chunks need not be kept until the end. */
    let target: Uint8Array<ArrayBuffer> | undefined
    const known = decoder === undefined && length !== undefined && length >= leastReused ? length : Infinity
    let over = false
    /** A piece is not needed any more. */
    const done = (chunk: Buffer): void => {
      if (decoder === undefined) free(chunk)
    }
    const leave = (): void => {
      over = true
      source.off('data', onData)
      source.off('end', onEnd)
      request.off('close', onClose)
    }
    const stop = (error: Error): void => {
      if (over) return
      leave()
      if (decoder !== undefined) {
        request.unpipe(decoder)
        decoder.destroy()
      }
      if (target !== undefined) memory.give(target.buffer)
      reservations.release(held)
      reject(error)
    }
    // Bytes are reserved as they come, not as they are announced: a client that announces much and sends nothing
    // would otherwise take the memory of everybody else.
    const onData = (chunk: Buffer): void => {
      if (held + chunk.length > maxBytes) {
        const found = `more than ${printBytes(maxBytes)}${coding === undefined ? '' : ` when decompressed`}`
        return stop(fault('BodyTooLarge', { found, limit: printBytes(maxBytes) }))
      }
      const refused = reservations.reserve(chunk.length)
      if (refused !== undefined) return stop(refused)
      held += chunk.length
      if (target !== undefined) {
        target.set(chunk, held - chunk.length)
        return done(chunk)
      }
      chunks.push(chunk)
      if (held < known * enoughShare) return undefined
      target = placed(known, aligned, memory)
      copy(chunks, target)
      chunks.splice(0).forEach(done)
      return undefined
    }
    const onEnd = (): void => {
      leave()
      const [first] = chunks
      const alone = decoder === undefined && chunks.length === 1 && first !== undefined && ownsMemory(first, aligned)
      const bytes = alone ? ownBytes(first) : (target ?? placed(held, aligned, memory))
      if (!alone) copy(chunks, bytes)
      resolve({ bytes, reserved: held })
    }
    const onClose = (): void => {
      if (!request.complete) stop(new ClientGone('the client went away while it sent its request'))
    }
    // Stays after the end: an error that comes late has nobody to tell, and must not end the process.
    decoder?.on('error', (error) => stop(fault('BodyBroken', { coding: coding ?? '', words: wordsOf(error) })))
    source.on('data', onData)
    source.on('end', onEnd)
    request.on('close', onClose)
  })
}

/** Node's parser gives each piece memory of its own. A whole body in one piece stays there, if its tensors lie as they must. */
const ownsMemory = ({ buffer, byteOffset, byteLength }: Buffer, aligned: number): boolean =>
  byteOffset === 0 && buffer.byteLength === byteLength && aligned % tensorAlignment === 0

/**
 * Gives the memory of a piece back at once. Left to the collectors, the pieces of large bodies make V8 mark its whole heap
 * every fifty requests, because memory outside of it grows: that took more time than reading, running and answering.
 */
function free(chunk: Buffer): void {
  if (ownsMemory(chunk, 0)) (chunk.buffer as ArrayBuffer).transfer(0)
}

const ownBytes = ({ buffer }: Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(buffer as ArrayBuffer)

/** Room for a body, placed so that its byte `aligned` lies as tensors must. */
function placed(length: number, aligned: number, memory: BodyMemory): Uint8Array<ArrayBuffer> {
  const lead = (tensorAlignment - (aligned % tensorAlignment)) % tensorAlignment
  return new Uint8Array(memory.take(lead + length), lead, length)
}

function copy(chunks: readonly Buffer[], target: Uint8Array): void {
  let at = 0
  for (const chunk of chunks) {
    target.set(chunk, at)
    at += chunk.length
  }
}

/**
 * Lets a client that is still sending read the answer it has got: what it sends is thrown away until it stops.
 * Closing at once would reset the connection, and the client would see that instead of the answer.
 * @param done called once, when the rest has been read or the patience is over
 */
export function discardRest(request: IncomingMessage, done: () => void, patienceMs = 5000): void {
  if (request.complete || request.destroyed) return done()
  const finish = (): void => {
    clearTimeout(timer)
    request.off('end', finish)
    request.off('close', finish)
    done()
  }
  const timer = setTimeout(finish, patienceMs)
  request.on('end', finish)
  request.on('close', finish)
  request.resume()
}
