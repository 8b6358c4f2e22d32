// Runs of parts as one result: a part is taken from the first run that has it, whole, because its ratios hold within a run.
// Pure.
import { goalsOf, type Goal } from './goals.ts'
import type { Sample } from './measure.ts'

export interface Run {
  readonly parts: readonly string[]
  readonly versions: Readonly<Record<string, string | undefined>>
  /** Why a contender is not there, by its name. */
  readonly missing: Readonly<Record<string, string>>
  readonly goals: readonly Goal[]
  readonly samples: readonly Sample[]
}

export const joined = <First extends Run>(first: First, others: readonly Run[]): First =>
  others.reduce<First>((all, run) => {
    const parts = run.parts.filter((part) => !all.parts.includes(part))
    const samples = [...all.samples, ...run.samples.filter(({ part }) => parts.includes(part))]
    const allParts = [...all.parts, ...parts]
    const missing = Object.fromEntries(Object.entries(all.missing).filter(([name]) => name in run.missing))
    const versions = { ...run.versions, ...all.versions }
    return { ...all, parts: allParts, versions, missing, samples, goals: goalsOf(samples, allParts, missing) }
  }, first)
