/**
 * The one tensor representation that codecs produce, engines run and codecs print.
 * It must never know a wire format or an engine.
 */

/**
 * How the elements of each Open Inference Protocol datatype are held. FP16 is held as raw IEEE 754 bits, and BYTES as
 * the very bytes that came: whether they must be text is for the engine to say.
 */
interface Elements {
  BOOL: Uint8Array<ArrayBuffer>
  UINT8: Uint8Array<ArrayBuffer>
  UINT16: Uint16Array<ArrayBuffer>
  UINT32: Uint32Array<ArrayBuffer>
  UINT64: BigUint64Array<ArrayBuffer>
  INT8: Int8Array<ArrayBuffer>
  INT16: Int16Array<ArrayBuffer>
  INT32: Int32Array<ArrayBuffer>
  INT64: BigInt64Array<ArrayBuffer>
  FP16: Uint16Array<ArrayBuffer>
  FP32: Float32Array<ArrayBuffer>
  FP64: Float64Array<ArrayBuffer>
  BYTES: Uint8Array[]
}

/** @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md#tensor-data-types */
export type Datatype = keyof Elements

/** A tensor with its elements in row-major order; `shape` is empty for a scalar. */
export type Tensor = {
  [D in Datatype]: {
    readonly name: string
    readonly datatype: D
    readonly shape: readonly number[]
    readonly data: Elements[D]
  }
}[Datatype]

export type TensorData = Elements[Datatype]

/** An input or output of a graph. A dynamic dimension is -1. */
export interface TensorSpec {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
}

export interface Signature {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
}

const noBytes = new Uint8Array(0)

type Allocate = { readonly [D in Datatype]: (count: number) => Elements[D] }

const allocate: Allocate = {
  BOOL: (count) => new Uint8Array(count),
  UINT8: (count) => new Uint8Array(count),
  UINT16: (count) => new Uint16Array(count),
  UINT32: (count) => new Uint32Array(count),
  UINT64: (count) => new BigUint64Array(count),
  INT8: (count) => new Int8Array(count),
  INT16: (count) => new Int16Array(count),
  INT32: (count) => new Int32Array(count),
  INT64: (count) => new BigInt64Array(count),
  FP16: (count) => new Uint16Array(count),
  FP32: (count) => new Float32Array(count),
  FP64: (count) => new Float64Array(count),
  BYTES: (count) => Array.from({ length: count }, () => noBytes),
}

export const datatypes = Object.keys(allocate).filter(isDatatype)

export function isDatatype(text: string): text is Datatype {
  return Object.hasOwn(allocate, text)
}

/** A tensor of zeros, `false` or no bytes. */
export function zeros(name: string, datatype: Datatype, shape: readonly number[]): Tensor {
  return tensor(name, datatype, shape, allocate[datatype](elementCount(shape)))
}

/**
 * Puts a datatype and elements that are known to belong together into one tensor.
 * The types of `Tensor` cannot follow a datatype chosen at run time, so this is the one place that asserts it.
 */
export function tensor(name: string, datatype: Datatype, shape: readonly number[], data: TensorData): Tensor {
  return { name, datatype, shape, data } as Tensor
}

/** The number of elements a shape of non-negative dimensions holds; 1 for a scalar. May exceed 2^53, then inexact. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const size of shape) count *= size
  return count
}

/** `[2,-1,128]`, as error messages print shapes. */
export function printShape(shape: readonly number[]): string {
  return `[${shape.join(',')}]`
}
