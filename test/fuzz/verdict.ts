/**
 * What a run of the fuzzer is judged by, beside that nothing crashed: no input may take long, memory may not grow, and every
 * form must be both read and refused, or the run said nothing about it. Pure.
 */
import type { FuzzReport, Told } from './decoders.ts'

/** The most processor time for one input, of some hundred bytes, in milliseconds. */
const maxMs = 1000
/** The most that memory in use, garbage not counted, may grow after the first tenth of the inputs, in bytes. */
const maxGrownBytes = 10 * 2 ** 20
/** The least share of its inputs that a form must have accepted, and refused. */
const leastShare = 0.05

/** @returns what is wrong, in words; empty when nothing is */
export function faultsOf({ forms, worstMs }: FuzzReport, grownBytes: number): readonly string[] {
  const faults: string[] = []
  if (worstMs > maxMs) faults.push(`an input took ${Math.round(worstMs)} ms, and ${maxMs} is the most`)
  if (grownBytes > maxGrownBytes) {
    faults.push(`memory grew by ${mebibytes(grownBytes)} MiB, and ${mebibytes(maxGrownBytes)} is the most`)
  }
  for (const [form, { accepted, refused }] of forms) {
    const least = leastShare * (accepted + refused)
    if (accepted <= least) faults.push(`${form}: ${accepted} accepted of ${accepted + refused}, as good as none`)
    if (refused <= least) faults.push(`${form}: ${refused} refused of ${accepted + refused}, as good as none`)
  }
  return faults
}

/** Two reports of different inputs as one. */
export function joined(one: FuzzReport, other: FuzzReport): FuzzReport {
  return {
    forms: merged(one.forms, other.forms, sumOf),
    refused: merged(one.refused, other.refused, (left, right) => left + right),
    worstMs: Math.max(one.worstMs, other.worstMs),
  }
}

export const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20)

function sumOf(one: Told, other: Told): Told {
  return { accepted: one.accepted + other.accepted, refused: one.refused + other.refused }
}

function merged<Value>(
  one: ReadonlyMap<string, Value>,
  other: ReadonlyMap<string, Value>,
  sum: (left: Value, right: Value) => Value,
): Map<string, Value> {
  const all = new Map(one)
  for (const [key, value] of other) {
    const known = all.get(key)
    all.set(key, known === undefined ? value : sum(known, value))
  }
  return all
}
