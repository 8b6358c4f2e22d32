/**
 * The classification extension: the highest values of an output as `value:index` texts, instead of the output.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
 */
import { fault } from '../errors.ts'
import { elementCount, tensor, type Tensor } from '../tensor.ts'
import { fromHalf } from './half.ts'
import { textRoom } from './textroom.ts'

/**
 * The `classes` highest values of each item of the batch, highest first; of equal values the lower index first.
 * The first dimension is the batch when there are at least two; all others together are the classes.
 * @returns BYTES of shape `[batch, n]`, or `[n]` without a batch, where n is at most the number of values
 * @throws Fault `ClassificationImpossible` for texts and truth values, `TooMuchText` for more classes than fit
 */
export function classify(output: Tensor, classes: number): Tensor {
  const { name, shape } = output
  const batched = shape.length >= 2
  const batch = batched ? (shape[0] ?? 1) : 1
  const size = elementCount(batched ? shape.slice(1) : shape)
  const values = numbersOf(output)
  const count = Math.min(classes, size)
  const float = output.datatype.startsWith('FP')
  textRoom.begin()
  textRoom.check(name, batch * count)
  const texts: Uint8Array[] = []
  for (let item = 0; item < batch; item++) {
    const base = item * size
    for (const index of highest(values, base, size, count)) {
      texts.push(Buffer.from(`${print(values[base + index] ?? 0, float)}:${index}`))
    }
  }
  return tensor(name, 'BYTES', batched ? [batch, count] : [count], texts)
}

type Values = ArrayLike<number | bigint>

function numbersOf(output: Tensor): Values {
  if (output.datatype === 'BYTES' || output.datatype === 'BOOL') {
    throw fault('ClassificationImpossible', { name: output.name, datatype: output.datatype })
  }
  return output.datatype === 'FP16' ? Float32Array.from(output.data, fromHalf) : output.data
}

/** Indexes from `base` on, by falling value. NaN comes last. */
function highest(values: Values, base: number, size: number, count: number): number[] {
  const rank = (index: number): number | bigint => {
    const value = values[base + index] ?? 0
    return Number.isNaN(value) ? -Infinity : value
  }
  const indexes = Array.from({ length: size }, (_, index) => index)
  indexes.sort((left, right) => {
    const [a, b] = [rank(left), rank(right)]
    if (a === b) return left - right
    return a < b ? 1 : -1
  })
  return indexes.slice(0, count)
}

/** As C++ prints numbers by default: floats with six digits after the point. */
function print(value: number | bigint, float: boolean): string {
  return float && typeof value === 'number' ? value.toFixed(6) : String(value)
}
