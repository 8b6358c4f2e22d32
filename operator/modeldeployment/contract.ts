// Whether clients of the serving version would notice the new one: inputs and outputs compared in words. Pure.
import type { ModelRevision } from '../api/modelrevision.ts'

type Contract = ModelRevision['spec']['contract']
type Tensor = Contract['inputs'][number]

/**
 * The first difference that would break a client of `stable`, or undefined when there is none. A request that
 * the old model takes must be taken by the new one, and every output the old one gives must come back with the
 * same type and a shape that a client of the old one can read. New outputs break nobody.
 */
export const contractDifference = (stable: Contract, candidate: Contract): string | undefined => {
  for (const input of stable.inputs) {
    const other = candidate.inputs.find((t) => t.name === input.name)
    if (other === undefined) return `input ${describe(input)} is gone`
    if (other.datatype !== input.datatype)
      return `input ${input.name} changed from ${input.datatype} to ${other.datatype}`
    if (!fits(input.shape, other.shape))
      return `input ${input.name} changed its shape from ${shape(input)} to ${shape(other)}`
  }
  const added = candidate.inputs.find((t) => !stable.inputs.some((s) => s.name === t.name))
  if (added !== undefined) return `input ${describe(added)} is new, and clients do not send it`
  for (const output of stable.outputs) {
    const other = candidate.outputs.find((t) => t.name === output.name)
    if (other === undefined) return `output ${describe(output)} is gone`
    if (other.datatype !== output.datatype)
      return `output ${output.name} changed from ${output.datatype} to ${other.datatype}`
    if (!fits(other.shape, output.shape))
      return `output ${output.name} changed its shape from ${shape(output)} to ${shape(other)}`
  }
  return undefined
}

/** True when every value of shape `narrow` is also one of shape `wide`; -1 is any size. */
const fits = (narrow: readonly number[], wide: readonly number[]): boolean =>
  narrow.length === wide.length && narrow.every((size, i) => wide[i] === -1 || wide[i] === size)

const shape = (tensor: Tensor): string => `[${tensor.shape.join(', ')}]`
const describe = (tensor: Tensor): string => `${tensor.name} (${tensor.datatype} ${shape(tensor)})`
