/**
 * Writes the protobuf wire format into one growing buffer.
 * Memory of its own costs more than what a small message has to write into it: messages inside messages are written in
 * place, and who copies what was written uses one writer again and again.
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

  /** Begins anew in the same memory, so that what `finish` gave before is written over. */
  clear(): this {
    this.#at = 0
    return this
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
    const { length } = text
    this.tag(field, wireType.bytes).#room(5 + length)
    if (length <= shortText && this.#ascii(text)) return this
    const size = Buffer.byteLength(text)
    this.uint32(size).#room(size)
    this.#at += this.#bytes.write(text, this.#at)
    return this
  }

  /** A field of a message that is written right here. @param write its fields, into this writer and nothing else */
  message(field: number, write: (inner: this) => void): this {
    this.tag(field, wireType.bytes).#room(5)
    // Most are so short that their length takes one byte.
    const start = this.#at + 1
    this.#at = start
    write(this)
    const size = this.#at - start
    if (size < 128) {
      this.#bytes[start - 1] = size
      return this
    }
    this.#room(5)
    this.#at = start - 1
    const from = start + size
    const head = varintBytes(size)
    this.#bytes.copyWithin(this.#at + head, start, from)
    this.uint32(size)
    this.#at += size
    return this
  }

  /** Names are short and of these letters; to ask Node for their length and bytes takes longer than to write them. */
  #ascii(text: string): boolean {
    const bytes = this.#bytes
    const { length } = text
    let at = this.#at
    bytes[at++] = length
    for (let place = 0; place < length; place += 1) {
      const code = text.charCodeAt(place)
      if (code > 0x7f) return false
      bytes[at++] = code
    }
    this.#at = at
    return true
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.byteLength) return
    const larger = Buffer.from(new ArrayBuffer(Math.max(needed, this.#bytes.byteLength * 2)))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}

/** In letters; its length has one byte. */
const shortText = 64

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes += 1
  return bytes
}
