/**
 * A run of a model by onnxruntime-node's public interface alone, with nothing of the runtime in between.
 */
import { type InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { tensor, type Datatype, type Tensor, type TensorData } from '../../../runtime/tensor.ts'

/** All outputs in the order of the graph. @throws Error with ONNX Runtime's words */
export async function runDirectly(session: InferenceSession, inputs: readonly Tensor[]): Promise<Tensor[]> {
  const results = await session.run(Object.fromEntries(inputs.map((input) => [input.name, toOrt(input)])))
  return session.outputNames.map((name) => {
    const result = results[name]
    if (result === undefined) throw new Error(`ONNX Runtime gave no output ${name}`)
    return fromOrt(name, result)
  })
}

function toOrt(input: Tensor): OrtTensor {
  const { datatype, shape, data } = input
  const dims = [...shape]
  if (datatype === 'BYTES')
    return new OrtTensor(
      'string',
      data.map((text) => Buffer.from(text).toString()),
      dims,
    )
  if (datatype !== 'FP16') return new OrtTensor(ortTypes[datatype] as 'float32', data as Float32Array, dims)
  // The binding cannot read Node's halves (microsoft/onnxruntime#26791), and the class takes nothing else for them.
  return Object.defineProperty(new OrtTensor('uint16', data, dims), 'type', { value: 'float16' })
}

function fromOrt(name: string, { type, dims, data }: OrtTensor): Tensor {
  const datatype = datatypes.get(type)
  if (datatype === undefined) throw new Error(`ONNX Runtime gave ${name} as ${type}`)
  return tensor(name, datatype, [...dims], elementsOf(datatype, data))
}

function elementsOf(datatype: Datatype, data: OrtTensor['data']): TensorData {
  if (datatype === 'BYTES') return (data as string[]).map((text) => Uint8Array.from(Buffer.from(text)))
  const { buffer, byteOffset, length } = data as unknown as Uint16Array<ArrayBuffer>
  return datatype === 'FP16' ? new Uint16Array(buffer, byteOffset, length) : (data as TensorData)
}

const ortTypes: Readonly<Record<Datatype, OrtTensor.Type>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
}

const datatypes = new Map(Object.entries(ortTypes).map(([datatype, type]) => [type, datatype as Datatype]))
