/**
 * Prediction as KServe V1 and TensorFlow Serving have it: rows (`instances` → `predictions`) or columns
 * (`inputs` → `outputs`), tensors in their natural nesting, bytes as `{"b64":…}`. One request, one form.
 *
 * @see https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md#predict-api
 */
import { fault } from '../errors.ts'
import { printShape, type Signature, type Tensor, type TensorSpec } from '../tensor.ts'
import type { Codec, Encoded, InferenceRequest } from './codec.ts'
import { NaturalReader } from './json/natural.ts'
import { char, JsonScanner } from './json/scanner.ts'
import { JsonWriter } from './json/writer.ts'
import { inputNamed, inSignatureOrder, namesOf } from './signature.ts'

type Form = 'rows' | 'columns'

/** The only signature of an ONNX graph, by the name TensorFlow gives the default. */
export const signatureName = 'serving_default'

export const kserveV1: Codec<undefined> = {
  decode(body, { signature }) {
    if (body.byteLength === 0) throw fault('V1BodyMissing', {})
    const { form, inputs, rows } = readPredict(new JsonScanner(body), signature)
    return naturalRequest(inputs, signature, (outputs) =>
      form === 'rows' ? predictions(outputs, rows) : columns('outputs', outputs),
    )
  },
}

/** A request for all outputs, without id and parameters: these protocols have none. */
export function naturalRequest(
  inputs: readonly Tensor[],
  signature: Signature,
  answer: (outputs: readonly Tensor[]) => Encoded,
): InferenceRequest {
  return {
    id: undefined,
    inputs: inSignatureOrder(inputs, signature),
    outputs: signature.outputs.map(({ name }) => name),
    parameters: {},
    answer,
  }
}

/**
 * Takes the value at the scanner as inputs in columns: one object with a member for each, or the one input itself.
 * @param field how messages name the value, such as `inputs`
 */
export function readColumns(scanner: JsonScanner, field: string, signature: Signature): Tensor[] {
  const [only, second] = signature.inputs
  if (scanner.peek() === char.openObject && !isBase64(scanner, signature)) {
    const inputs: Tensor[] = []
    members(scanner, 2, field, (name, path) => {
      const reader = new NaturalReader(scanner, path, inputNamed(path, name, signature))
      reader.read(0)
      inputs.push(reader.finish())
    })
    return inputs
  }
  if (only === undefined || second !== undefined) throw needsNames(scanner, field, signature)
  const reader = new NaturalReader(scanner, field, only)
  reader.read(0)
  return [reader.finish()]
}

/** `{"<key>":<value>}`, or `{"<key>":{"<output>":<value>,…}}` for several outputs. */
export function columns(key: string, outputs: readonly Tensor[]): Encoded {
  const writer = writerFor(outputs).raw(`{"${key}":`)
  naturalOutputs(writer, outputs)
  return json(writer.raw('}'))
}

/** Outputs in their natural nesting: the bare value of one, an object of several. */
export function naturalOutputs(writer: JsonWriter, outputs: readonly Tensor[]): JsonWriter {
  const [only, second] = outputs
  if (only !== undefined && second === undefined) return writer.natural(only)
  writer.raw('{')
  outputs.forEach((output, index) => {
    if (index > 0) writer.raw(',')
    writer.string(output.name).raw(':').natural(output)
  })
  return writer.raw('}')
}

export function writerFor(outputs: readonly Tensor[]): JsonWriter {
  return new JsonWriter(64 + outputs.reduce((size, { data }) => size + data.length * 12, 0))
}

export function json(writer: JsonWriter): Encoded {
  return { body: writer.finish(), headers: { 'content-type': 'application/json' } }
}

function readPredict(
  scanner: JsonScanner,
  signature: Signature,
): { form: Form; inputs: readonly Tensor[]; rows: number } {
  let form: Form | undefined
  let inputs: readonly Tensor[] = []
  let rows = 0
  if (scanner.peek() !== char.openObject) {
    throw fault('FieldType', { field: 'the body', found: scanner.kind(), expected: 'an object with "instances"' })
  }
  const only = (found: Form): void => {
    if (form !== undefined) throw fault('V1BothForms', {})
    form = found
  }
  members(scanner, 1, '', (key) => {
    if (key === 'instances') {
      only('rows')
      const read = readRows(scanner, signature)
      inputs = read.inputs
      rows = read.rows
    } else if (key === 'inputs') {
      only('columns')
      inputs = readColumns(scanner, 'inputs', signature)
    } else if (key === 'signature_name') checkSignatureName(scanner)
    else scanner.skip(2)
  })
  scanner.end()
  if (form === undefined) throw fault('FieldMissing', { field: 'instances', expected: 'a list with one entry per row' })
  return { form, inputs, rows }
}

