/**
 * Runs requests that fit together as one, and one by one when that fails.
 * It must never let one request's failure reach another, nor hand out rows that it is not sure of.
 */
import { rowsOf, stack, unstack, type Ask } from './batch.ts'
import type { Engine } from './engine.ts'
import type { Tensor } from '../tensor.ts'

export type Share = { readonly runMs: number; readonly batchSize: number } & (
  { readonly ok: true; readonly outputs: readonly Tensor[] } | { readonly ok: false; readonly error: unknown }
)

export interface Together {
  /** One per request, in their order. */
  readonly shares: readonly Share[]
  /** Whether the shared run failed, so that every request was run alone. */
  readonly retried: boolean
}

/** @param asks requests with the same group key, or a single one */
export function runTogether(engine: Engine, asks: readonly Ask[], now = (): number => performance.now()): Together {
  const alone = (ask: Ask): Share => {
    const started = now()
    try {
      return { ok: true, outputs: engine.run(ask.inputs, ask.outputs), runMs: now() - started, batchSize: 1 }
    } catch (error) {
      return { ok: false, error, runMs: now() - started, batchSize: 1 }
    }
  }
  if (asks.length <= 1) return { shares: asks.map(alone), retried: false }
  try {
    const rows = asks.map(({ inputs }) => rowsOf(inputs) ?? 0)
    const inputs = stack(asks)
    const started = now()
    const outputs = engine.run(inputs, asks[0]?.outputs ?? [])
    const runMs = now() - started
    const parts = unstack(outputs, rows)
    return {
      shares: parts.map((part) => ({ ok: true, outputs: part, runMs, batchSize: asks.length })),
      retried: false,
    }
  } catch {
    // Whose fault it was shows when each runs alone: that one gets the words, the others their answers.
    return { shares: asks.map(alone), retried: true }
  }
}
