// Protobuf's wire format: what it takes to write Envoy's messages and to read its requests, and no more.
// @see https://protobuf.dev/programming-guides/encoding/

const [varintType, fixed64Type, bytesType, fixed32Type] = [0, 1, 2, 5]

/** Fields in the order in which they are put. Holds pieces; joins them once. */
export class Writer {
  readonly #pieces: Uint8Array[] = []

  /** Any integer of up to 53 bits that is not negative; a boolean is 0 or 1. @throws RangeError */
  uint(field: number, value: number): this {
    this.#pieces.push(varint(field * 8 + varintType), varint(value))
    return this
  }

  double(field: number, value: number): this {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setFloat64(0, value, true)
    this.#pieces.push(varint(field * 8 + fixed64Type), bytes)
    return this
  }

  /** Bytes, or a message that is encoded already. */
  bytes(field: number, value: Uint8Array): this {
    this.#pieces.push(varint(field * 8 + bytesType), varint(value.length), value)
    return this
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value))
  }

  done(): Buffer {
    return Buffer.concat(this.#pieces)
  }
}

const varint = (value: number): Uint8Array => {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${value} is no integer that a field here can hold`)
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

/** One field as it stands in a message; a number for integers, bytes for all that has a length. */
export interface WireField {
  readonly field: number
  readonly value: number | Buffer
}

/** The fields of a message in their order. @throws WireError where it is cut off or no protobuf at all */
export function* fieldsOf(message: Buffer): Generator<WireField> {
  let at = 0
  const readVarint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at]
      if (byte === undefined || factor > 2 ** 63) throw new WireError(`a number is cut off or too long at byte ${at}`)
      at += 1
      value += (byte % 128) * factor
      if (byte < 128) return value
    }
  }
  const take = (length: number): Buffer => {
    if (at + length > message.length) throw new WireError(`a field of ${length} bytes is cut off at byte ${at}`)
    at += length
    return message.subarray(at - length, at)
  }
  while (at < message.length) {
    const tag = readVarint()
    const [field, type] = [Math.floor(tag / 8), tag % 8]
    if (type === varintType) yield { field, value: readVarint() }
    else if (type === bytesType) yield { field, value: take(readVarint()) }
    else if (type === fixed64Type) yield { field, value: take(8) }
    else if (type === fixed32Type) yield { field, value: take(4) }
    else throw new WireError(`field ${field} has the wire type ${type}, which proto3 does not have`)
  }
}

/** What came is no protobuf message. */
export class WireError extends Error {
  override readonly name = 'WireError'
}
