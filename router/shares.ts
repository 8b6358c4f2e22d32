// Who really gets which share: a revision without a ready pod gets none, and stable gets it instead. Pure.
import { endpointsOf } from './endpoints.ts'
import type { Endpoints, Setting } from './model.ts'

/** All weights of one ModelDeployment together. Anything else would tie mirror and split to one random digit. */
export const totalWeight = 1000

export interface Shares {
  /** Thousandths by revision, those of weight 0 included; 1000 in all. */
  readonly weights: ReadonlyMap<string, number>
  /** Revisions that are asked to get a share and have no ready pod; theirs is stable's now. */
  readonly emptied: readonly string[]
}

/**
 * The shares that Envoy is given. An empty cluster would answer its whole share with 503, and retries stay within it,
 * so the share moves. Stable keeps its own, ready or not: nobody else has been found good enough for it.
 */
export const sharesOf = ({ revisions, stable }: Setting, endpoints: Endpoints): Shares => {
  const weights = new Map(revisions.map(({ name, weight }) => [name, weight]))
  const emptied: string[] = []
  for (const { name, weight } of revisions) {
    if (name === stable || weight === 0 || endpointsOf(endpoints, name).ready > 0) continue
    emptied.push(name)
    if (stable === undefined || !weights.has(stable) || !answers(endpoints, stable)) continue
    weights.set(name, 0)
    weights.set(stable, (weights.get(stable) ?? 0) + weight)
  }
  return { weights, emptied }
}

const answers = (endpoints: Endpoints, revision: string): boolean => endpointsOf(endpoints, revision).http.length > 0
