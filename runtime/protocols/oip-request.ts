/**
 * Reads the JSON of an Open Inference Protocol v2 request, and the binary tensors behind it where headers announce them.
 * It must check a request against the model's signature completely, so that the engine only sees tensors that fit.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
import { fault } from '../errors.ts'
import {
  datatypes,
  elementCount,
  isDatatype,
  printShape,
  type Datatype,
  type Signature,
  type Tensor,
  type TensorSpec,
} from '../tensor.ts'
import { elementBytes, tensorOfBytes } from './binary.ts'
import type { ModelIdentity, Parameter } from './codec.ts'
import { readData } from './json/data.ts'
import { char, JsonScanner, type JsonValue } from './json/scanner.ts'
import { checkParameters, flagParameter, wholeParameter, type Parameters } from './parameters.ts'
import { checkDatatype, checkShape, inputNamed, inSignatureOrder, outputNamed } from './signature.ts'

/** An output that a request names, and how it wants it. */
export interface RequestedOutput {
  readonly name: string
  readonly binary: boolean
  /** How many classes it wants instead of the values; 0 for the values. */
  readonly classes: number
}

/** What a request says, fit for the model. */
export interface OipRequest {
  readonly id: string | undefined
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly RequestedOutput[]
  readonly parameters: Parameters
}

/**
 * Reads a request.
 * @param headerLength bytes of JSON at the start of the body; what follows are binary tensors
 * @throws Fault for everything that is wrong with it
 */
export function readOipRequest(body: Uint8Array<ArrayBuffer>, headerLength: number, model: ModelIdentity): OipRequest {
  return new RequestReader(body.subarray(0, headerLength), new BinaryTensors(body.subarray(headerLength)), model).read()
}

/** The bytes after the JSON, given out in the order of the inputs. */
class BinaryTensors {
  #rest: Uint8Array<ArrayBuffer>

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#rest = bytes
  }

  get remaining(): number {
    return this.#rest.byteLength
  }

  take(field: string, size: number): Uint8Array<ArrayBuffer> {
    if (size > this.#rest.byteLength) throw fault('BinaryMissing', { field, size, found: this.#rest.byteLength })
    const taken = this.#rest.subarray(0, size)
    this.#rest = this.#rest.subarray(size)
    return taken
  }
}

interface Wanted {
  readonly name: string
  readonly binary: boolean | undefined
  readonly classes: number
}

class RequestReader {
  readonly #scanner: JsonScanner
  readonly #binary: BinaryTensors
  readonly #model: ModelIdentity
  readonly #signature: Signature

  constructor(json: Uint8Array, binary: BinaryTensors, model: ModelIdentity) {
    this.#scanner = new JsonScanner(json)
    this.#binary = binary
    this.#model = model
    this.#signature = model.signature
  }

