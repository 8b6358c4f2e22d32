/**
 * Reads single elements of a tensor from JSON into typed arrays.
 * It must refuse every element that the datatype cannot hold exactly as written, apart from the rounding of floats.
 */
import { fault } from '../../errors.ts'
import type { Datatype, Tensor } from '../../tensor.ts'
import { maxHalf, toHalf } from '../half.ts'
import { textRoom } from '../textroom.ts'
import { char, type JsonScanner } from './scanner.ts'

export class ElementReader {
  readonly #scanner: JsonScanner
  readonly #field: string
  readonly #datatype: Datatype
  readonly #misnested: (problem: string) => Error

  /**
   * @param field how messages name the value, such as `inputs[0].data`
   * @param misnested makes the error for an array where an element should be
   */
  constructor(scanner: JsonScanner, field: string, datatype: Datatype, misnested: (problem: string) => Error) {
    this.#scanner = scanner
    this.#field = field
    this.#datatype = datatype
    this.#misnested = misnested
  }

  /** A function that reads the element at the scanner into the given place of the target. */
  into(target: Tensor): (index: number) => void {
    switch (target.datatype) {
      case 'FP32': {
        const { data } = target
        return (index) => {
          const value = this.#float()
          data[index] = value
          if (Math.abs(data[index]) === Infinity) this.#finite(value, 3.4028234663852886e38)
        }
      }
      case 'FP64': {
        const { data } = target
        return (index) => {
          const value = this.#float()
          data[index] = value
          if (Math.abs(value) === Infinity) this.#finite(value, Number.MAX_VALUE)
        }
      }
      case 'FP16': {
        const { data } = target
        return (index) => {
          const value = this.#float()
          if (Math.abs(value) >= 65_520) this.#finite(value, maxHalf)
          data[index] = toHalf(value)
        }
      }
      case 'INT8': {
        const { data } = target
        return (index) => void (data[index] = this.#integer(-128, 127))
      }
      case 'INT16': {
        const { data } = target
        return (index) => void (data[index] = this.#integer(-32_768, 32_767))
      }
      case 'INT32': {
        const { data } = target
        return (index) => void (data[index] = this.#integer(-2_147_483_648, 2_147_483_647))
      }
      case 'UINT8': {
        const { data } = target
        return (index) => void (data[index] = this.#integer(0, 255))
      }
      case 'UINT16': {
        const { data } = target
        return (index) => void (data[index] = this.#integer(0, 65_535))
      }
      case 'UINT32': {
        const { data } = target
        return (index) => void (data[index] = this.#integer(0, 4_294_967_295))
      }
      case 'INT64': {
        const { data } = target
        return (index) => void (data[index] = this.#long(-(2n ** 63n), 2n ** 63n - 1n))
      }
      case 'UINT64': {
        const { data } = target
        return (index) => void (data[index] = this.#long(0n, 2n ** 64n - 1n))
      }
      case 'BOOL': {
        const { data } = target
        return (index) => void (data[index] = this.#boolean())
      }
      case 'BYTES':
        break
    }
    const { data } = target
    return (index) => void (data[index] = this.#text())
  }

  #float(): number {
    const scanner = this.#scanner
    this.#numeric()
    return scanner.number(true)
  }

  /** Refuses a finite number that the datatype would turn into infinity. */
  #finite(value: number, limit: number): void {
    if (Math.abs(value) !== Infinity) {
      throw this.#refuseWords(String(value), `write numbers within ±${limit}, or Infinity`)
    }
    // The scanner stands behind the number: a literal such as 1e999 ends in a digit, the token in a letter.
    const last = this.#scanner.bytes[this.#scanner.at - 1] ?? 0
    if (last <= char.nine) throw this.#refuseWords('a number above every limit', `write numbers within ±${limit}`)
  }

  #integer(low: number, high: number): number {
    const start = this.#scanner.at
    this.#numeric()
    const value = this.#scanner.number(false)
    if (value >= low && value <= high && Number.isInteger(value)) return value
    throw this.#refuse(start, `write whole numbers from ${low} to ${high}`)
  }

  #long(low: bigint, high: bigint): bigint {
    const scanner = this.#scanner
    const start = scanner.at
    this.#numeric()
    const value = scanner.number(false)
    let exact: bigint | undefined
    if (Number.isSafeInteger(value)) {
      exact = BigInt(value)
    } else {
      // Beyond 2^53 the double is only near the number, so its digits are read again. 40 digits exceed every limit.
      const digits = scanner.at - start <= 40 ? scanner.integerText(start) : undefined
      if (digits !== undefined) exact = BigInt(digits)
    }
    if (exact !== undefined && exact >= low && exact <= high) return exact
    throw this.#refuse(start, `write whole numbers from ${low} to ${high}, without exponent beyond 2^53`)
  }

  #boolean(): number {
    const scanner = this.#scanner
    const byte = scanner.peek()
    if (byte === char.lowerT) return scanner.literal('true', 1)
    if (byte === char.lowerF) return scanner.literal('false', 0)
    const start = scanner.at
    if (byte === char.zero || byte === char.one) {
      const value = scanner.number(false)
      if (value === 0 || value === 1) return value
    } else {
      scanner.skip(2)
    }
    throw this.#refuse(start, 'write true or false')
  }

  #text(): Uint8Array {
    const scanner = this.#scanner
    const start = scanner.at
    if (scanner.peek() !== char.quote) {
      scanner.skip(2)
      throw this.#refuse(start, 'write strings')
    }
    const text = scanner.stringBytes()
    textRoom.take(this.#field, 1, text.byteLength)
    return text
  }

  /** Makes sure that a number follows; anything else is named in the refusal. */
  #numeric(): void {
    const scanner = this.#scanner
    const kind = scanner.kind()
    if (kind === 'a number') return
    const start = scanner.at
    const expected = kind === 'null' ? 'write NaN as the bare token NaN' : 'write numbers without quotes'
    if (kind === 'an array') throw this.#misnested('an array where an element was expected')
    scanner.skip(2, true)
    throw this.#refuse(start, expected)
  }

  #refuse(start: number, expected: string): Error {
    const end = Math.min(this.#scanner.at, start + 40)
    return this.#refuseWords(this.#scanner.bytes.toString('utf8', start, end), expected)
  }

  #refuseWords(found: string, expected: string): Error {
    return fault('DataElement', { field: this.#field, found, datatype: this.#datatype, expected })
  }
}
