/**
 * Holds a request against the model's signature. Every codec uses it, so that the engine only sees tensors that fit.
 */
import { fault } from '../errors.ts'
import { elementCount, printShape, type Datatype, type Signature, type Tensor, type TensorSpec } from '../tensor.ts'

/** The input of that name. @throws Fault `InputUnknown` */
export function inputNamed(field: string, found: string, { inputs }: Signature): TensorSpec {
  const spec = inputs.find(({ name }) => name === found)
  if (spec === undefined) throw fault('InputUnknown', { field, found, known: namesOf(inputs) })
  return spec
}

/** The output of that name. @throws Fault `OutputUnknown` */
export function outputNamed(field: string, found: string, { outputs }: Signature): TensorSpec {
  const spec = outputs.find(({ name }) => name === found)
  if (spec === undefined) throw fault('OutputUnknown', { field, found, known: namesOf(outputs) })
  return spec
}

/** Refuses a datatype that the model did not declare. */
export function checkDatatype(field: string, spec: TensorSpec, datatype: Datatype): void {
  if (datatype === spec.datatype) return
  throw fault('DatatypeWrong', { field, found: datatype, name: spec.name, expected: spec.datatype })
}

/** Refuses a shape that the model did not declare. */
export function checkShape(field: string, spec: TensorSpec, shape: readonly number[]): void {
  // Clients of Triton write a scalar as [1], because its configuration cannot say [].
  const scalar = spec.shape.length === 0 && elementCount(shape) === 1
  const fits =
    shape.length === spec.shape.length && spec.shape.every((size, axis) => size === -1 || size === shape[axis])
  if (fits || scalar) return
  throw fault('ShapeWrong', { field, found: printShape(shape), name: spec.name, expected: printShape(spec.shape) })
}

/** The tensors in the order of the signature. @throws Fault `InputMissing` */
export function inSignatureOrder(inputs: readonly Tensor[], signature: Signature): Tensor[] {
  return signature.inputs.map((spec) => {
    const found = inputs.find(({ name }) => name === spec.name)
    if (found !== undefined) return found
    throw fault('InputMissing', { name: spec.name, datatype: spec.datatype, shape: printShape(spec.shape) })
  })
}

export function namesOf(specs: readonly TensorSpec[]): string {
  return specs.map(({ name }) => name).join(', ')
}
