/**
 * Reads the "data" of a tensor, flat or nested, straight into typed arrays.
 */
import { fault } from '../../errors.ts'
import { elementCount, printShape, zeros, type Datatype, type Tensor } from '../../tensor.ts'
import { textRoom } from '../textroom.ts'
import { ElementReader } from './elements.ts'
import { readPlain } from './plain.ts'
import { char, type JsonScanner } from './scanner.ts'

/**
 * Takes the value at the scanner as the elements of a tensor.
 * @param field how messages name the value, such as `inputs[0].data`
 * @throws Fault DataCount, DataNesting, DataElement, ShapeOverflow, TooMuchText or InvalidJson
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
  if (datatype === 'BYTES') textRoom.check(field, count)
  const target = zeros(name, datatype, shape)
  new DataReader(scanner, field, target, count).read()
  return target
}

class DataReader {
  readonly #scanner: JsonScanner
  readonly #field: string
  readonly #shape: readonly number[]
  readonly #count: number
  /** Reads the element at the scanner into the given place of the target. */
  readonly #element: (index: number) => void
  /** Where floats go, which come by the thousand. */
  readonly #floats: Float32Array | Float64Array | undefined
  #index = 0

  constructor(scanner: JsonScanner, field: string, target: Tensor, count: number) {
    this.#scanner = scanner
    this.#field = field
    this.#shape = target.shape
    this.#count = count
    this.#floats = target.datatype === 'FP32' || target.datatype === 'FP64' ? target.data : undefined
    const misnested = (problem: string): Error => this.#misnested(problem)
    this.#element = new ElementReader(scanner, field, target.datatype, misnested).into(target)
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
        found += this.#plain(found, this.#count)
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

  #plain(from: number, to: number): number {
    return this.#floats === undefined ? 0 : readPlain(this.#scanner, this.#floats, from, to)
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
        if (leaf) {
          const run = this.#plain(this.#index, this.#index + size - found)
          this.#index += run
          found += run
        }
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
}
