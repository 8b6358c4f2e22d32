/**
 * Puts requests together into one run of a model and takes its results apart again. Pure.
 * It must never give a request rows that are not its own: when anything does not add up, it throws instead.
 */
import { printShape, tensor, type Tensor, type TensorData } from '../tensor.ts'

/** What a request asks of a model: one tensor per input of the signature, and the outputs it wants. */
export interface Ask {
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly string[]
}

/**
 * What two requests must have in common to share a run: the outputs and every dimension but the first. Datatypes are
 * fixed by the signature. Undefined when the request cannot share one, because its inputs have no common first dimension.
 */
export function groupKey({ inputs, outputs }: Ask): string | undefined {
  const rows = rowsOf(inputs)
  if (rows === undefined || rows === 0) return undefined
  let key = ''
  for (const { shape } of inputs) key += `${shape.slice(1).join(',')};`
  return key + outputs.join('\n')
}

/** Whether two requests have one key, as most that arrive together do: to compare them costs less than to make it. */
function isAlike(left: Ask, right: Ask): boolean {
  const { inputs, outputs } = left
  if (inputs.length !== right.inputs.length || outputs.length !== right.outputs.length) return false
  for (let at = 0; at < outputs.length; at += 1) if (outputs[at] !== right.outputs[at]) return false
  for (let at = 0; at < inputs.length; at += 1) {
    const [shape, other] = [inputs[at]?.shape ?? [], right.inputs[at]?.shape ?? []]
    // With the first dimension too: then neither lacks a common one when the other has it.
    if (shape.length !== other.length) return false
    for (let dimension = 0; dimension < shape.length; dimension += 1)
      if (shape[dimension] !== other[dimension]) return false
  }
  return true
}

/** The common first dimension of all inputs; undefined when there is none. */
export function rowsOf(inputs: readonly Tensor[]): number | undefined {
  const rows = inputs[0]?.shape[0]
  return inputs.every(({ shape }) => shape[0] === rows) ? rows : undefined
}

/**
 * Sorts requests into runs, each a list of places in `asks`. Requests of one key fill a run in order of arrival, up to
 * `maxRows` rows; a larger request runs alone.
 */
export function groupAsks(asks: readonly Ask[], maxRows: number): number[][] {
  const runs: number[][] = []
  const open = new Map<string, { readonly places: number[]; rows: number }>()
  let last: { readonly ask: Ask; readonly key: string | undefined } | undefined
  asks.forEach((ask, place) => {
    const key = last !== undefined && isAlike(last.ask, ask) ? last.key : groupKey(ask)
    last = { ask, key }
    const rows = rowsOf(ask.inputs) ?? 0
    if (key === undefined || rows > maxRows) {
      runs.push([place])
      return
    }
    const run = open.get(key)
    if (run !== undefined && run.rows + rows <= maxRows) {
      run.places.push(place)
      run.rows += rows
      return
    }
    const places = [place]
    runs.push(places)
    open.set(key, { places, rows })
  })
  return runs
}

/** Lays requests of one key upon each other, along the first dimension. */
export function stack(asks: readonly Ask[]): Tensor[] {
  const [first] = asks
  if (first === undefined) throw new Error('there is nothing to stack')
  return first.inputs.map(({ name, datatype, shape }, index) => {
    const parts = asks.map(({ inputs }) => {
      const part = inputs[index]
      if (part?.name !== name) throw new Error(`a request has no input ${name} at place ${index}`)
      return part
    })
    const rows = parts.reduce((sum, part) => sum + (part.shape[0] ?? 0), 0)
    return tensor(name, datatype, [rows, ...shape.slice(1)], concat(parts.map(({ data }) => data)))
  })
}

/**
 * Gives every request its rows of every output, as views of the shared results.
 * @param rows how many rows each request brought, in the order in which they were stacked
 * @throws RowsLost when an output does not have exactly one row for each row that went in
 */
export function unstack(outputs: readonly Tensor[], rows: readonly number[]): Tensor[][] {
  const total = rows.reduce((sum, count) => sum + count, 0)
  for (const { name, shape } of outputs) {
    if (shape[0] !== total) throw new RowsLost(name, shape, total)
  }
  let from = 0
  return rows.map((count) => {
    const start = from
    from += count
    return outputs.map(({ name, datatype, shape, data }) => {
      const perRow = data.length / total
      return tensor(name, datatype, [count, ...shape.slice(1)], part(data, start * perRow, (start + count) * perRow))
    })
  })
}

/** The model's output has not one row for each row of its inputs, so nobody can say whose they are. */
export class RowsLost extends Error {
  override readonly name = 'RowsLost'

  constructor(output: string, shape: readonly number[], rows: number) {
    super(`the output ${output} has the shape ${printShape(shape)} for ${rows} rows of input`)
  }
}

function concat(parts: readonly TensorData[]): TensorData {
  const [first] = parts
  if (first === undefined) throw new Error('there is nothing to join')
  if (Array.isArray(first)) return parts.flatMap((elements) => elements as Uint8Array[])
  // All parts belong to one input, so they are arrays of one kind; the types cannot say so.
  const kind = first.constructor as new (length: number) => Exclude<TensorData, readonly unknown[]>
  const whole = new kind(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const elements of parts) {
    ;(whole as { set(from: TensorData, at: number): void }).set(elements, at)
    at += elements.length
  }
  return whole
}

function part(data: TensorData, from: number, to: number): TensorData {
  return Array.isArray(data) ? data.slice(from, to) : data.subarray(from, to)
}
