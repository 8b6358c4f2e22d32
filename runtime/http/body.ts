/**
 * Reads a request body into one buffer of its own, which can be transferred to another thread.
 * It must never hold more than the limit, whatever the client announces or streams.
 */
import type { IncomingMessage } from 'node:http'
import { fault, printBytes, type Fault } from '../errors.ts'

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

/**
 * Reads the whole body.
 * @throws Fault `BodyTooLarge` or `QueueFull` (nothing stays reserved); ClientGone
 */
export function readBody(request: IncomingMessage, limit: number, reservations: Reservations): Promise<Body> {
  const length = announcedLength(request)
  if (length !== undefined && length > limit) {
    const found = printBytes(length)
    return Promise.reject(fault('BodyTooLarge', { found, limit: printBytes(limit) }))
  }
  return new Promise((resolve, reject) => {
    let reserved = 0
    let bytes = new Uint8Array(0)
    let at = 0
    const stop = (error: Error): void => {
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('close', onClose)
      reservations.release(reserved)
      reject(error)
    }
    const grow = (size: number): boolean => {
      const refused = reservations.reserve(size - reserved)
      if (refused !== undefined) {
        stop(refused)
        return false
      }
      reserved = size
      const larger = new Uint8Array(size)
      larger.set(bytes.subarray(0, at))
      bytes = larger
      return true
    }
    const onData = (chunk: Buffer): void => {
      const needed = at + chunk.length
      if (needed > limit) {
        stop(fault('BodyTooLarge', { found: `more than ${printBytes(limit)}`, limit: printBytes(limit) }))
        return
      }
      if (needed > bytes.length && !grow(Math.min(limit, Math.max(needed, bytes.length * 2, 65_536)))) return
      bytes.set(chunk, at)
      at = needed
    }
    const onEnd = (): void => {
      request.off('close', onClose)
      resolve({ bytes: at === bytes.length ? bytes : bytes.subarray(0, at), reserved })
    }
    const onClose = (): void => stop(new ClientGone('the client went away while it sent its request'))
    if (length !== undefined && length > 0 && !grow(length)) return
    request.on('data', onData)
    request.on('end', onEnd)
    request.on('close', onClose)
  })
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
