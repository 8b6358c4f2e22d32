/**
 * Writes the protobuf wire format into one growing buffer.
 * Messages inside messages are written after their size is known, so every caller computes sizes first or writes into
 * a writer of its own.
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 */
import { wireType } from './reader.ts'

export class ProtoWriter {
  #bytes: Buffer<ArrayBuffer>
  #at = 0

  /** @param size bytes expected; the buffer grows when there are more */
  constructor(size = 256) {
    // Its own memory, not a part of Node's pool: the result may be transferred to another thread.
    this.#bytes = Buffer.from(new ArrayBuffer(size))
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#at
  }

  /** What was written, as a view of the writer's buffer. */
  finish(): Buffer<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at)
  }

  tag(field: number, wire: number): this {
    return this.uint32(((field << 3) | wire) >>> 0)
  }

  uint32(value: number): this {
    this.#room(5)
    let rest = value
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#at++] = rest
    return this
  }

  /** A varint of 64 bits from its two halves, as 32-bit patterns. */
  varint64(low: number, high: number): this {
    this.#room(10)
    let rest = low >>> 0
    let above = high >>> 0
    while (above !== 0) {
      this.#bytes[this.#at++] = (rest & 127) | 128
      rest = ((rest >>> 7) | (above << 25)) >>> 0
      above >>>= 7
    }
    return this.uint32(rest)
  }

  /** A signed 32-bit value; negative ones take ten bytes, as protobuf wants it. */
  int32(value: number): this {
    return this.varint64(value, value < 0 ? -1 : 0)
  }

  /** A signed or unsigned 64-bit value. */
  int64(value: bigint): this {
    return this.varint64(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)))
  }

  float(value: number): this {
    this.#room(4)
    this.#at = this.#bytes.writeFloatLE(value, this.#at)
    return this
  }

  double(value: number): this {
    this.#room(8)
    this.#at = this.#bytes.writeDoubleLE(value, this.#at)
    return this
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): this {
    this.#room(bytes.byteLength)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.byteLength
    return this
  }

  /** A field of bytes, or of an already written message. */
  bytes(field: number, bytes: Uint8Array): this {
    return this.tag(field, wireType.bytes).uint32(bytes.byteLength).raw(bytes)
  }

  string(field: number, text: string): this {
    const length = Buffer.byteLength(text)
    this.tag(field, wireType.bytes).uint32(length).#room(length)
    this.#at += this.#bytes.write(text, this.#at)
    return this
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.byteLength) return
    const larger = Buffer.from(new ArrayBuffer(Math.max(needed, this.#bytes.byteLength * 2)))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}
