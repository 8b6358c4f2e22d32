/**
 * Reads JSON straight from bytes, so that large tensors never become JavaScript values and 64-bit integers stay exact.
 * It must accept nothing that JSON.parse refuses, except the tokens NaN, Infinity and -Infinity where a caller allows them.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8259
 */
import { isUtf8 } from 'node:buffer'
import { fault, type Fault } from '../../errors.ts'

/** Deeper documents are refused, so that a hostile one cannot exhaust the stack. */
export const maxDepth = 64

/** The bytes that JSON gives a meaning. */
export const char = {
  quote: 0x22,
  plus: 0x2b,
  comma: 0x2c,
  minus: 0x2d,
  point: 0x2e,
  zero: 0x30,
  one: 0x31,
  nine: 0x39,
  colon: 0x3a,
  upperE: 0x45,
  upperI: 0x49,
  upperN: 0x4e,
  openArray: 0x5b,
  backslash: 0x5c,
  closeArray: 0x5d,
  lowerE: 0x65,
  lowerF: 0x66,
  lowerN: 0x6e,
  lowerT: 0x74,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue }

/** What a value is, by its first byte, in the words of an error message. */
export type ValueKind = 'a string' | 'a number' | 'an array' | 'an object' | 'true' | 'false' | 'null'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Powers of ten that a double holds exactly. */
export const powersOfTen = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))

