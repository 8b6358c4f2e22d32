/**
 * What happens between loading a model and serving it: the self-test, the decision about batches, and warming up.
 * It must end in bounded time: a slow model must not keep a pod from its users.
 */
import type { Tensor } from '../tensor.ts'
import { testBatching } from './batchtest.ts'
import { tuneBatch } from './batchtune.ts'
import type { Engine } from './engine.ts'
import type { Batching, LoadedReply, LoadOrder } from './messages.ts'
import { selfTest } from './selftest.ts'

/** Warming up ends here even if fewer runs were made than asked for. */
const maxWarmupMs = 30_000

export type Prepared = Omit<LoadedReply, 'type' | 'signature' | 'loadMs'>

/** @throws Fault `SelfTestFailed` */
export function prepare(engine: Engine, { maxBatch, warmupRequests }: LoadOrder): Prepared {
  const { inputs, note } = selfTest(engine)
  const batching = decideBatching(engine, inputs, maxBatch)
  const warmFrom = performance.now()
  const outputs = engine.signature.outputs.map(({ name }) => name)
  const wanted = inputs === undefined ? 0 : warmupRequests
  let warmupRuns = 0
  while (warmupRuns < wanted && performance.now() - warmFrom < maxWarmupMs) {
    engine.run(inputs ?? [], outputs)
    warmupRuns += 1
  }
  const example = inputs?.map(({ name, datatype, shape }) => ({ name, datatype, shape }))
  return { selfTest: note, example, batching, warmupRuns, warmupMs: performance.now() - warmFrom }
}

function decideBatching(
  engine: Engine,
  sample: readonly Tensor[] | undefined,
  maxBatch: LoadOrder['maxBatch'],
): Batching {
  const off = (reason: string): Batching => ({ maxSize: 1, reason, measured: [] })
  if (maxBatch === 1) return off('it was switched off')
  const test = testBatching(engine, sample)
  if (!test.ok) return off(test.reason)
  if (maxBatch !== 'Auto')
    return { maxSize: maxBatch, reason: 'a batch of two gave the same as two of one', measured: [] }
  return tuneBatch(engine, test.row)
}