function checkSignatureName(scanner: JsonScanner): void {
  if (scanner.kind() !== 'a string') {
    throw fault('FieldType', { field: 'signature_name', found: scanner.kind(), expected: `"${signatureName}"` })
  }
  const found = scanner.string()
  if (found !== signatureName && found !== '') throw fault('V1Signature', { found, known: signatureName })
}

function readRows(scanner: JsonScanner, signature: Signature): { inputs: Tensor[]; rows: number } {
  if (scanner.kind() !== 'an array') {
    throw fault('FieldType', { field: 'instances', found: scanner.kind(), expected: 'a list with one entry per row' })
  }
  for (const { name, shape } of signature.inputs) {
    if (shape.length === 0) throw fault('V1ScalarRows', { name })
  }
  const readers = new Map(signature.inputs.map((spec) => [spec.name, new NaturalReader(scanner, 'instances', spec)]))
  const [only, second] = signature.inputs
  let rows = 0
  scanner.array(2, (index) => {
    rows += 1
    const field = `instances[${index}]`
    if (scanner.peek() === char.openObject && !isBase64(scanner, signature)) {
      const seen = new Set<string>()
      members(scanner, 3, field, (name, path) => {
        inputNamed(path, name, signature)
        seen.add(name)
        readers.get(name)?.read(1)
      })
      const missing = signature.inputs.find(({ name }) => !seen.has(name))
      if (missing !== undefined) {
        throw fault('FieldMissing', { field: `${field}.${missing.name}`, expected: rowOf(missing) })
      }
      return
    }
    if (only === undefined || second !== undefined) throw needsNames(scanner, field, signature)
    readers.get(only.name)?.read(1)
  })
  if (rows === 0) {
    throw fault('FieldType', { field: 'instances', found: 'an empty list', expected: 'at least one row' })
  }
  return { inputs: [...readers.values()].map((reader) => reader.finish(rows)), rows }
}

function rowOf({ datatype, shape }: TensorSpec): string {
  return shape.length === 1 ? `one ${datatype}` : `${datatype} nested as ${printShape(shape.slice(1))}`
}

/** Whether the object at the scanner is the one input's value, written in base64, and no object of inputs. */
function isBase64(scanner: JsonScanner, { inputs }: Signature): boolean {
  const [only, second] = inputs
  if (only?.datatype !== 'BYTES' || only.name === 'b64' || second !== undefined) return false
  const start = scanner.at
  scanner.at += 1
  const found = scanner.peek() === char.quote && scanner.string() === 'b64'
  scanner.at = start
  return found
}

function needsNames(scanner: JsonScanner, field: string, { inputs }: Signature): Error {
  return fault('FieldType', {
    field,
    found: scanner.kind(),
    expected: `an object with one member per input (${namesOf(inputs)})`,
  })
}

/** The members of an object, each once. */
function members(
  scanner: JsonScanner,
  depth: number,
  field: string,
  member: (key: string, path: string) => void,
): void {
  const seen = new Set<string>()
  scanner.object(depth, (key) => {
    const path = field === '' ? key : `${field}.${key}`
    if (seen.has(key)) throw fault('FieldTwice', { field: path })
    seen.add(key)
    member(key, path)
  })
}

/**
 * Outputs as rows, as many as they have, which need not be as many as were asked: TensorFlow Serving writes whatever the
 * model gives, and its clients of models that find things in a picture rely on it.
 */
function predictions(outputs: readonly Tensor[], asked: number): Encoded {
  const rows = outputs[0]?.shape[0] ?? asked
  for (const { name, shape } of outputs) {
    if (shape[0] !== rows) throw fault('V1BatchSize', { name, found: printShape(shape), rows })
  }
  const writer = writerFor(outputs).raw('{"predictions":')
  const [only, second] = outputs
  if (only !== undefined && second === undefined) return json(writer.natural(only).raw('}'))
  writer.raw('[')
  for (let row = 0; row < rows; row++) {
    writer.raw(row === 0 ? '{' : ',{')
    outputs.forEach((output, index) => {
      if (index > 0) writer.raw(',')
      writer.string(output.name).raw(':').natural(output, row)
    })
    writer.raw('}')
  }
  return json(writer.raw(']}'))
}
