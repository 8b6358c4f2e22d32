/**
 * Proves that a model keeps the rows of a batch apart, before any two requests share a run: a batch of two must give
 * what two batches of one give. It must say no whenever it is not sure.
 */
import { Fault } from '../errors.ts'
import { fromHalf } from '../protocols/half.ts'
import { elementCount, tensor, zeros, type Datatype, type Signature, type Tensor, type TensorSpec } from '../tensor.ts'
import { RowsLost, stack, unstack } from './batch.ts'
import type { Engine } from './engine.ts'

export type BatchTest =
  /** `row` is an input of one row that the model runs on, with values that differ from element to element. */
  { readonly ok: true; readonly row: readonly Tensor[] } | { readonly ok: false; readonly reason: string }

/** Pairs compared. Each has other values, so that a model that mixes rows only sometimes is found out too. */
const pairs = 4
/** After this long no further pair is begun: a slow model must not keep a pod from its users. */
const budgetMs = 1000

/**
 * @param sample inputs that the model ran on, as the self-test found them; undefined when it found none
 * @param now milliseconds of any clock
 */
export function testBatching(
  engine: Engine,
  sample: readonly Tensor[] | undefined,
  now: () => number = () => performance.now(),
): BatchTest {
  const { signature } = engine
  const fixed = firstFixed(signature)
  if (fixed !== undefined) return { ok: false, reason: fixed }
  if (sample === undefined) return { ok: false, reason: 'no invented input suits the model, so it could not be tried' }
  if (sample.some(({ shape }) => shape[0] !== 1)) {
    return { ok: false, reason: 'the model refused a batch of one, so its first dimension is no batch' }
  }
  const outputs = signature.outputs.map(({ name }) => name)
  let reason = 'the model refused every invented value'
  for (const spread of spreads) {
    try {
      const proved = comparePairs(engine, sample, outputs, spread, now)
      return proved.ok ? proveWider(engine, sample, outputs, spread, now, proved) : proved
    } catch (error) {
      if (error instanceof RowsLost) return { ok: false, reason: error.message }
      if (!(error instanceof Fault)) throw error
      // Indices beyond a table's end are refused; smaller ones may be fine.
      reason = error.message
    }
  }
  return { ok: false, reason }
}

/**
 * A model may keep rows apart only as long as its other dimensions are 1: a reshape where a transpose was meant does. So
 * where they were guessed as 1 the proof is made once more with a few of them, if the model takes that.
 */
function proveWider(
  engine: Engine,
  sample: readonly Tensor[],
  outputs: readonly string[],
  spread: number,
  now: () => number,
  proved: BatchTest,
): BatchTest {
  const wide = widened(engine.signature, sample)
  if (wide === undefined) return proved
  try {
    const again = comparePairs(engine, wide, outputs, spread, now)
    return again.ok ? proved : again
  } catch (error) {
    if (error instanceof Fault) return proved
    throw error
  }
}

/** The sample with every dynamic dimension but the first, where it was guessed as 1, at 3; undefined where there is none. */
function widened({ inputs }: Signature, sample: readonly Tensor[]): readonly Tensor[] | undefined {
  const isGuessed = (at: number, axis: number, size: number): boolean =>
    axis > 0 && size === 1 && inputs[at]?.shape[axis] === -1
  if (!sample.some(({ shape }, at) => shape.some((size, axis) => isGuessed(at, axis, size)))) return undefined
  const wide = sample.map(({ name, datatype, shape }, at) =>
    zeros(
      name,
      datatype,
      shape.map((size, axis) => (isGuessed(at, axis, size) ? 3 : size)),
    ),
  )
  return wide.every(({ shape }) => elementCount(shape) <= 2 ** 22) ? wide : undefined
}

function comparePairs(
  engine: Engine,
  sample: readonly Tensor[],
  outputs: readonly string[],
  spread: number,
  now: () => number,
): BatchTest {
  let different = false
  const started = now()
  for (let pair = 0; pair < pairs && (pair === 0 || now() - started < budgetMs); pair++) {
    const asks = [2 * pair, 2 * pair + 1].map((seed) => ({ inputs: varied(sample, seed + 1, spread), outputs }))
    const alone = asks.map(({ inputs }) => engine.run(inputs, outputs))
    const together = unstack(engine.run(stack(asks), outputs), [1, 1])
    for (const [side, expected] of alone.entries()) {
      for (const [index, output] of expected.entries()) {
        const found = together[side]?.[index]
        if (found === undefined || !sameTensor(output, found)) {
          return { ok: false, reason: `a batch of two gave another ${output.name} than two batches of one` }
        }
      }
    }
    const [first = [], second = []] = alone
    different ||= first.some((output, index) => second[index] === undefined || !sameTensor(output, second[index]))
  }
  // Without this, a model whose answers are all alike would pass, whatever it did to the rows.
  if (!different) return { ok: false, reason: 'the model gave the same answer to every invented input' }
  return { ok: true, row: varied(sample, 1, spread) }
}