  read(): OipRequest {
    const scanner = this.#scanner
    let id: string | undefined
    let inputs: Tensor[] | undefined
    let wanted: Wanted[] = []
    let parameters: Parameters = {}
    if (scanner.peek() !== char.openObject) {
      throw fault('FieldType', { field: 'the body', found: scanner.kind(), expected: 'an object with "inputs"' })
    }
    const seen = new Set<string>()
    scanner.object(1, (key) => {
      once(seen, key, '')
      if (key !== 'inputs' && this.#isNull()) return
      if (key === 'id') id = this.#string('id')
      else if (key === 'inputs') inputs = this.#inputs()
      else if (key === 'outputs') wanted = this.#outputs()
      else if (key === 'parameters') parameters = this.#requestParameters()
      else scanner.skip(2)
    })
    scanner.end()
    if (inputs === undefined) {
      throw fault('FieldMissing', { field: 'inputs', expected: 'a list with one object per input' })
    }
    if (this.#binary.remaining > 0) {
      throw fault('BinaryLeft', { found: this.#binary.remaining, model: this.#model.name })
    }
    // An empty list asks for nothing in particular, which is how clients write "all".
    if (wanted.length === 0) {
      wanted = this.#signature.outputs.map(({ name }) => ({ name, binary: undefined, classes: 0 }))
    }
    const binaryByDefault = flagParameter('parameters', parameters, 'binary_data_output') ?? false
    return {
      id,
      inputs: inSignatureOrder(inputs, this.#signature),
      outputs: wanted.map((output) => ({ ...output, binary: output.binary ?? binaryByDefault })),
      parameters,
    }
  }

  #inputs(): Tensor[] {
    this.#isArray('inputs')
    const inputs: Tensor[] = []
    const names = new Set<string>()
    this.#scanner.array(2, (index) => inputs.push(this.#input(`inputs[${index}]`, names)))
    return inputs
  }

  /** Reads one input. Its data may stand before the datatype and shape needed to read it, so its place may be kept for later. */
  #input(field: string, names: Set<string>): Tensor {
    const scanner = this.#scanner
    this.#isObject(field)
    let spec: TensorSpec | undefined
    let datatype: Datatype | undefined
    let shape: number[] | undefined
    let tensor: Tensor | undefined
    let dataAt: number | undefined
    let parameters: Parameters = {}
    const readIfKnown = (): void => {
      if (spec === undefined || datatype === undefined || shape === undefined) return
      checkDatatype(`${field}.datatype`, spec, datatype)
      checkShape(`${field}.shape`, spec, shape)
      tensor = readData(scanner, `${field}.data`, spec.name, datatype, shape)
    }
    const seen = new Set<string>()
    scanner.object(3, (key) => {
      once(seen, key, `${field}.`)
      if ((key === 'data' || key === 'parameters') && this.#isNull()) return
      if (key === 'name') spec = this.#inputName(field, names)
      else if (key === 'datatype') datatype = this.#datatype(`${field}.datatype`)
      else if (key === 'shape') shape = this.#shape(`${field}.shape`)
      else if (key === 'data') {
        scanner.peek()
        dataAt = scanner.at
        readIfKnown()
        if (tensor === undefined) scanner.skip(4, true)
      } else if (key === 'parameters') parameters = this.#parameters(`${field}.parameters`, 4)
      else scanner.skip(4)
    })
    if (spec === undefined) {
      throw fault('FieldMissing', { field: `${field}.name`, expected: 'the name of a model input' })
    }
    if (datatype === undefined) {
      throw fault('FieldMissing', { field: `${field}.datatype`, expected: `"${spec.datatype}"` })
    }
    if (shape === undefined) throw fault('FieldMissing', { field: `${field}.shape`, expected: printShape(spec.shape) })
    const size = wholeParameter(`${field}.parameters`, parameters, 'binary_data_size')
    if (dataAt === undefined) {
      checkDatatype(`${field}.datatype`, spec, datatype)
      checkShape(`${field}.shape`, spec, shape)
      return this.#binaryInput(field, spec.name, datatype, shape, size)
    }
    if (size !== undefined) throw fault('DataTwice', { field })
    if (tensor === undefined) {
      const after = scanner.at
      scanner.at = dataAt
      readIfKnown()
      scanner.at = after
    }
    if (tensor === undefined) throw new Error('an input with all its fields was not read')
    return tensor
  }

  #binaryInput(field: string, name: string, datatype: Datatype, shape: number[], given: number | undefined): Tensor {
    let size = given
    if (size === undefined) {
      // The size of a binary tensor is known without being said, except for BYTES.
      if (datatype === 'BYTES' || this.#binary.remaining === 0) {
        throw fault('FieldMissing', { field: `${field}.data`, expected: 'a list of elements' })
      }
      size = elementCount(shape) * elementBytes[datatype]
    }
    return tensorOfBytes(field, name, datatype, shape, this.#binary.take(field, size))
  }

  #inputName(field: string, names: Set<string>): TensorSpec {
    const found = this.#string(`${field}.name`)
    const spec = inputNamed(`${field}.name`, found, this.#signature)
    if (names.has(found)) throw fault('InputTwice', { field: `${field}.name`, found })
    names.add(found)
    return spec
  }

  #datatype(field: string): Datatype {
    const found = this.#string(field)
    if (!isDatatype(found)) throw fault('DatatypeUnknown', { field, found, known: datatypes.join(', ') })
    return found
  }

  #shape(field: string): number[] {
    this.#isArray(field)
    const scanner = this.#scanner
    const shape: number[] = []
    scanner.array(4, (index) => {
      scanner.peek()
      const start = scanner.at
      const value = scanner.value(5)
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > maxDimension) {
        const found = scanner.bytes.toString('utf8', start, Math.min(scanner.at, start + 40))
        throw fault('ShapeDimension', { field: `${field}[${index}]`, found })
      }
      shape.push(value)
    })
    return shape
  }

