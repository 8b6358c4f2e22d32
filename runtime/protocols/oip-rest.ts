/**
 * The JSON form of the Open Inference Protocol v2: one request object in, one answer object out.
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
  type Tensor,
  type TensorSpec,
} from '../tensor.ts'
import type { Codec, Encoded, InferenceRequest, ModelIdentity, Parameter } from './codec.ts'
import { readData } from './json/data.ts'
import { char, JsonScanner, type JsonValue } from './json/scanner.ts'
import { JsonWriter } from './json/writer.ts'

/** What headers say about a request. */
export interface OipRestOptions {
  /** Inference-Header-Content-Length: bytes of JSON before binary tensors; undefined when all is JSON, 0 when none is. */
  readonly headerLength: number | undefined
}

export const oipRest: Codec<OipRestOptions> = {
  decode(body, model) {
    if (body.byteLength === 0) throw fault('BodyMissing', {})
    return new RequestReader(body, model).read()
  },
}

/** Writes an answer as one JSON object. */
export function encodeJson(id: string | undefined, outputs: readonly Tensor[], model: ModelIdentity): Encoded {
  const writer = new JsonWriter(256 + outputs.reduce((size, { data }) => size + data.length * 12, 0))
  writer.raw('{"model_name":').string(model.name).raw(',"model_version":').string(model.version)
  if (id !== undefined) writer.raw(',"id":').string(id)
  writer.raw(',"outputs":[')
  outputs.forEach((output, index) => {
    if (index > 0) writer.raw(',')
    writer.raw('{"name":').string(output.name)
    writer.raw(`,"datatype":"${output.datatype}","shape":`).integers(output.shape)
    writer.raw(',"data":').data(output).raw('}')
  })
  return { body: writer.raw(']}').finish(), headers: { 'content-type': 'application/json' } }
}

class RequestReader {
  readonly #scanner: JsonScanner
  readonly #model: ModelIdentity

  constructor(body: Uint8Array, model: ModelIdentity) {
    this.#scanner = new JsonScanner(body)
    this.#model = model
  }