/** Ranges of whole numbers tried: enough for most tables, then for the smallest ones. */
const spreads = [10, 2]

/** Why the signature rules batches out; undefined when it does not. */
function firstFixed({ inputs, outputs }: Signature): string | undefined {
  const complain = (role: string, { name, shape }: TensorSpec): string | undefined => {
    if (shape.length === 0) return `the ${role} ${name} is a scalar`
    return shape[0] === -1 ? undefined : `the ${role} ${name} has the fixed first dimension ${shape[0]}`
  }
  for (const input of inputs) {
    const reason = complain('input', input)
    if (reason !== undefined) return reason
  }
  for (const output of outputs) {
    const reason = complain('output', output)
    if (reason !== undefined) return reason
  }
  return inputs.length === 0 ? 'the model has no inputs' : undefined
}

/** The sample's shapes with values that a seed decides: floats from -1 to 1, whole numbers below `spread`. */
function varied(sample: readonly Tensor[], seed: number, spread: number): Tensor[] {
  const random = generator(seed)
  return sample.map(({ name, datatype, shape }) => {
    const count = elementCount(shape)
    const whole = (): number => Math.floor(random() * spread)
    const real = (): number => random() * 2 - 1
    const data = {
      BOOL: () => Uint8Array.from({ length: count }, () => (random() < 0.5 ? 0 : 1)),
      UINT8: () => Uint8Array.from({ length: count }, whole),
      UINT16: () => Uint16Array.from({ length: count }, whole),
      UINT32: () => Uint32Array.from({ length: count }, whole),
      UINT64: () => BigUint64Array.from({ length: count }, () => BigInt(whole())),
      INT8: () => Int8Array.from({ length: count }, whole),
      INT16: () => Int16Array.from({ length: count }, whole),
      INT32: () => Int32Array.from({ length: count }, whole),
      INT64: () => BigInt64Array.from({ length: count }, () => BigInt(whole())),
      // 0x3800 to 0x3bff are the halves from 0.5 up to 1.
      FP16: () => Uint16Array.from({ length: count }, () => 0x38_00 + Math.floor(random() * 0x4_00)),
      FP32: () => Float32Array.from({ length: count }, real),
      FP64: () => Float64Array.from({ length: count }, real),
      BYTES: () => Array.from({ length: count }, () => Buffer.from(String.fromCodePoint(97 + whole()))),
    } satisfies Record<Datatype, () => Tensor['data']>
    return tensor(name, datatype, shape, data[datatype]())
  })
}

/** Marsaglia's xorshift: the same numbers on every start, so that a pod and its twin decide alike. */
function generator(seed: number): () => number {
  let state = Math.imul(seed, 0x9e_37_79_b9) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/**
 * How far floats may lie apart, as a share of the largest value of the tensor: ONNX Runtime adds in another order when
 * a batch has another size. Everything that is no float must be equal.
 */
const tolerance: Readonly<Partial<Record<Datatype, number>>> = { FP16: 1e-2, FP32: 1e-4, FP64: 1e-9 }

export function sameTensor(one: Tensor, other: Tensor): boolean {
  if (one.datatype !== other.datatype || one.shape.join() !== other.shape.join()) return false
  if (one.data.length !== other.data.length) return false
  if (one.datatype === 'BYTES' || other.datatype === 'BYTES') {
    const texts = other.data as readonly Uint8Array[]
    return (one.data as readonly Uint8Array[]).every((bytes, at) => Buffer.compare(bytes, texts[at] ?? bytes) === 0)
  }
  const share = tolerance[one.datatype]
  if (share === undefined) return one.data.every((value: number | bigint, at: number) => value === other.data[at])
  const [left, right] = [realsOf(one), realsOf(other)]
  const largest = left.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0)
  return left.every((value, at) => {
    const against = right[at] ?? Number.NaN
    return Object.is(value, against) || value === against || Math.abs(value - against) <= share * largest
  })
}

function realsOf({ datatype, data }: Tensor): readonly number[] {
  const values = Array.from(data as ArrayLike<number>)
  return datatype === 'FP16' ? values.map(fromHalf) : values
}