  #outputs(): Wanted[] {
    this.#isArray('outputs')
    const wanted: Wanted[] = []
    this.#scanner.array(2, (index) => {
      const output = this.#output(`outputs[${index}]`)
      if (wanted.some(({ name }) => name === output.name)) {
        throw fault('OutputTwice', { field: `outputs[${index}].name`, found: output.name })
      }
      wanted.push(output)
    })
    return wanted
  }

  #output(field: string): Wanted {
    this.#isObject(field)
    let name: string | undefined
    let parameters: Parameters = {}
    const seen = new Set<string>()
    this.#scanner.object(3, (key) => {
      once(seen, key, `${field}.`)
      if (key === 'parameters' && this.#isNull()) return
      if (key === 'name') name = this.#string(`${field}.name`)
      else if (key === 'parameters') parameters = this.#parameters(`${field}.parameters`, 4)
      else this.#scanner.skip(4)
    })
    if (name === undefined) {
      throw fault('FieldMissing', { field: `${field}.name`, expected: 'the name of a model output' })
    }
    outputNamed(`${field}.name`, name, this.#signature)
    return {
      name,
      binary: flagParameter(`${field}.parameters`, parameters, 'binary_data'),
      classes: wholeParameter(`${field}.parameters`, parameters, 'classification') ?? 0,
    }
  }

  #requestParameters(): Parameters {
    const parameters = this.#parameters('parameters', 2)
    wholeParameter('parameters', parameters, 'priority')
    wholeParameter('parameters', parameters, 'timeout')
    return parameters
  }

  #parameters(field: string, depth: number): Parameters {
    this.#isObject(field)
    const scanner = this.#scanner
    const parameters: [string, Parameter][] = []
    scanner.object(depth, (key) => {
      const value: JsonValue = scanner.value(depth + 1)
      if (value !== null && typeof value === 'object') {
        throw fault('FieldType', {
          field: `${field}.${key}`,
          found: Array.isArray(value) ? 'an array' : 'an object',
          expected: 'a string, a number or a boolean',
        })
      }
      if (value !== null) parameters.push([key, value])
    })
    const read = Object.fromEntries(parameters)
    checkParameters(field, read)
    return read
  }

  /** Takes a null, which is how clients with typed classes leave a member out; KServe's and MLServer's servers read it so. */
  #isNull(): boolean {
    if (this.#scanner.peek() !== char.lowerN) return false
    this.#scanner.literal('null', null)
    return true
  }

  #string(field: string): string {
    const kind = this.#scanner.kind()
    if (kind !== 'a string') throw fault('FieldType', { field, found: kind, expected: 'a string' })
    return this.#scanner.string()
  }

  #isArray(field: string): void {
    const kind = this.#scanner.kind()
    if (kind !== 'an array') throw fault('FieldType', { field, found: kind, expected: 'an array' })
  }

  #isObject(field: string): void {
    const kind = this.#scanner.kind()
    if (kind !== 'an object') throw fault('FieldType', { field, found: kind, expected: 'an object' })
  }
}

/** ONNX Runtime counts dimensions in 64 bits; no client means more than this. */
const maxDimension = 2_147_483_647

function once(seen: Set<string>, key: string, path: string): void {
  if (seen.has(key)) throw fault('FieldTwice', { field: `${path}${key}` })
  seen.add(key)
}
