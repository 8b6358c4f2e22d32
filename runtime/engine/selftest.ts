/**
 * Finds an input that a model runs on, from its signature alone, for the self-test and for warming up.
 * It must not call a model broken because it dislikes an invented size: only a fully declared shape is a promise.
 */
import { Fault, fault } from '../errors.ts'
import { elementCount, printShape, zeros, type Signature, type Tensor } from '../tensor.ts'
import type { Engine } from './engine.ts'

export interface SelfTest {
  /** Inputs that the model ran on; undefined when no invented size worked. */
  readonly inputs: readonly Tensor[] | undefined
  /** What happened, for the log. */
  readonly note: string
}

/** Sizes tried for one dynamic dimension at a time, after all of them were 1. */
const guesses = [2, 16, 64, 256, 512]
const maxTries = 40
const maxElements = 2 ** 24

/**
 * Runs the model on zeros. Dynamic dimensions are 1 first; then each one in turn takes a few common sizes.
 * @param now milliseconds of any clock; tries end when `budgetMs` is used up
 * @throws Fault `ModelInvalid` when a model whose every dimension is declared fails on that very shape
 */
export function selfTest(engine: Engine, now: () => number = () => performance.now(), budgetMs = 5000): SelfTest {
  const { signature } = engine
  const outputs = signature.outputs.map(({ name }) => name)
  const start = now()
  let first: string | undefined
  for (const shapes of shapesToTry(signature)) {
    if (first !== undefined && now() - start > budgetMs) break
    if (shapes.some((shape) => elementCount(shape) > maxElements)) continue
    const inputs = signature.inputs.map(({ name, datatype }, index) => zeros(name, datatype, shapes[index] ?? []))
    try {
      engine.run(inputs, outputs)
      return { inputs, note: `ran on zeros of ${inputs.map(({ name, shape }) => name + printShape(shape)).join(', ')}` }
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      first ??= error.message
    }
  }
  if (isStatic(signature)) throw fault('SelfTestFailed', { words: first ?? 'its inputs are too large to try' })
  return { inputs: undefined, note: `no invented input suits the model, so it was loaded but not run: ${first ?? ''}` }
}

/** Whether every dimension of every input is declared. */
function isStatic(signature: Signature): boolean {
  return signature.inputs.every(({ shape }) => shape.every((size) => size !== -1))
}

function* shapesToTry({ inputs }: Signature): Generator<number[][]> {
  const ones = inputs.map(({ shape }) => shape.map((size) => (size === -1 ? 1 : size)))
  yield ones
  const dynamic = inputs.flatMap(({ shape }, input) =>
    shape.flatMap((size, axis) => (size === -1 ? [{ input, axis }] : [])),
  )
  let tries = 1
  // The last dimensions are the ones models are particular about: lengths and pixels, not batches.
  for (const { input, axis } of dynamic.toReversed()) {
    for (const guess of guesses) {
      if (++tries > maxTries) return
      yield ones.map((shape, index) => (index === input ? shape.with(axis, guess) : shape))
    }
  }
}
