/**
 * One decoded request after its run, as whoever asked gets it: the answer in its form, or what was wrong.
 */
import { fault, reportOf } from '../errors.ts'
import type { InferenceRequest } from '../protocols/codec.ts'
import type { AskOrder, Result, Times } from './messages.ts'
import type { Share } from './together.ts'

/** The times of a request that did not come to a run. */
export const noTimes: Times = { decodeMs: 0, runMs: 0, encodeMs: 0, batchSize: 0 }

/** @param share its share of a run */
export function resultOf(id: number, request: InferenceRequest, decodeMs: number, share: Share): Result {
  const { runMs, batchSize } = share
  const started = performance.now()
  try {
    if (!share.ok) throw share.error
    const answer = request.answer(share.outputs)
    const times = { decodeMs, runMs, batchSize, encodeMs: performance.now() - started }
    return { id, ok: true, ...answer, times }
  } catch (error) {
    return { id, ok: false, fault: reportOf(error), times: { decodeMs, runMs, batchSize, encodeMs: 0 } }
  }
}

/**
 * Refuses a request that has waited longer than its parameter `timeout` allows, in microseconds.
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_schedule_policy.md
 */
export function refuseLate({ waitedMs }: Pick<AskOrder, 'waitedMs'>, { parameters }: InferenceRequest): void {
  const { timeout } = parameters
  if (timeout === undefined) return
  const micros = Number(timeout)
  if (!Number.isSafeInteger(micros) || micros < 0) {
    const expected = 'a whole number of microseconds'
    throw fault('FieldType', { field: 'parameters.timeout', found: String(timeout), expected })
  }
  if (micros > 0 && waitedMs > micros / 1000) throw fault('TimeoutPassed', { limitMs: micros / 1000 })
}