  read(): InferenceRequest {
    const scanner = this.#scanner
    let id: string | undefined
    let inputs: Tensor[] | undefined
    let outputs: string[] | undefined
    let parameters: Readonly<Record<string, Parameter>> = {}
    if (scanner.peek() !== char.openObject) {
      throw fault('FieldType', { field: 'the body', found: scanner.kind(), expected: 'an object with "inputs"' })
    }
    const seen = new Set<string>()
    scanner.object(1, (key) => {
      once(seen, key, '')
      if (key === 'id') id = this.#string('id')
      else if (key === 'inputs') inputs = this.#inputs()
      else if (key === 'outputs') outputs = this.#outputs()
      else if (key === 'parameters') parameters = this.#parameters('parameters', 2)
      else scanner.skip(2)
    })
    scanner.end()
    if (inputs === undefined)
      throw fault('FieldMissing', { field: 'inputs', expected: 'a list with one object per input' })
    return {
      id,
      inputs: this.#inOrder(inputs),
      outputs: outputs ?? this.#model.signature.outputs.map(({ name }) => name),
      parameters,
      answer: (answered) => encodeJson(id, answered, this.#model),
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
    const readIfKnown = (): void => {
      if (spec === undefined || datatype === undefined || shape === undefined) return
      checkAgainstModel(field, spec, datatype, shape)
      tensor = readData(scanner, `${field}.data`, spec.name, datatype, shape)
    }
    const seen = new Set<string>()
    scanner.object(3, (key) => {
      once(seen, key, `${field}.`)
      if (key === 'name') spec = this.#inputNamed(field, names)
      else if (key === 'datatype') datatype = this.#datatype(`${field}.datatype`)
      else if (key === 'shape') shape = this.#shape(`${field}.shape`)
      else if (key === 'data') {
        scanner.peek()
        dataAt = scanner.at
        readIfKnown()
        if (tensor === undefined) scanner.skip(4, true)
      } else if (key === 'parameters') this.#parameters(`${field}.parameters`, 4)
      else scanner.skip(4)
    })
    if (spec === undefined)
      throw fault('FieldMissing', { field: `${field}.name`, expected: 'the name of a model input' })
    if (datatype === undefined)
      throw fault('FieldMissing', { field: `${field}.datatype`, expected: `"${spec.datatype}"` })
    if (shape === undefined) throw fault('FieldMissing', { field: `${field}.shape`, expected: printShape(spec.shape) })
    if (dataAt === undefined) throw fault('FieldMissing', { field: `${field}.data`, expected: 'a list of elements' })
    if (tensor === undefined) {
      const after = scanner.at
      scanner.at = dataAt
      readIfKnown()
      scanner.at = after
    }
    if (tensor === undefined) throw new Error('an input with all its fields was not read')
    return tensor
  }

  #inputNamed(field: string, names: Set<string>): TensorSpec {
    const found = this.#string(`${field}.name`)
    const { inputs } = this.#model.signature
    const spec = inputs.find(({ name }) => name === found)
    if (spec === undefined) throw fault('InputUnknown', { field: `${field}.name`, found, known: namesOf(inputs) })
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

  #outputs(): string[] | undefined {
    this.#isArray('outputs')
    const known = this.#model.signature.outputs
    const outputs: string[] = []
    this.#scanner.array(2, (index) => {
      const field = `outputs[${index}]`
      this.#isObject(field)
      let name: string | undefined
      const seen = new Set<string>()
      this.#scanner.object(3, (key) => {
        once(seen, key, `${field}.`)
        if (key === 'name') name = this.#string(`${field}.name`)
        else if (key === 'parameters') this.#parameters(`${field}.parameters`, 4)
        else this.#scanner.skip(4)
      })
      if (name === undefined)
        throw fault('FieldMissing', { field: `${field}.name`, expected: 'the name of a model output' })
      if (!known.some((output) => output.name === name)) {
        throw fault('OutputUnknown', { field: `${field}.name`, found: name, known: namesOf(known) })
      }
      if (outputs.includes(name)) throw fault('OutputTwice', { field: `${field}.name`, found: name })
      outputs.push(name)
    })
    // An empty list asks for nothing in particular, which is how clients write "all".
    return outputs.length === 0 ? undefined : outputs
  }

  /** Parameters are tolerated, except those that would change what the bytes mean. */
  #parameters(field: string, depth: number): Readonly<Record<string, Parameter>> {
    this.#isObject(field)
    const scanner = this.#scanner
    const parameters: [string, Parameter][] = []
    scanner.object(depth, (key) => {
      const value: JsonValue = scanner.value(depth + 1)
      if (key === 'binary_data_size' || key === 'shared_memory_region') {
        throw fault('BinaryUnsupported', { where: `${field}.${key}` })
      }
      if (key === 'classification' && value !== 0)
        throw fault('ClassificationUnsupported', { where: `${field}.${key}` })
      if (value !== null && typeof value === 'object') {
        throw fault('FieldType', {
          field: `${field}.${key}`,
          found: Array.isArray(value) ? 'an array' : 'an object',
          expected: 'a string, a number or a boolean',
        })
      }
      if (sequenceParameters.has(key) && value !== 0 && value !== '' && value !== false) {
        throw fault('SequenceUnsupported', { where: `${field}.${key}` })
      }
      if (value !== null) parameters.push([key, value])
    })
    return Object.fromEntries(parameters)
  }

  #inOrder(inputs: readonly Tensor[]): Tensor[] {
    return this.#model.signature.inputs.map((spec) => {
      const found = inputs.find(({ name }) => name === spec.name)
      if (found !== undefined) return found
      throw fault('InputMissing', { name: spec.name, datatype: spec.datatype, shape: printShape(spec.shape) })
    })
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

/** What Triton's clients send for models that keep state between requests. */
const sequenceParameters: ReadonlySet<string> = new Set(['sequence_id', 'sequence_start', 'sequence_end'])

/** ONNX Runtime counts dimensions in 64 bits; no client means more than this. */
const maxDimension = 2_147_483_647

/** Refuses a datatype or shape that the model did not declare. */
function checkAgainstModel(field: string, spec: TensorSpec, datatype: Datatype, shape: readonly number[]): void {
  if (datatype !== spec.datatype) {
    throw fault('DatatypeWrong', {
      field: `${field}.datatype`,
      found: datatype,
      name: spec.name,
      expected: spec.datatype,
    })
  }
  // Clients of Triton write a scalar as [1], because its configuration cannot say [].
  const scalar = spec.shape.length === 0 && elementCount(shape) === 1
  const fits =
    shape.length === spec.shape.length && spec.shape.every((size, axis) => size === -1 || size === shape[axis])
  if (!fits && !scalar) {
    throw fault('ShapeWrong', {
      field: `${field}.shape`,
      found: printShape(shape),
      name: spec.name,
      expected: printShape(spec.shape),
    })
  }
}

function once(seen: Set<string>, key: string, path: string): void {
  if (seen.has(key)) throw fault('FieldTwice', { field: `${path}${key}` })
  seen.add(key)
}

function namesOf(specs: readonly TensorSpec[]): string {
  return specs.map(({ name }) => name).join(', ')
}
