/**
 * Whether an output is what ONNX recorded. The tolerance is that of ONNX's own backend tests for floats; all else must be
 * equal.
 */
import { fromHalf } from '../../../runtime/protocols/half.ts'
import type { Tensor } from '../../../runtime/tensor.ts'

/** `rtol` and `atol` of ONNX's backend tests; halves have eleven bits, and no more can be asked of them. */
const relative = 1e-3
const absolute = { FP16: 1e-3, FP32: 1e-7, FP64: 1e-7 } as const

/** What is further away than it may be; undefined for nothing. */
export function distance(output: Tensor, expected: Tensor): string | undefined {
  const { name, datatype, shape } = output
  if (datatype !== expected.datatype) return `${name} is ${datatype}, not ${expected.datatype}`
  if (shape.join() !== expected.shape.join())
    return `${name} has the shape [${shape.join()}], not [${expected.shape.join()}]`
  const found = valuesOf(output)
  const wanted = valuesOf(expected)
  const slack = isFloat(datatype) ? absolute[datatype] : undefined
  const at = found.findIndex((value, index) => !isNear(value, wanted[index], slack))
  return at === -1 ? undefined : `element ${at} of ${name} is ${found[at]}, and ${wanted[at]} was recorded`
}

type Value = number | bigint | string | undefined

function isNear(found: Value, wanted: Value, slack: number | undefined): boolean {
  if (Object.is(found, wanted) || found === wanted) return true
  if (slack === undefined || typeof found !== 'number' || typeof wanted !== 'number') return false
  return Math.abs(found - wanted) <= slack + relative * Math.abs(wanted)
}

function valuesOf(from: Tensor): Value[] {
  if (from.datatype === 'BYTES') return from.data.map((text) => Buffer.from(text).toString())
  if (from.datatype === 'FP16') return Array.from(from.data, fromHalf)
  return Array.from<number | bigint>(from.data)
}

function isFloat(datatype: Tensor['datatype']): datatype is keyof typeof absolute {
  return Object.hasOwn(absolute, datatype)
}
