/**
 * A body that is nothing but the bytes of a model's one input. The shape is found from the signature and the length.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md#raw-binary-request
 */
import { fault } from '../errors.ts'
import { elementCount, printShape, tensor, type Signature, type Tensor, type TensorSpec } from '../tensor.ts'
import { elementBytes, tensorOfBytes } from './binary.ts'

/**
 * Takes a whole body as the model's one input. A text is one element; of several dynamic dimensions the first is the
 * batch, which is then 1.
 * @throws Fault RawInputs, RawShape or BinarySize
 */
export function rawInput(body: Uint8Array<ArrayBuffer>, { inputs }: Signature): Tensor {
  const [spec] = inputs
  if (spec === undefined || inputs.length > 1) throw fault('RawInputs', { found: inputs.length })
  if (spec.datatype === 'BYTES') {
    if (spec.shape.some((size) => size !== 1 && size !== -1)) throw unclear(spec)
    return tensor(
      spec.name,
      'BYTES',
      spec.shape.map(() => 1),
      [body],
    )
  }
  return tensorOfBytes('the body', spec.name, spec.datatype, shapeFor(spec, body.byteLength), body)
}

function shapeFor(spec: TensorSpec, bytes: number): number[] {
  const batchOne = spec.shape.filter((size) => size === -1).length > 1 && spec.shape[0] === -1
  const shape = batchOne ? spec.shape.with(0, 1) : [...spec.shape]
  const unknown = shape.flatMap((size, axis) => (size === -1 ? [axis] : []))
  if (unknown.length > 1) throw unclear(spec)
  const [axis] = unknown
  if (axis === undefined || spec.datatype === 'BYTES') return shape
  const rest = elementCount(shape.with(axis, 1)) * elementBytes[spec.datatype]
  // What is left over makes the size wrong, which is said where the bytes are taken.
  return shape.with(axis, rest === 0 ? 0 : Math.floor(bytes / rest))
}

function unclear({ name, shape }: TensorSpec): Error {
  return fault('RawShape', { name, shape: printShape(shape) })
}
