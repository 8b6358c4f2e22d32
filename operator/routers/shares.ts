// Whether the shares that were served are the shares that were asked for: how much has to be counted, when it is judged,
// and the intervals. Pure.
import type { ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Calls } from './answers.ts'
import { shareInterval } from './interval.ts'

type Traffic = NonNullable<ModelDeploymentStatus['traffic']>
export type Weights = Traffic['weights']
export type MeasuredShare = NonNullable<Traffic['measured']>[number]

/** How many of 100 settings that are served as asked may be called wrong, however often they are judged. */
const alpha = 0.01

/** A share is told apart from others only when it was expected to be drawn this often. */
const expectedDraws = 5
const leastRequests = 100

/**
 * Half a step of the shares: requests that were under way when the epoch came end in it, on the side they were sent to
 * before. A difference this small cannot be asked for either.
 */
export const slack = 0.0005

/** How many requests that were drawn by weight have to be counted before shares such as these can be judged. */
export const enoughRequests = (weights: Weights): number => {
  const smallest = Math.min(...weights.flatMap(({ weight }) => (weight > 0 && weight < 1000 ? [weight] : [])))
  return Math.max(leastRequests, Number.isFinite(smallest) ? Math.ceil((expectedDraws * 1000) / smallest) : 0)
}

/**
 * How often shares have been judged after `n` requests: at the first that are enough, and each time their number has
 * doubled. So a status changes some 20 times at most while a thousand million requests pass.
 */
export const judgements = (n: number, weights: Weights): number => {
  const enough = enoughRequests(weights)
  return n < enough ? 0 : 1 + Math.floor(Math.log2(n / enough))
}

/** A judgement, and which one it is. */
export interface Judgement {
  readonly number: number
  readonly shares: readonly MeasuredShare[]
}

/**
 * The judgement that these calls allow: the one before until it is time for another, undefined before there is enough.
 * Judgement k uses alpha/(k(k+1)), which sums to alpha over all: looking often raises no false alarm.
 */
export const judged = (
  before: Judgement | undefined,
  calls: Readonly<Record<string, Calls>>,
  weights: Weights,
): Judgement | undefined => {
  const n = Object.values(calls).reduce((sum, { drawn }) => sum + drawn, 0)
  const k = judgements(n, weights)
  if (k === 0 || k === before?.number) return before
  const shares = weights.map(({ revision }) => {
    const hits = calls[revision]?.drawn ?? 0
    const { low, high } = shareInterval(hits, n, alpha / (k * (k + 1)))
    return { revision, share: decimal(hits / n), low: decimal(low), high: decimal(high) }
  })
  return { number: k, shares }
}

/** The revisions whose asked share lies outside the measured interval, in words; empty when all are as asked. */
export const sharesOff = (weights: Weights, measured: readonly MeasuredShare[]): string[] =>
  weights.flatMap(({ revision, weight }) => {
    const found = measured.find((m) => m.revision === revision)
    const asked = weight / 1000
    if (found === undefined || (Number(found.low) - slack <= asked && asked <= Number(found.high) + slack)) return []
    return [`${revision} should get ${percent(asked)} and got ${shareInWords(found)}`]
  })

/** `4.97% (4.61% to 5.35%)`. */
export const shareInWords = ({ share, low, high }: MeasuredShare): string =>
  `${percent(Number(share))} (${percent(Number(low))} to ${percent(Number(high))})`

export const percent = (share: number): string => `${Number((share * 100).toFixed(3))}%`

const decimal = (share: number): string => share.toFixed(6)
