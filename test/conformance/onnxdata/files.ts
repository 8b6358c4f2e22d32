/**
 * ONNX's own test data as Debian packages it: over a thousand small models, each with inputs and the outputs that ONNX
 * recorded for them. The files lie in the cache and are never committed.
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto the field numbers of TensorProto
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { tensorOfBytes } from '../../../runtime/protocols/binary.ts'
import { elementCount, tensor, type Datatype, type Tensor, type TensorData } from '../../../runtime/tensor.ts'
import { cacheDir, withLock } from '../../cluster/cache.ts'
import { unpackPackages } from '../../cluster/packages.ts'
import { toStderr } from '../../cluster/report.ts'

/** A model of the package, and its sets of inputs and outputs. */
export interface RecordedModel {
  /** Its folder below the data, such as `node/test_abs`. */
  readonly name: string
  readonly file: string
  readonly sets: readonly string[]
}

const debianPackage = 'libonnx-testdata'

/** All models of the package in the order of their names; fetches the package once. */
export async function recordedModels(): Promise<readonly RecordedModel[]> {
  const folder = join(cacheDir(), debianPackage)
  await withLock(`${folder}.lock`, () => unpackPackages([debianPackage], folder, toStderr))
  const data = join(folder, 'usr/share/libonnx-testdata/data')
  return readdirSync(data)
    .flatMap((group) => readdirSync(join(data, group)).map((model) => `${group}/${model}`))
    .toSorted()
    .flatMap((name) => {
      const home = join(data, name)
      const file = join(home, 'model.onnx')
      if (!existsSync(file)) return []
      const sets = readdirSync(home).filter((entry) => entry.startsWith('test_data_set_'))
      return [{ name, file, sets: sets.toSorted().map((set) => join(home, set)) }]
    })
}

/** A recorded value, in the order of the graph; undefined when it is no tensor of a type that a protocol can say. */
export type Recorded = Tensor | undefined

/** The recorded values of one side of a set. */
export function recorded(set: string, side: 'input' | 'output'): Recorded[] {
  const count = readdirSync(set).filter((name) => name.startsWith(`${side}_`)).length
  return Array.from({ length: count }, (_, index) => readProto(readFileSync(join(set, `${side}_${index}.pb`))))
}

const TensorProto = protobuf
  .parse(
    `syntax = "proto2"; message TensorProto {
      repeated int64 dims = 1; optional int32 data_type = 2; repeated float float_data = 4 [packed = true];
      repeated int32 int32_data = 5 [packed = true]; repeated bytes string_data = 6;
      repeated int64 int64_data = 7 [packed = true]; optional string name = 8; optional bytes raw_data = 9;
      repeated double double_data = 10 [packed = true]; repeated uint64 uint64_data = 11 [packed = true]; }`,
    { keepCase: true },
  )
  .root.lookupType('TensorProto')

interface Proto {
  readonly dims: readonly bigint[]
  readonly data_type: number
  readonly float_data: readonly number[]
  readonly int32_data: readonly number[]
  readonly string_data: readonly Uint8Array[]
  readonly int64_data: readonly bigint[]
  readonly name: string
  readonly raw_data: Uint8Array
  readonly double_data: readonly number[]
  readonly uint64_data: readonly bigint[]
}

function readProto(bytes: Uint8Array): Recorded {
  let proto: Proto
  try {
    proto = TensorProto.toObject(TensorProto.decode(bytes), { longs: BigInt, arrays: true, defaults: true }) as Proto
  } catch {
    // A sequence or an optional value: another message, which no protocol can say.
    return undefined
  }
  const datatype = datatypes[proto.data_type]
  if (datatype === undefined) return undefined
  const shape = proto.dims.map(Number)
  const count = elementCount(shape)
  const raw = Uint8Array.from(proto.raw_data)
  if (raw.length > 0 || count === 0) return tensorOfBytes('recorded', proto.name, datatype, shape, raw)
  return tensor(proto.name, datatype, shape, fieldOf[datatype](proto))
}

/** The elements from the field that ONNX keeps each datatype in when they are not raw. */
const fieldOf: Readonly<Record<Datatype, (proto: Proto) => TensorData>> = {
  FP32: ({ float_data }) => Float32Array.from(float_data),
  FP64: ({ double_data }) => Float64Array.from(double_data),
  FP16: ({ int32_data }) => Uint16Array.from(int32_data),
  BYTES: ({ string_data }) => string_data.map((element) => Uint8Array.from(element)),
  INT64: ({ int64_data }) => BigInt64Array.from(int64_data),
  INT32: ({ int32_data }) => Int32Array.from(int32_data),
  INT16: ({ int32_data }) => Int16Array.from(int32_data),
  INT8: ({ int32_data }) => Int8Array.from(int32_data),
  UINT64: ({ uint64_data }) => BigUint64Array.from(uint64_data),
  UINT32: ({ uint64_data }) => Uint32Array.from(uint64_data, Number),
  UINT16: ({ int32_data }) => Uint16Array.from(int32_data),
  UINT8: ({ int32_data }) => Uint8Array.from(int32_data),
  BOOL: ({ int32_data }) => Uint8Array.from(int32_data),
}

const datatypes: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
}
