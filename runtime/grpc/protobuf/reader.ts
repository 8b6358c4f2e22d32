/**
 * Reads the protobuf wire format from bytes that anybody may have sent. It returns views, never copies.
 * It must never read past its end, loop without moving on, or allocate by a length that the bytes do not back up.
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 */
import { isUtf8 } from 'node:buffer'
import { fault, type Fault } from '../../errors.ts'

/** How a field's value is written. Groups (3 and 4) are long out of use, but may be skipped. */
export const wireType = { varint: 0, fixed64: 1, bytes: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const

/** Groups inside groups that a skipped field may have. */
const maxGroups = 32

export class ProtoReader {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The place of the next byte to read, and where this message ends. */
  at: number
  end: number
  /** The field that `next` found. */
  field = 0
  wire = 0
  /** The two halves of the last varint read by `varint64`, as 32-bit patterns. */
  low = 0
  high = 0
  readonly #message: string

  /** @param message what is read, for errors, such as `ModelInferRequest` */
  constructor(bytes: Uint8Array<ArrayBuffer>, message: string, at = 0, end = bytes.byteLength) {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.#message = message
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.at >= this.end) return false
    const tag = this.#varint32()
    this.field = tag >>> 3
    this.wire = tag & 7
    if (this.field === 0) throw this.broken('a field has the number 0')
    return true
  }

  /** Refuses the present field unless it is written as its type asks. */
  expect(wire: number, field: string): void {
    if (this.wire !== wire) throw this.broken(`${field} has wire type ${this.wire} instead of ${wire}`)
  }

  /** Goes past the value of the present field, whatever it is. */
  skip(): void {
    const open: number[] = []
    for (;;) {
      if (this.wire === wireType.varint) this.varint64()
      else if (this.wire === wireType.fixed64) this.#forward(8)
      else if (this.wire === wireType.fixed32) this.#forward(4)
      else if (this.wire === wireType.bytes) this.#forward(this.#varint32())
      else if (this.wire === wireType.startGroup) {
        if (open.length === maxGroups) throw this.broken(`groups nest deeper than ${maxGroups} levels`)
        open.push(this.field)
      } else if (this.wire !== wireType.endGroup) throw this.broken(`there is no wire type ${this.wire}`)
      else if (open.pop() !== this.field) throw this.broken('a group ends that did not begin')
      if (open.length === 0) return
      if (!this.next()) throw this.broken('a group does not end')
    }
  }

  bool(): boolean {
    this.varint64()
    return (this.low | this.high) !== 0
  }

  /** The low 32 bits of a varint, signed: what int32 and enums are. */
  int32(): number {
    this.varint64()
    return this.low | 0
  }

  /** The low 32 bits of a varint, unsigned. */
  uint32(): number {
    this.varint64()
    return this.low >>> 0
  }

  int64(): bigint {
    this.varint64()
    return BigInt.asIntN(64, (BigInt(this.high >>> 0) << 32n) | BigInt(this.low >>> 0))
  }

  uint64(): bigint {
    return BigInt.asUintN(64, this.int64())
  }

  float(): number {
    const at = this.at
    this.#forward(4)
    return this.#view().getFloat32(at, true)
  }

  double(): number {
    const at = this.at
    this.#forward(8)
    return this.#view().getFloat64(at, true)
  }

  /** A view of the bytes that follow with their length. */
  view(): Uint8Array<ArrayBuffer> {
    const length = this.#varint32()
    const at = this.at
    this.#forward(length)
    return this.bytes.subarray(at, at + length)
  }

  /** @throws Fault when the bytes are not UTF-8 */
  string(field: string): string {
    const view = this.view()
    if (!isUtf8(view)) throw this.broken(`${field} is not UTF-8`)
    return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('utf8')
  }

  /** A reader of the message that follows with its length; this one goes on behind it. */
  message(name: string): ProtoReader {
    const length = this.#varint32()
    const at = this.at
    this.#forward(length)
    return new ProtoReader(this.bytes, name, at, at + length)
  }

  /** Reads a varint of up to ten bytes into `low` and `high`; bits past the 64th are dropped, as protobuf does. */
  varint64(): void {
    const { bytes, end } = this
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= end) throw this.broken('it ends inside a number')
      const byte = bytes[this.at++] ?? 0
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high |= bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        this.low = low
        this.high = high
        return
      }
    }
    throw this.broken('a number has more than ten bytes')
  }

  /** The fault of a message that is not valid protobuf, at the present place. */
  broken(problem: string): Fault {
    return fault('InvalidProtobuf', { message: this.#message, problem, at: this.at })
  }

  /** Tags and lengths: what does not fit into 32 bits cannot be meant. */
  #varint32(): number {
    // Nearly all of them have one byte.
    const first = this.bytes[this.at]
    if (first !== undefined && first < 0x80 && this.at < this.end) {
      this.at += 1
      return first
    }
    this.varint64()
    if (this.high !== 0) throw this.broken('a length or field number is larger than 32 bits')
    return this.low >>> 0
  }

  #forward(length: number): void {
    if (length > this.end - this.at) {
      throw this.broken(`a field of ${length} bytes goes past the end, ${this.end - this.at} bytes away`)
    }
    this.at += length
  }

  #view(): DataView {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
  }
}
