/**
 * Tensors as raw bytes: row-major, little-endian, BYTES elements each after a 4-byte length. As the binary tensor
 * extension over HTTP and the raw contents of gRPC have them. It must never copy what can be viewed in place.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 */
import { fault } from '../errors.ts'
import { elementCount, printShape, tensor, type Datatype, type Tensor, type TensorData } from '../tensor.ts'
import { textRoom } from './textroom.ts'

/** Bytes of one element; BYTES elements have no fixed size. */
export const elementBytes: Readonly<Record<Exclude<Datatype, 'BYTES'>, number>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
}

/**
 * Where tensors must lie for the same bits in every form: ONNX Runtime sums what lies elsewhere in another order, and
 * the last bits of an answer would depend on how long the JSON before the tensor was (found with ONNX's own test data).
 */
export const tensorAlignment = 16

/**
 * Takes bytes as the elements of a tensor: as a view where they lie aligned, else as a copy.
 * @param field how messages name the bytes, such as `inputs[0]`
 * @throws Fault ShapeOverflow, BinarySize, BinaryStrings, TooMuchText or DataElement
 */
export function tensorOfBytes(
  field: string,
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array<ArrayBuffer>,
): Tensor {
  const count = elementCount(shape)
  if (count > Number.MAX_SAFE_INTEGER / 8) {
    throw fault('ShapeOverflow', {
      field: `${field}.shape`,
      shape: printShape(shape),
      bytes: `${bytes.byteLength} bytes`,
    })
  }
  if (datatype === 'BYTES') return tensor(name, datatype, shape, stringsOfBytes(field, shape, count, bytes))
  const size = elementBytes[datatype]
  if (bytes.byteLength !== count * size) {
    throw fault('BinarySize', {
      field,
      found: bytes.byteLength,
      shape: printShape(shape),
      datatype,
      expected: count * size,
    })
  }
  if (datatype === 'BOOL') checkBooleans(field, bytes)
  const { buffer, byteOffset } = bytes.byteOffset % tensorAlignment === 0 ? bytes : bytes.slice()
  return tensor(name, datatype, shape, views[datatype](buffer, byteOffset, count))
}

/** How many bytes a tensor takes. */
export function byteLengthOf(made: Tensor): number {
  if (made.datatype !== 'BYTES') return made.data.byteLength
  return made.data.reduce((sum, { byteLength }) => sum + 4 + byteLength, 0)
}

/** Writes a tensor's bytes to a place that is large enough. Returns the place after them. */
export function writeTensor(made: Tensor, target: Uint8Array, at: number): number {
  if (made.datatype !== 'BYTES') {
    const { buffer, byteOffset, byteLength } = made.data
    target.set(new Uint8Array(buffer, byteOffset, byteLength), at)
    return at + byteLength
  }
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  let next = at
  for (const element of made.data) {
    view.setUint32(next, element.byteLength, true)
    target.set(element, next + 4)
    next += 4 + element.byteLength
  }
  return next
}

type View = (buffer: ArrayBuffer, offset: number, count: number) => TensorData

/** Every processor that Node runs on is little-endian, as the bytes are. */
const views: Readonly<Record<Exclude<Datatype, 'BYTES'>, View>> = {
  BOOL: (buffer, offset, count) => new Uint8Array(buffer, offset, count),
  UINT8: (buffer, offset, count) => new Uint8Array(buffer, offset, count),
  UINT16: (buffer, offset, count) => new Uint16Array(buffer, offset, count),
  UINT32: (buffer, offset, count) => new Uint32Array(buffer, offset, count),
  UINT64: (buffer, offset, count) => new BigUint64Array(buffer, offset, count),
  INT8: (buffer, offset, count) => new Int8Array(buffer, offset, count),
  INT16: (buffer, offset, count) => new Int16Array(buffer, offset, count),
  INT32: (buffer, offset, count) => new Int32Array(buffer, offset, count),
  INT64: (buffer, offset, count) => new BigInt64Array(buffer, offset, count),
  FP16: (buffer, offset, count) => new Uint16Array(buffer, offset, count),
  FP32: (buffer, offset, count) => new Float32Array(buffer, offset, count),
  FP64: (buffer, offset, count) => new Float64Array(buffer, offset, count),
}

/** A C++ bool that is neither 0 nor 1 is undefined behaviour in the engine. */
function checkBooleans(field: string, bytes: Uint8Array): void {
  const wrong = bytes.find((byte) => byte > 1)
  if (wrong !== undefined) {
    throw fault('DataElement', { field, found: `the byte ${wrong}`, datatype: 'BOOL', expected: 'write 0 or 1' })
  }
}

function stringsOfBytes(
  field: string,
  shape: readonly number[],
  count: number,
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array[] {
  const refuse = (problem: string): Error => {
    return fault('BinaryStrings', { field, problem, shape: printShape(shape), count })
  }
  // Every element takes at least its length, so this also bounds what is allocated.
  if (count * 4 > bytes.byteLength) throw refuse(`are ${bytes.byteLength} bytes, too few for that many lengths`)
  textRoom.take(field, count, bytes.byteLength - 4 * count)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Uint8Array[] = []
  let at = 0
  for (let index = 0; index < count; index++) {
    if (at + 4 > bytes.byteLength) throw refuse(`end before the length of element ${index}`)
    const length = view.getUint32(at, true)
    at += 4
    if (at + length > bytes.byteLength) throw refuse(`end inside element ${index}, whose length is ${length}`)
    elements.push(bytes.subarray(at, at + length))
    at += length
  }
  if (at !== bytes.byteLength) throw refuse(`go on for ${bytes.byteLength - at} bytes after the last element`)
  return elements
}
