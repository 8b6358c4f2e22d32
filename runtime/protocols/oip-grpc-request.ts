/**
 * The parts of a ModelInferRequest as they are read from protobuf: its head, inputs, outputs and parameters.
 * It must refuse what is given twice, too often or of the wrong kind, and must not look at tensors.
 */
import { fault } from '../errors.ts'
import { ProtoReader, wireType } from '../grpc/protobuf/reader.ts'
import type { ModelIdentity, Parameter } from './codec.ts'
import { checkParameters, wholeParameter, type Parameters } from './parameters.ts'
import type { Urgency } from './schedule.ts'
import { outputNamed } from './signature.ts'

/** Real requests have one field for each input, output and parameter; more is an attempt to keep us busy. */
export const maxFields = 10_000
const maxRank = 64

/** What matters of a request before a worker looks at it. */
export interface RequestHead {
  readonly name: string
  readonly version: string | undefined
  readonly urgency: Urgency
}

/** Finds the head of a request, without its tensors being read. @throws Fault InvalidProtobuf, FieldMissing or FieldType */
export function requestHead(body: Uint8Array<ArrayBuffer>): RequestHead {
  const reader = new ProtoReader(body, 'ModelInferRequest')
  const parameters = new Map<string, Parameter>()
  let name = ''
  let version = ''
  for (let fields = 0; reader.next(); fields++) {
    if (fields === maxFields) throw reader.broken(`it has more than ${maxFields} fields`)
    if (reader.field === 4) readParameter(reader, 'parameters', parameters)
    else if (reader.field > 2) reader.skip()
    else {
      reader.expect(wireType.bytes, reader.field === 1 ? 'model_name' : 'model_version')
      if (reader.field === 1) name = reader.string('model_name')
      else version = reader.string('model_version')
    }
  }
  if (name === '') throw fault('FieldMissing', { field: 'model_name', expected: 'the name of the model' })
  return { name, version: version === '' ? undefined : version, urgency: urgencyOf(parameters) }
}

/** Triton's schedule parameters: a priority, and a timeout in microseconds of which 0 means none. */
function urgencyOf(parameters: ReadonlyMap<string, Parameter>): Urgency {
  if (parameters.size === 0) return {}
  const given = Object.fromEntries(parameters)
  const priority = wholeParameter('parameters', given, 'priority')
  const timeout = wholeParameter('parameters', given, 'timeout') ?? 0
  return { ...(priority === undefined ? {} : { priority }), ...(timeout === 0 ? {} : { timeoutMs: timeout / 1000 }) }
}

export interface InputHead {
  readonly field: string
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly contents: ProtoReader | undefined
}

export interface OutputHead {
  readonly name: string
  /** How many classes to name instead of the output itself; 0 for the output itself. */
  readonly classes: number
}

export function readInput(reader: ProtoReader, field: string): InputHead {
  reader.expect(wireType.bytes, field)
  const input = reader.message(field)
  const once = new Once(`${field}.`)
  const parameters = new Map<string, Parameter>()
  const shape: number[] = []
  let name = ''
  let datatype = ''
  let contents: ProtoReader | undefined
  for (let fields = 0; input.next(); fields++) {
    if (fields === maxFields) throw input.broken(`it has more than ${maxFields} fields`)
    switch (input.field) {
      case 1:
        name = once.string(input, 'name')
        break
      case 2:
        datatype = once.string(input, 'datatype')
        break
      case 3:
        readShape(input, `${field}.shape`, shape)
        break
      case 4:
        readParameter(input, `${field}.parameters`, parameters)
        break
      case 5:
        once.see('contents')
        input.expect(wireType.bytes, `${field}.contents`)
        contents = input.message(`${field}.contents`)
        break
      default:
        input.skip()
    }
  }
  checked(`${field}.parameters`, parameters)
  if (name === '') throw fault('FieldMissing', { field: `${field}.name`, expected: 'the name of a model input' })
  return { field, name, datatype, shape, contents }
}