export class JsonScanner {
  readonly bytes: Buffer
  /** The same bytes, to be read several at a time. */
  readonly words: DataView
  /** The offset of the next unread byte. */
  at = 0
  readonly #end: number

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#end = bytes.byteLength
  }

  get remaining(): number {
    return this.#end - this.at
  }

  /** Skips white space and returns the next byte without taking it, or -1 at the end. */
  peek(): number {
    const bytes = this.bytes
    let at = this.at
    let byte = bytes[at] ?? -1
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at] ?? -1
    this.at = at
    return byte
  }

  /** Takes the next byte if it is the one given, after white space. */
  take(byte: number): boolean {
    if (this.peek() !== byte) return false
    this.at += 1
    return true
  }

  expect(byte: number, where: string): void {
    if (!this.take(byte)) throw this.broken(`"${String.fromCharCode(byte)}" expected ${where}`)
  }

  /** The kind of the next value, not taken. */
  kind(): ValueKind {
    const byte = this.peek()
    if (byte === char.quote) return 'a string'
    if (byte === char.openArray) return 'an array'
    if (byte === char.openObject) return 'an object'
    if (byte === char.lowerT) return 'true'
    if (byte === char.lowerF) return 'false'
    if (byte === char.lowerN) return 'null'
    if (byte === char.minus || (byte >= char.zero && byte <= char.nine)) return 'a number'
    if (byte === char.upperN || byte === char.upperI) return 'a number'
    throw this.broken(this.#unexpected('a value'))
  }

  /** Calls `member` for every key of an object, positioned at the value, which `member` must take. */
  object(depth: number, member: (key: string) => void): void {
    this.#descend(depth)
    this.expect(char.openObject, 'at the start of an object')
    if (this.take(char.closeObject)) return
    do {
      if (this.peek() !== char.quote) throw this.broken(this.#unexpected('a key in double quotes'))
      const key = this.string()
      this.expect(char.colon, 'after a key')
      member(key)
    } while (this.take(char.comma))
    this.expect(char.closeObject, 'or a comma after a value')
  }

  /** Calls `item` for every element of an array, positioned at it, which `item` must take. */
  array(depth: number, item: (index: number) => void): void {
    this.#descend(depth)
    this.expect(char.openArray, 'at the start of an array')
    if (this.take(char.closeArray)) return
    let index = 0
    do item(index++)
    while (this.take(char.comma))
    this.expect(char.closeArray, 'or a comma after an element')
  }

  /** Any value, as JSON.parse would give it. */
  value(depth: number): JsonValue {
    switch (this.kind()) {
      case 'a string':
        return this.string()
      case 'a number':
        return this.number(false)
      case 'an array': {
        const items: JsonValue[] = []
        this.array(depth, () => items.push(this.value(depth + 1)))
        return items
      }
      case 'an object': {
        const members: [string, JsonValue][] = []
        this.object(depth, (key) => members.push([key, this.value(depth + 1)]))
        return Object.fromEntries(members)
      }
      case 'true':
        return this.literal('true', true)
      case 'false':
        return this.literal('false', false)
      case 'null':
        break
    }
    return this.literal('null', null)
  }

  /** Takes any value without building it, checking it all the same. `numbers` allows NaN and Infinity. */
  skip(depth: number, numbers = false): void {
    switch (this.kind()) {
      case 'a string':
        this.#stringEnd()
        return
      case 'a number':
        this.number(numbers)
        return
      case 'an array':
        this.array(depth, () => this.skip(depth + 1, numbers))
        return
      case 'an object':
        this.object(depth, () => this.skip(depth + 1, numbers))
        return
      case 'true':
        return void this.literal('true', true)
      case 'false':
        return void this.literal('false', false)
      case 'null':
        return void this.literal('null', null)
    }
  }

  literal<Value>(text: string, value: Value): Value {
    for (let i = 0; i < text.length; i++) {
      if (this.bytes[this.at + i] !== text.charCodeAt(i)) throw this.broken(this.#unexpected(text))
    }
    this.at += text.length
    return value
  }

  /** A string; invalid UTF-8 and unpaired surrogates are refused. */
  string(): string {
    const start = this.at + 1
    const { end, escaped, ascii } = this.#stringEnd()
    if (ascii && !escaped) return this.bytes.toString('latin1', start, end)
    let text: string
    try {
      text = utf8.decode(this.bytes.subarray(start, end))
    } catch {
      throw this.broken('a string that is not UTF-8', start)
    }
    if (!escaped) return text
    // The escapes were checked by #stringEnd, so this cannot fail.
    const unescaped: string = JSON.parse(`"${text}"`)
    if (!unescaped.isWellFormed()) throw this.broken('a string with half a surrogate pair', start)
    return unescaped
  }

  /** A string as its UTF-8 bytes, which may be a view of the body. */
  stringBytes(): Uint8Array {
    const start = this.at
    const { end, escaped, ascii } = this.#stringEnd()
    const bytes = this.bytes.subarray(start + 1, end)
    if (!escaped && (ascii || isUtf8(bytes))) return bytes
    this.at = start
    return Buffer.from(this.string())
  }

  /**
   * A number as the nearest double, exactly as JSON.parse rounds it.
   * @param tokens whether NaN, Infinity and -Infinity count as numbers
   */
  number(tokens: boolean): number {
    const bytes = this.bytes
    const start = this.at
    let at = start
    const negative = bytes[at] === char.minus
    if (negative) at += 1
    let byte = bytes[at] ?? -1
    let mantissa = 0
    let exponent = 0
    if (byte === char.zero) {
      byte = bytes[++at] ?? -1
    } else if (byte > char.zero && byte <= char.nine) {
      do {
        mantissa = mantissa * 10 + (byte - char.zero)
        byte = bytes[++at] ?? -1
      } while (byte >= char.zero && byte <= char.nine)
    } else {
      return this.#token(tokens, negative, at)
    }
    if (byte === char.point) {
      byte = bytes[++at] ?? -1
      const first = at
      while (byte >= char.zero && byte <= char.nine) {
        mantissa = mantissa * 10 + (byte - char.zero)
        byte = bytes[++at] ?? -1
      }
      if (at === first) throw this.broken('a number without digits after its point', start)
      exponent = first - at
    }
    if (byte === char.lowerE || byte === char.upperE) {
      byte = bytes[++at] ?? -1
      const down = byte === char.minus
      if (down || byte === char.plus) byte = bytes[++at] ?? -1
      const first = at
      let power = 0
      while (byte >= char.zero && byte <= char.nine) {
        if (power < 100_000) power = power * 10 + (byte - char.zero)
        byte = bytes[++at] ?? -1
      }
      if (at === first) throw this.broken('a number without digits in its exponent', start)
      exponent += down ? -power : power
    }
    this.at = at
    // Both operands are exact doubles, so one multiplication or division rounds correctly (Clinger's fast path).
    if (mantissa <= Number.MAX_SAFE_INTEGER && exponent >= -22 && exponent <= 22) {
      const power = powersOfTen[Math.abs(exponent)] ?? 1
      const value = exponent < 0 ? mantissa / power : mantissa * power
      return negative ? -value : value
    }
    return Number(bytes.toString('latin1', start, at))
  }

  /** The digits of an integer without point or exponent at `start`, to be read exactly; undefined if it is written otherwise. */
  integerText(start: number): string | undefined {
    const text = this.bytes.toString('latin1', start, this.at)
    return /^-?\d+$/.test(text) ? text : undefined
  }

  /** Refuses anything but white space after the document. */
  end(): void {
    if (this.peek() !== -1) throw this.broken('something follows the end of the document')
  }

  broken(problem: string, at = this.at): Fault {
    return fault('InvalidJson', { problem, at })
  }

  #descend(depth: number): void {
    if (depth > maxDepth) throw fault('TooDeep', { limit: maxDepth, at: this.at })
  }

  #token(allowed: boolean, negative: boolean, at: number): number {
    const bytes = this.bytes
    const text = bytes[at] === char.upperN ? 'NaN' : 'Infinity'
    if (!allowed || bytes.toString('latin1', at, at + text.length) !== text || (negative && text === 'NaN')) {
      throw this.broken(this.#unexpected('a number'))
    }
    this.at = at + text.length
    return negative ? -Infinity : Number(text)
  }

  /** Takes a string and says where its content ends and whether it needs more than a copy. */
  #stringEnd(): { end: number; escaped: boolean; ascii: boolean } {
    const bytes = this.bytes
    const start = this.at
    let at = start + 1
    let escaped = false
    let high = 0
    for (;;) {
      const byte = bytes[at]
      if (byte === undefined) throw this.broken('a string without its closing quote', start)
      if (byte === char.quote) break
      if (byte < 0x20) throw this.broken('a control character inside a string', at)
      high |= byte
      if (byte === char.backslash) {
        escaped = true
        at += this.#escapeLength(at)
      } else {
        at += 1
      }
    }
    this.at = at + 1
    return { end: at, escaped, ascii: high < 0x80 }
  }

  #escapeLength(at: number): number {
    const next = this.bytes[at + 1]
    if (next === 0x75) {
      if (/^[0-9a-fA-F]{4}$/.test(this.bytes.toString('latin1', at + 2, at + 6))) return 6
    } else if (next !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(next))) {
      return 2
    }
    throw this.broken('a broken escape inside a string', at)
  }

  #unexpected(wanted: string): string {
    if (this.remaining <= 0) return `the end of the body where ${wanted} was expected`
    const text = this.bytes.toString('latin1', this.at, this.at + 12).replaceAll(/[^\x20-\x7e]/g, '?')
    return `"${text}" where ${wanted} was expected`
  }
}
