/**
 * The typed form of a tensor in gRPC, InferTensorContents: one repeated field for each family of datatypes.
 * It must never allocate for elements that are not there, and must refuse a number that the datatype cannot hold.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
 */
import { fault } from '../errors.ts'
import { ProtoReader, wireType } from '../grpc/protobuf/reader.ts'
import { ProtoWriter } from '../grpc/protobuf/writer.ts'
import { elementCount, printShape, zeros, type Datatype, type Tensor } from '../tensor.ts'
import { tensorOfBytes } from './binary.ts'
import { textRoom } from './textroom.ts'

/** The fields of InferTensorContents by number, and how a single element of each is written. */
const fields = [
  undefined,
  { name: 'bool_contents', wire: wireType.varint },
  { name: 'int_contents', wire: wireType.varint },
  { name: 'int64_contents', wire: wireType.varint },
  { name: 'uint_contents', wire: wireType.varint },
  { name: 'uint64_contents', wire: wireType.varint },
  { name: 'fp32_contents', wire: wireType.fixed32 },
  { name: 'fp64_contents', wire: wireType.fixed64 },
  { name: 'bytes_contents', wire: wireType.bytes },
] as const

/** The field of each datatype; the protocol has none for FP16. */
const fieldOf: Readonly<Record<Datatype, number | undefined>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP16: undefined,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
}

/** Whether a datatype has a typed form. */
export function hasContents(datatype: Datatype): boolean {
  return fieldOf[datatype] !== undefined
}

/**
 * Reads the elements of a tensor.
 * @param field how messages name the contents, such as `inputs[0].contents`
 * @throws Fault ContentsImpossible, ContentsField, DataCount, DataElement, TooMuchText or InvalidProtobuf
 */
export function tensorOfContents(
  field: string,
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  contents: ProtoReader,
): Tensor {
  const number = fieldOf[datatype]
  const kind = number === undefined ? undefined : fields[number]
  if (number === undefined || kind === undefined) throw fault('ContentsImpossible', { field, datatype })
  const path = `${field}.${kind.name}`
  const expected = elementCount(shape)
  const start = contents.at
  const { count: found, whole } = survey(contents, number, field, datatype)
  if (found !== expected) throw fault('DataCount', { field: path, found, shape: printShape(shape), expected })
  // Floats in one piece lie in the message as they do in memory.
  if (whole !== undefined && kind.wire !== wireType.varint) return tensorOfBytes(path, name, datatype, shape, whole)
  if (datatype === 'BYTES') textRoom.take(path, expected, 0)
  const target = zeros(name, datatype, shape)
  contents.at = start
  let at = 0
  while (contents.next()) {
    if (contents.field !== number) contents.skip()
    else if (contents.wire !== wireType.bytes || kind.wire === wireType.bytes) readElement(contents, target, at++, path)
    else {
      const packed = contents.message(path)
      while (packed.at < packed.end) readElement(packed, target, at++, path)
    }
  }
  return target
}

/** The bytes of InferTensorContents that hold a tensor's elements. */
export function contentsOf(tensor: Tensor): Uint8Array {
  const number = fieldOf[tensor.datatype]
  if (number === undefined) throw new Error(`${tensor.datatype} has no typed contents`)
  if (tensor.datatype === 'BYTES') {
    const writer = new ProtoWriter(64)
    for (const element of tensor.data) writer.bytes(number, element)
    return writer.finish()
  }
  const packed = new ProtoWriter(tensor.data.byteLength + 16)
  switch (tensor.datatype) {
    case 'INT64':
    case 'UINT64': {
      const halves = new Int32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length * 2)
      for (let at = 0; at < halves.length; at += 2) packed.varint64(halves[at] ?? 0, halves[at + 1] ?? 0)
      break
    }
    case 'FP32':
    case 'FP64':
      packed.raw(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength))
      break
    case 'INT8':
    case 'INT16':
    case 'INT32':
      for (const value of tensor.data) packed.int32(value)
      break
    case 'BOOL':
    case 'UINT8':
    case 'UINT16':
    case 'UINT32':
    case 'FP16':
      for (const value of tensor.data) packed.uint32(value)
      break
  }
  if (packed.length === 0) return new Uint8Array(0)
  return new ProtoWriter(packed.length + 12).bytes(number, packed.finish()).finish()
}

/**
 * Counts the elements before anything is allocated for them. They may be packed, one by one, or both.
 * @returns their bytes too, when they are packed and in one piece
 */
function survey(
  contents: ProtoReader,
  number: number,
  field: string,
  datatype: Datatype,
): { count: number; whole: Uint8Array<ArrayBuffer> | undefined } {
  let count = 0
  let pieces = 0
  let whole: Uint8Array<ArrayBuffer> | undefined
  while (contents.next()) {
    const known = fields[contents.field]
    if (known === undefined) {
      contents.skip()
      continue
    }
    const path = `${field}.${known.name}`
    if (contents.field !== number) {
      throw fault('ContentsField', { field: path, datatype, expected: fields[number]?.name ?? '' })
    }
    pieces += 1
    if (contents.wire === wireType.bytes && known.wire !== wireType.bytes) {
      const packed = contents.message(path)
      count += elementsIn(packed, known.wire)
      whole = packed.bytes.subarray(packed.at, packed.end)
    } else {
      contents.expect(known.wire, path)
      contents.skip()
      count += 1
      whole = undefined
    }
  }
  return { count, whole: pieces === 1 ? whole : undefined }
}

/** A varint ends with the only byte of it that is below 128. */
function elementsIn(run: ProtoReader, wire: number): number {
  const size = run.end - run.at
  if (wire === wireType.varint) {
    let count = 0
    for (let at = run.at; at < run.end; at++) if ((run.bytes[at] ?? 0) < 0x80) count += 1
    return count
  }
  const each = wire === wireType.fixed32 ? 4 : 8
  if (size % each !== 0) throw run.broken(`${size} bytes are no whole number of elements`)
  return size / each
}

function readElement(run: ProtoReader, target: Tensor, at: number, path: string): void {
  switch (target.datatype) {
    case 'BOOL':
      target.data[at] = run.bool() ? 1 : 0
      return
    case 'INT8':
    case 'INT16':
    case 'INT32':
      readWhole(run.int32(), target, at, path)
      return
    case 'UINT8':
    case 'UINT16':
    case 'UINT32':
      readWhole(run.uint32(), target, at, path)
      return
    case 'INT64':
      target.data[at] = run.int64()
      return
    case 'UINT64':
      target.data[at] = run.uint64()
      return
    case 'BYTES':
      target.data[at] = run.view()
      textRoom.take(path, 0, target.data[at]?.byteLength ?? 0)
      return
    case 'FP32':
      target.data[at] = run.float()
      return
    case 'FP64':
      target.data[at] = run.double()
      return
    case 'FP16':
      throw new Error('FP16 has no typed contents')
  }
}

type Whole = Extract<Tensor, { datatype: 'INT8' | 'INT16' | 'INT32' | 'UINT8' | 'UINT16' | 'UINT32' }>

function readWhole(value: number, { data, datatype }: Whole, at: number, path: string): void {
  data[at] = value
  if (data[at] === value) return
  const expected = 'write numbers that the datatype can hold'
  throw fault('DataElement', { field: path, found: String(value), datatype, expected })
}