export function readOutput(
  reader: ProtoReader,
  field: string,
  before: readonly OutputHead[],
  model: ModelIdentity,
): OutputHead {
  reader.expect(wireType.bytes, field)
  const output = reader.message(field)
  const once = new Once(`${field}.`)
  const parameters = new Map<string, Parameter>()
  let name = ''
  for (let fields = 0; output.next(); fields++) {
    if (fields === maxFields) throw output.broken(`it has more than ${maxFields} fields`)
    if (output.field === 1) name = once.string(output, 'name')
    else if (output.field === 2) readParameter(output, `${field}.parameters`, parameters)
    else output.skip()
  }
  outputNamed(`${field}.name`, name, model.signature)
  if (before.some((other) => other.name === name)) throw fault('OutputTwice', { field: `${field}.name`, found: name })
  const classes = wholeParameter(`${field}.parameters`, checked(`${field}.parameters`, parameters), 'classification')
  return { name, classes: classes ?? 0 }
}

function readShape(reader: ProtoReader, field: string, shape: number[]): void {
  const one = (from: ProtoReader): void => {
    const value = from.int64()
    if (shape.length === maxRank) throw from.broken(`${field} has more than ${maxRank} dimensions`)
    if (value < 0n || value > maxDimension) {
      throw fault('ShapeDimension', { field: `${field}[${shape.length}]`, found: String(value) })
    }
    shape.push(Number(value))
  }
  if (reader.wire === wireType.bytes) {
    const packed = reader.message(field)
    while (packed.at < packed.end) one(packed)
    return
  }
  reader.expect(wireType.varint, field)
  one(reader)
}

/** ONNX Runtime counts dimensions in 64 bits; no client means more than this. */
const maxDimension = 2_147_483_647n

/** Reads one entry of a map of InferParameter. */
export function readParameter(reader: ProtoReader, field: string, parameters: Map<string, Parameter>): void {
  reader.expect(wireType.bytes, field)
  const entry = reader.message(field)
  let key = ''
  let value: Parameter | undefined
  for (let fields = 0; entry.next(); fields++) {
    if (fields === maxFields) throw entry.broken(`it has more than ${maxFields} fields`)
    if (entry.field === 1) {
      entry.expect(wireType.bytes, `a key of ${field}`)
      key = entry.string(`a key of ${field}`)
    } else if (entry.field === 2) {
      entry.expect(wireType.bytes, `a value of ${field}`)
      value = readParameterValue(entry.message(field), field)
    } else entry.skip()
  }
  if (parameters.has(key)) throw fault('FieldTwice', { field: `${field}.${key}` })
  if (value !== undefined) parameters.set(key, value)
}

function readParameterValue(reader: ProtoReader, field: string): Parameter | undefined {
  let value: Parameter | undefined
  for (let fields = 0; reader.next(); fields++) {
    if (fields === maxFields) throw reader.broken(`it has more than ${maxFields} fields`)
    const wire = [-1, wireType.varint, wireType.varint, wireType.bytes, wireType.fixed64, wireType.varint][reader.field]
    if (wire === undefined) {
      reader.skip()
      continue
    }
    reader.expect(wire, `a value of ${field}`)
    if (reader.field === 1) value = reader.bool()
    else if (reader.field === 2) value = reader.int64()
    else if (reader.field === 3) value = reader.string(`a value of ${field}`)
    else value = reader.field === 4 ? reader.double() : reader.uint64()
  }
  return value
}

export function checked(field: string, parameters: ReadonlyMap<string, Parameter>): Parameters {
  // fromEntries defines even a key like __proto__ as an ordinary one.
  const given: Parameters = Object.fromEntries(parameters)
  checkParameters(field, given)
  return given
}

/** The last of two values would win in protobuf, the first in many a proxy that looks at them: two are refused. */
export class Once {
  readonly #path: string
  readonly #seen = new Set<string>()

  constructor(path: string) {
    this.#path = path
  }

  see(key: string): void {
    if (this.#seen.has(key)) throw fault('FieldTwice', { field: this.#path + key })
    this.#seen.add(key)
  }

  string(reader: ProtoReader, key: string): string {
    this.see(key)
    reader.expect(wireType.bytes, this.#path + key)
    return reader.string(this.#path + key)
  }
}
