/**
 * Writes JSON as bytes, with numbers in the fewest digits that read back to the same element.
 * NaN and Infinity become the bare tokens that Python's json and Triton's clients read; 64-bit integers keep every digit.
 */
import { isUtf8 } from 'node:buffer'
import { fault } from '../../errors.ts'
import { elementCount, type Tensor } from '../../tensor.ts'
import { fromHalf } from '../half.ts'
import { longestNumber, writeSingle, writeWhole } from './digits.ts'
import { char } from './scanner.ts'

const encoder = new TextEncoder()
/** Names of the model, its version and its outputs as JSON, if that is ASCII: every answer has them. */
const names = new Map<string, string>()
/** Names come from models, not from clients; still their number has a bound. */
const mostNames = 1000

export class JsonWriter {
  #bytes: Uint8Array<ArrayBuffer>
  #at = 0

  constructor(sizeHint = 1024) {
    this.#bytes = new Uint8Array(sizeHint)
  }

  /** The bytes written. The writer must not be used afterwards. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at)
  }

  /** Text that needs no escaping and is ASCII: punctuation, keys, numbers. */
  raw(text: string): this {
    this.#reserve(text.length)
    for (let i = 0; i < text.length; i++) this.#bytes[this.#at++] = text.charCodeAt(i)
    return this
  }

  string(text: string): this {
    const quoted = JSON.stringify(text)
    this.#reserve(quoted.length * 3)
    this.#at += encoder.encodeInto(quoted, this.#bytes.subarray(this.#at)).written
    return this
  }

  /** A string that many answers have: a name of the model, not of a request. */
  name(text: string): this {
    const known = names.get(text)
    if (known !== undefined) return this.raw(known)
    const quoted = JSON.stringify(text)
    // oxlint-disable-next-line no-control-regex -- ASCII begins with control characters
    if (names.size < mostNames && /^[\0-\x7f]*$/.test(quoted)) names.set(text, quoted)
    return this.string(text)
  }

  /** Bytes that should be text. @throws Fault `BytesNotText` when they are not UTF-8 */
  text(bytes: Uint8Array, output: string): this {
    if (!isUtf8(bytes)) throw fault('BytesNotText', { name: output })
    return this.string(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  }

  integers(values: readonly number[]): this {
    return this.raw(`[${values.join(',')}]`)
  }

  /** Bytes that are JSON already. */
  bytes(json: Uint8Array): this {
    this.#reserve(json.byteLength)
    this.#bytes.set(json, this.#at)
    this.#at += json.byteLength
    return this
  }

  /** The elements of a tensor as one flat array. */
  data(tensor: Tensor): this {
    this.raw('[').#elements(tensor, 0, tensor.data.length, false)
    return this.raw(']')
  }

  /**
   * A tensor in its natural nesting, or one row of it. Bytes that are not text, and those of outputs whose name ends in
   * `_bytes`, become `{"b64":…}`.
   */
  natural(tensor: Tensor, row?: number): this {
    const { shape } = tensor
    if (row === undefined) return this.#level(tensor, 0, 0)
    return this.#level(tensor, 1, row * elementCount(shape.slice(1)))
  }

  #level(tensor: Tensor, level: number, start: number): this {
    const size = tensor.shape[level]
    if (size === undefined) return this.#elements(tensor, start, start + 1, true)
    this.raw('[')
    if (level === tensor.shape.length - 1) return this.#elements(tensor, start, start + size, true).raw(']')
    const stride = elementCount(tensor.shape.slice(level + 1))
    for (let index = 0; index < size; index++) {
      if (index > 0) this.raw(',')
      this.#level(tensor, level + 1, start + index * stride)
    }
    return this.raw(']')
  }

  /** Elements with commas between them. */
  #elements(tensor: Tensor, start: number, end: number, base64: boolean): this {
    switch (tensor.datatype) {
      case 'FP32':
        for (const value of tensor.data.subarray(start, end)) this.#single(value).#comma()
        break
      case 'FP16':
        for (const bits of tensor.data.subarray(start, end)) this.#single(fromHalf(bits)).#comma()
        break
      case 'FP64':
        for (const value of tensor.data.subarray(start, end)) this.#double(value).#comma()
        break
      case 'BOOL':
        for (const value of tensor.data.subarray(start, end)) this.raw(value === 0 ? 'false,' : 'true,')
        break
      case 'BYTES': {
        const always = base64 && tensor.name.endsWith('_bytes')
        for (const bytes of tensor.data.slice(start, end)) {
          if (always || (base64 && !isUtf8(bytes))) this.#base64(bytes).#comma()
          else this.text(bytes, tensor.name).#comma()
        }
        break
      }
      case 'INT8':
      case 'INT16':
      case 'INT32':
      case 'UINT8':
      case 'UINT16':
      case 'UINT32':
        for (const value of tensor.data.subarray(start, end)) this.#whole(value).#comma()
        break
      case 'INT64':
      case 'UINT64':
        for (const value of tensor.data.subarray(start, end)) this.raw(value.toString()).#comma()
        break
    }
    if (end > start) this.#at -= 1
    return this
  }

  #base64(bytes: Uint8Array): this {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
    return this.raw(`{"b64":"${text}"}`)
  }

  #comma(): this {
    this.#reserve(1)
    this.#bytes[this.#at++] = char.comma
    return this
  }

  /** Whole numbers from -2^32 to 2^32. */
  #whole(value: number): this {
    if (value < 0) return this.raw(String(value))
    this.#reserve(longestNumber)
    this.#at = writeWhole(this.#bytes, this.#at, value)
    return this
  }

  #double(value: number): this {
    // Only "-0" loses its sign when printed.
    return this.raw(Object.is(value, -0) ? '-0.0' : String(value))
  }

  /** A float32 value, in the fewest digits that read back to it. */
  #single(value: number): this {
    this.#reserve(longestNumber)
    const after = writeSingle(this.#bytes, this.#at, value)
    if (after === 0) return this.#rareSingle(value)
    this.#at = after
    return this
  }

  /** Zero, numbers of more than nine digits, very small ones, and what is no number. */
  #rareSingle(value: number): this {
    if (value === 0) return this.raw(Object.is(value, -0) ? '-0.0' : '0')
    if (!Number.isFinite(value)) return this.#double(value)
    for (let significant = 6; significant <= 9; significant++) {
      const short = Number(value.toPrecision(significant))
      if (Math.fround(short) === value) return this.raw(String(short))
    }
    return this.#double(value)
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + size))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}
