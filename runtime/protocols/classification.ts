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

/**
 * The indexes, from `base` on, of the highest values, by falling value. NaN comes last. It keeps no more than it is asked
 * for, in memory outside the heap: an output may have millions of values.
 */
function highest(values: Values, base: number, size: number, count: number): Uint32Array {
  const rank = (index: number): number | bigint => {
    const value = values[base + index] ?? 0
    return Number.isNaN(value) ? -Infinity : value
  }
  const before = (one: number, other: number): boolean => {
    const [a, b] = [rank(one), rank(other)]
    return a === b ? one < other : a > b
  }
  /** The best so far as a heap: of each three, the last in order lies above. */
  const best = new Uint32Array(count)
  if (count === 0) return best
  const at = (place: number): number => best[place] ?? 0
  /** Puts an index at the top of the first `length` places, and lets it sink to where it belongs. */
  const sink = (index: number, top: number, length: number): void => {
    let place = top
    for (let child = 2 * place + 1; child < length; child = 2 * place + 1) {
      if (child + 1 < length && before(at(child), at(child + 1))) child += 1
      if (!before(index, at(child))) break
      best[place] = at(child)
      place = child
    }
    best[place] = index
  }
  for (let index = 0; index < count; index++) best[index] = index
  for (let top = (count >> 1) - 1; top >= 0; top--) sink(at(top), top, count)
  for (let index = count; index < size; index++) if (before(index, at(0))) sink(index, 0, count)
  for (let end = count - 1; end > 0; end--) {
    const last = at(0)
    sink(at(end), 0, end)
    best[end] = last
  }
  return best
}

/** As C++ prints numbers by default: floats with six digits after the point. */
function print(value: number | bigint, float: boolean): string {
  return float && typeof value === 'number' ? value.toFixed(6) : String(value)
}
