// What was counted, as it is kept in status.analysis: enough for an operator that starts again to go on as if it never
// had ended. Pure. Figures of another epoch, and counters of another start of an Envoy, are never taken up.
import type { ModelDeploymentStatus } from '../api/modeldeployment.ts'
import { bootOf, type Answers, type Calls, type Setting, type Tally } from './answers.ts'

type Analysis = NonNullable<ModelDeploymentStatus['analysis']>

/** How many counters are kept: routers times revisions. Those left out are counted from their next answer on. */
const countersLimit = 256

/**
 * What is to be kept of this count, or what is kept already while it says about the same. It is written when counting
 * begins, which is when the counters of every router are known; from then on the routers themselves hold the figures. It
 * is written again when requests have grown fourfold or failures doubled, for a router that starts anew: some 20 times
 * at most while a thousand million requests pass.
 */
export const checkpointOf = (kept: Analysis | undefined, tally: Tally): Analysis => {
  if (kept?.sinceEpoch === tally.epoch && levelOf(callsOf(kept)) === levelOf(tally.calls)) return kept
  const { epoch, since, calls, marks } = tally
  const counters = Object.entries(marks).flatMap(([boot, ofBoot]) =>
    Object.entries(ofBoot).map(([revision, counted]) => ({ boot, revision, ...counted })),
  )
  return {
    sinceEpoch: epoch,
    ...(since !== undefined && { since: new Date(since).toISOString() }),
    calls: Object.entries(calls).map(([revision, counted]) => ({ revision, ...counted })),
    counters: counters.slice(-countersLimit),
  }
}

/**
 * The count that was kept, to go on from; undefined when it is of another setting. No request is only known of routers
 * whose counters were kept: with any other one, silence counts from now.
 *
 * @param now milliseconds since the epoch
 */
export const resumed = (
  kept: Analysis | undefined,
  { uid, epoch }: Setting,
  answers: Answers,
  now: number,
): Tally | undefined => {
  if (kept === undefined || kept.sinceEpoch !== epoch) return undefined
  const marks: Record<string, Record<string, Calls>> = {}
  for (const { boot, revision, requests, failures, drawn } of kept.counters ?? [])
    marks[boot] = { ...marks[boot], [revision]: { requests, failures, drawn } }
  const isWhole = answers.every((answer) => answer.terminating || marks[bootOf(answer) ?? ''] !== undefined)
  const since = isWhole && kept.since !== undefined ? Date.parse(kept.since) : now
  return { uid, epoch, calls: callsOf(kept), marks, since }
}

const callsOf = ({ calls = [] }: Analysis): Record<string, Calls> =>
  Object.fromEntries(calls.map(({ revision, requests, failures, drawn }) => [revision, { requests, failures, drawn }]))

/** How far a count is, in steps that are worth a write. */
const levelOf = (calls: Readonly<Record<string, Calls>>): string =>
  Object.entries(calls)
    .filter(([, { requests }]) => requests > 0)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([revision, { requests, failures }]) => `${revision} ${steps(requests, 4)} ${steps(failures, 2)}`)
    .join(', ')

const steps = (count: number, factor: number): number =>
  count === 0 ? 0 : 1 + Math.floor(Math.log(count) / Math.log(factor))
