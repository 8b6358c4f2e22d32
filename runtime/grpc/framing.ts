/**
 * Where messages begin and end in the bytes of a gRPC stream: before each stand five bytes, whether it is compressed and how
 * long it is.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Length-Prefixed-Message)
 */

const headBytes = 5

export class Framing {
  readonly #head = Buffer.alloc(headBytes)
  /** Bytes of the message that is coming, its head included. */
  #arrived = 0

  /** Takes the next bytes as they come. @returns how many bytes of a message that is not whole have come by now */
  take(chunk: Uint8Array): number {
    for (let at = 0; at < chunk.byteLength;) {
      const ofHead = Math.max(0, Math.min(headBytes - this.#arrived, chunk.byteLength - at))
      if (ofHead > 0) this.#head.set(chunk.subarray(at, at + ofHead), this.#arrived)
      this.#arrived += ofHead
      at += ofHead
      if (this.#arrived < headBytes) break
      const missing = headBytes + this.#head.readUInt32BE(1) - this.#arrived
      const ofBody = Math.min(missing, chunk.byteLength - at)
      at += ofBody
      this.#arrived = ofBody === missing ? 0 : this.#arrived + ofBody
    }
    return this.#arrived
  }
}
