/**
 * Reads tensors in their natural nesting, whose shape is told by the brackets alone, as KServe V1 and TensorFlow
 * Serving have them. It must refuse arrays that are ragged, and never allocate more than the elements that really came.
 */
import { fault } from '../../errors.ts'
import { elementCount, printShape, tensor, zeros, type Tensor, type TensorSpec } from '../../tensor.ts'
import { checkShape } from '../signature.ts'
import { textRoom } from '../textroom.ts'
import { ElementReader } from './elements.ts'
import { readPlain } from './plain.ts'
import { char, type JsonScanner } from './scanner.ts'

/** Collects the elements of one input, from one value or from one value a row. */
export class NaturalReader {
  readonly #scanner: JsonScanner
  readonly #field: string
  readonly #spec: TensorSpec
  readonly #reader: ElementReader
  /** The size of each level; undefined until an array of that level has ended. */
  readonly #sizes: (number | undefined)[]
  #target: Tensor
  #capacity: number
  #element: (index: number) => void
  #count = 0

  /** @param field how messages name the value, such as `instances` */
  constructor(scanner: JsonScanner, field: string, spec: TensorSpec) {
    this.#scanner = scanner
    this.#field = field
    this.#spec = spec
    this.#reader = new ElementReader(scanner, field, spec.datatype, (problem) => this.#misnested(problem))
    this.#sizes = spec.shape.map(() => undefined)
    this.#capacity = spec.shape.reduce((product, size) => (size > 0 ? Math.min(product * size, 65_536) : product), 1)
    this.#target = zeros(spec.name, spec.datatype, [this.#capacity])
    this.#element = this.#reader.into(this.#target)
  }

  /**
   * Takes the value at the scanner as what stands at a level of the tensor: 0 for all of it, 1 for a row.
   * @throws Fault DataNesting, DataElement, TooMuchText or InvalidJson
   */
  read(level: number): void {
    const scanner = this.#scanner
    if (scanner.peek() !== char.openArray) return this.#leaf(level)
    if (level >= this.#sizes.length) throw this.#misnested('an array where an element was expected')
    scanner.at += 1
    let found = 0
    if (!scanner.take(char.closeArray)) {
      do {
        if (level === this.#sizes.length - 1) found += this.#plain()
        this.read(level + 1)
        found += 1
      } while (scanner.take(char.comma))
      scanner.expect(char.closeArray, 'or a comma after an element')
    }
    this.#close(level, found)
  }

  /** The tensor. @param rows how many times a row was read; undefined when all of it was one value */
  finish(rows?: number): Tensor {
    const { name, datatype, shape: declared } = this.#spec
    if (rows !== undefined && this.#sizes.length > 0) this.#sizes[0] = rows
    // Below an empty array nothing says how large the inner levels are.
    const shape = this.#sizes.map((size, level) => size ?? Math.max(0, declared[level] ?? 0))
    checkShape(`the shape of ${this.#field}`, this.#spec, shape)
    if (elementCount(shape) !== this.#count) throw new Error('the levels do not agree with the elements')
    const { data } = this.#target
    // A view would keep, and pass to the engine, a buffer that is up to twice as large.
    return tensor(name, datatype, shape, this.#count === data.length ? data : data.slice(0, this.#count))
  }

  /** Takes what is plain of a row of floats. @returns how many */
  #plain(): number {
    if (this.#count === this.#capacity) this.#grow()
    const { datatype, data } = this.#target
    if (datatype !== 'FP32' && datatype !== 'FP64') return 0
    const taken = readPlain(this.#scanner, data, this.#count, this.#capacity)
    this.#count += taken
    return taken
  }

  #leaf(level: number): void {
    if (level < this.#sizes.length) throw this.#misnested(`${this.#scanner.kind()} where an array was expected`)
    if (this.#count === this.#capacity) this.#grow()
    if (this.#spec.datatype === 'BYTES' && this.#scanner.peek() === char.openObject) this.#base64()
    else this.#element(this.#count)
    this.#count += 1
  }

  /** `{"b64":"…"}`, which is how these protocols write bytes that are not text. */
  #base64(): void {
    const scanner = this.#scanner
    const start = scanner.at
    let bytes: Uint8Array | undefined
    scanner.object(1, (key) => {
      if (key !== 'b64' || bytes !== undefined || scanner.kind() !== 'a string') throw this.#notBase64(start)
      const text = scanner.string()
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 === 1) throw this.#notBase64(start)
      bytes = Buffer.from(text, 'base64')
    })
    const { data } = this.#target
    if (bytes === undefined || !Array.isArray(data)) throw this.#notBase64(start)
    textRoom.take(this.#field, 1, bytes.byteLength)
    data[this.#count] = bytes
  }

  #notBase64(start: number): Error {
    const found = this.#scanner.bytes.toString('utf8', start, start + 40)
    return fault('DataElement', { field: this.#field, found, datatype: 'BYTES', expected: 'write {"b64":"<base64>"}' })
  }

  #grow(): void {
    const { name, datatype, data } = this.#target
    this.#capacity = Math.max(16, this.#capacity * 2)
    const larger = zeros(name, datatype, [this.#capacity])
    if (Array.isArray(data)) data.forEach((element, index) => (larger.data[index] = element))
    else copyElements(data, larger)
    this.#target = larger
    this.#element = this.#reader.into(larger)
  }

  #close(level: number, found: number): void {
    const known = this.#sizes[level]
    if (known === undefined) this.#sizes[level] = found
    else if (known !== found) {
      throw this.#misnested(`${found} entries at level ${level + 1}, where others have ${known}`)
    }
  }

  #misnested(problem: string): Error {
    return fault('DataNesting', {
      field: this.#field,
      shape: printShape(this.#spec.shape),
      at: this.#scanner.at,
      problem,
    })
  }
}

/** Copies bytes, because TypeScript cannot pair two typed arrays that are known to be of one kind. */
function copyElements(from: ArrayBufferView, { data }: Tensor): void {
  if (!ArrayBuffer.isView(data)) return
  new Uint8Array(data.buffer).set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength))
}
