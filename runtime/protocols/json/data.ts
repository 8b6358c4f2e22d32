/**
 * Reads the "data" of a tensor, flat or nested, straight into typed arrays.
 * It must refuse every element that the datatype cannot hold exactly as written, apart from the rounding of floats.
 */
import { fault } from '../../errors.ts'
import { elementCount, printShape, tensor, zeros, type Datatype, type Tensor } from '../../tensor.ts'
import { maxHalf, toHalf } from '../half.ts'
import { char, type JsonScanner } from './scanner.ts'

/**
 * Takes the value at the scanner as the elements of a tensor.
 * @param field how messages name the value, such as `inputs[0].data`
 * @throws Fault DataCount, DataNesting, DataElement, ShapeOverflow or InvalidJson
 */
export function readData(
  scanner: JsonScanner,
  field: string,
  name: string,
  datatype: Datatype,
  shape: readonly number[],
): Tensor {
  const count = elementCount(shape)
  // Every element takes at least one byte, so this also bounds what is allocated.
  if (count > scanner.remaining) {
    throw fault('ShapeOverflow', {
      field: field.replace(/data$/, 'shape'),
      shape: printShape(shape),
      bytes: `${scanner.bytes.byteLength} bytes`,
    })
  }
  const target = zeros(name, datatype, shape)
  const reader = new DataReader(scanner, field, target, count)
  reader.read()
  return tensor(name, datatype, shape, target.data)
}

class DataReader {
  readonly #scanner: JsonScanner
  readonly #field: string
  readonly #shape: readonly number[]
  readonly #datatype: Datatype
  readonly #count: number
  /** Reads the element at the scanner into the given place of the target. */
  readonly #element: (index: number) => void
  #index = 0

  constructor(scanner: JsonScanner, field: string, target: Tensor, count: number) {
    this.#scanner = scanner
    this.#field = field
    this.#shape = target.shape
    this.#datatype = target.datatype
    this.#count = count
    this.#element = this.#elementReader(target)
  }

  read(): void {
    const scanner = this.#scanner
    if (scanner.peek() !== char.openArray) {
      // The natural nesting of a scalar is the bare value.
      if (this.#shape.length === 0 && scanner.kind() !== 'an object') return this.#element(0)
      throw fault('FieldType', { field: this.#field, found: scanner.kind(), expected: 'an array of elements' })
    }
    const start = scanner.at
    scanner.at += 1
    const nested = scanner.peek() === char.openArray
    scanner.at = start
    if (nested) this.#nested(0)
    else this.#flat()
  }

  #flat(): void {
    const scanner = this.#scanner
    scanner.at += 1
    let found = 0
    if (!scanner.take(char.closeArray)) {
      do {
        scanner.peek()
        if (found < this.#count) this.#element(found)
        else scanner.skip(2, true)
        found += 1
      } while (scanner.take(char.comma))
      scanner.expect(char.closeArray, 'or a comma after an element')
    }
    // An outermost dimension of zero is `[]` in either form; so is an empty flat list for [2,0].
    if (found !== this.#count) {
      throw fault('DataCount', {
        field: this.#field,
        found,
        shape: printShape(this.#shape),
        expected: this.#count,
      })
    }
  }

  /** Reads one level of nested arrays; the depth is bounded by the rank, which the model bounds. */
  #nested(level: number): void {
    const scanner = this.#scanner
    const size = this.#shape[level]
    if (size === undefined) throw this.#misnested(`an array where an element was expected`)
    if (!scanner.take(char.openArray)) throw this.#misnested('an element where an array was expected')
    const leaf = level === this.#shape.length - 1
    let found = 0
    if (!scanner.take(char.closeArray)) {
      do {
        const byte = scanner.peek()
        if (found >= size) throw this.#misnested(`more than ${size} entries at level ${level + 1}`)
        if (!leaf) this.#nested(level + 1)
        else if (byte === char.openArray) throw this.#misnested('an array where an element was expected')
        else this.#element(this.#index++)
        found += 1
      } while (scanner.take(char.comma))
      scanner.expect(char.closeArray, 'or a comma after an element')
    }
    if (found !== size) throw this.#misnested(`${found} entries at level ${level + 1} instead of ${size}`)
  }

  #misnested(problem: string): Error {
    return fault('DataNesting', {
      field: this.#field,
      shape: printShape(this.#shape),
      at: this.#scanner.at,
      problem,
    })
  }

  #elementReader(target: Tensor): (index: number) => void {
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
    return scanner.stringBytes()
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
