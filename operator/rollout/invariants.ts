// What must hold of every step of a rollout, whatever happens: the invariants I1 to I16 of research/rollouts.md 6.3.
// Pure and cheap: production counts what is broken here and says so; it never stops for it.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { type Rollout, isDirect, isDueAgain, placeOf, readyOf, rejectionOf } from './decision.ts'
import type { Next } from './next.ts'
import type { Observed } from './observed.ts'
import { isLeaving } from './states/leaving.ts'
import { borrows, fullSize, stopsStableFirst } from './steps.ts'
import { allRequests, isAcknowledged, isReached, sharesOff, weightOf } from './traffic.ts'
import { transitions } from './transitions.ts'
import { judge } from './verdict.ts'
import type { WantedPods } from './wanted.ts'

interface Invariant {
  readonly holds: string
  /** What sees to it. */
  readonly where: string
}

const everyStep = 'every step'

/** By the numbers of research/rollouts.md 6.3. */
export const invariants = {
  I1: {
    holds:
      'Weights add up to all requests, or to none where nobody may answer, and no share rises on a revision without a ready pod.',
    where: everyStep,
  },
  I2: { holds: 'Only stable, and a candidate that has passed its checks, get requests.', where: everyStep },
  I3: {
    holds: 'No revision is scaled to nothing or deleted while a router, or the wanted setting, sends requests to it.',
    where: `${everyStep}, and every write of the explorer`,
  },
  I4: { holds: 'Stable keeps its size until it is replaced, unless capacity says otherwise.', where: everyStep },
  I5: { holds: 'At most stable, candidate and previous have pods.', where: everyStep },
  I6: {
    holds:
      'A rejected revision becomes no candidate unless it is asked for again, or the infrastructure was at fault and has been waited for.',
    where: everyStep,
  },
  I7: { holds: 'The spec is never written.', where: 'the reducer returns none, and its tests freeze what it is given' },
  I8: {
    holds: 'The share of a candidate rises only on a pass, or on a policy or command that the history names.',
    where: everyStep,
  },
  I9: { holds: 'Only the previous revision, not rejected since, goes past the steps.', where: everyStep },
  I10: { holds: 'No request, no pass.', where: everyStep },
  I11: {
    holds: 'Nothing keeps a candidate that has lost its pods, or cannot work, from being taken back.',
    where: everyStep,
  },
  I12: {
    holds: 'An epoch is higher than every one before it, and than any that a router has applied.',
    where: everyStep,
  },
  I13: { holds: 'What is settled needs no operator.', where: 'the routers' },
  I14: { holds: 'Every change is in the history, in the same write.', where: everyStep },
  I15: { holds: 'A command is carried out at most once.', where: everyStep },
  I16: { holds: 'When faults stop, everything settles.', where: 'the explorer, and every random life' },
  Table: { holds: 'Only the edges of the table above are taken.', where: everyStep },
} as const satisfies Record<string, Invariant>

export type InvariantName = keyof typeof invariants

export interface Violation {
  readonly invariant: InvariantName
  readonly message: string
}

/** What one call of the reducer was given, and gave. */
export interface Taken {
  readonly spec: ModelDeploymentSpec
  readonly before: Rollout
  readonly seen: Observed
  readonly after: Next
  /** Milliseconds since the epoch. */
  readonly now: number
}

type Check = (taken: Taken) => string | undefined

/** What is broken by a step. In mode Direct, which has no routers, only what is about memory and history is asked. */
export const violationsOf = (taken: Taken): readonly Violation[] =>
  checks.flatMap(([invariant, everywhere, check]) => {
    const message = everywhere || !isDirect(taken.spec) ? check(taken) : undefined
    return message === undefined ? [] : [{ invariant, message }]
  })

/** What is broken by the pods that are wanted, or by the revisions that are let go. */
export const podViolationsOf = (
  spec: ModelDeploymentSpec,
  rollout: Rollout,
  seen: Observed,
  wanted: readonly WantedPods[],
  removed: readonly string[],
): readonly Violation[] => {
  if (isDirect(spec)) return []
  const found: Violation[] = []
  const { traffic, candidate, stable } = rollout
  const acked = traffic !== undefined && isAcknowledged(seen, traffic)
  for (const revision of removed)
    if (isReached(traffic, revision) || (traffic !== undefined && !acked))
      found.push({ invariant: 'I3', message: `${revision} is let go while a router may send requests to it.` })
  for (const { revision, replicas } of wanted)
    if (replicas === 0 && spec.replicas > 0 && isReached(traffic, revision))
      found.push({ invariant: 'I3', message: `${revision} is scaled to 0 while it is sent requests.` })
  const size = wanted.find((w) => w.revision === stable?.revision)?.replicas ?? 0
  const least = stopsStableFirst(spec) ? 0 : borrows(spec, rollout) ? 1 : fullSize(spec, candidate)
  if (stable !== undefined && candidate !== undefined && size < Math.min(least, fullSize(spec, candidate)))
    found.push({ invariant: 'I4', message: `stable is to have ${size} pods, and needs ${least} until it is replaced.` })
  if (wanted.length > 3) found.push({ invariant: 'I5', message: `${wanted.length} revisions are to have pods.` })
  return found
}

const weightsAdd: Check = ({ after: { rollout } }) => {
  const { traffic, stable } = rollout
  if (traffic === undefined) return undefined
  const sum = traffic.weights.reduce((all, w) => all + w.weight, 0)
  if (sum === allRequests || (sum === 0 && (stable === undefined || rollout.candidate !== undefined))) return undefined
  return `the weights of epoch ${traffic.epoch} add up to ${sum}.`
}

/** The revisions that get more than before; stable may always have back what is its. */
const raised = ({ before, after: { rollout } }: Taken): readonly { revision: string; weight: number; was: number }[] =>
  rollout.traffic === before.traffic
    ? []
    : (rollout.traffic?.weights ?? [])
        .map((w) => ({ ...w, was: weightOf(before.traffic, w.revision) }))
        .filter(({ revision, weight, was }) => weight > was && revision !== rollout.stable?.revision)

const onlyToReadyPods: Check = (taken) => {
  const empty = raised(taken).find(({ revision }) => readyOf(taken.seen, revision) === 0)
  return empty && `${empty.revision} gets ${empty.weight} thousandths and has no ready pod.`
}

const onlyToChecked: Check = (taken) => {
  const { spec, before, seen, after } = taken
  const { candidate, stable, traffic } = after.rollout
  for (const { revision } of traffic?.weights ?? [])
    if (revision !== stable?.revision && (candidate?.revision !== revision || !mayHaveUsers(candidate.state)))
      return `${revision} gets requests and is neither stable nor a candidate that may (${placeOf(candidate)}).`
  const [first] = raised(taken).filter(({ was }) => was === 0)
  const fast = before.previous?.hash === candidate?.hash
  const hasPassed = before.candidate?.state === 'Canary' || before.candidate?.state === 'Shadowing'
  if (first === undefined || spec.rollout.golden === undefined || fast || hasPassed) return undefined
  const { golden } = seen.evidence ?? {}
  const isItsOwn = golden?.revision === first.revision && golden.attempt === candidate?.attempt
  if ((isItsOwn && golden.verdict === 'Pass') || before.candidate?.substep === 'Scale') return undefined
  return `${first.revision} gets its first requests without having passed the golden ones.`
}

const mayHaveUsers = (state: string): boolean => state === 'Canary' || state === 'Promoting'

const rejectedStays: Check = ({ spec, before, after: { rollout }, now }) => {
  const { candidate } = rollout
  if (candidate === undefined || before.candidate?.hash === candidate.hash) return undefined
  const rejection = rejectionOf(before, candidate.hash, spec)
  if (rejection === undefined || (rejection.class === 'Infra' && isDueAgain(rejection, now))) return undefined
  return `${candidate.revision} is tried again, though it was rejected (${rejection.reason}).`
}

const risesAfterPass: Check = (taken) => {
  const { spec, before, seen, after } = taken
  const from = before.candidate
  if (raised(taken).length === 0 || from === undefined) return undefined
  const reason = after.transitions[0]?.reason
  const place = placeOf(from)
  if (reason === 'StableUnhealthy' || reason === 'PromotedByHand' || reason === 'Recovered') return undefined
  if (place === 'Canary.Analyse') {
    const off = sharesOff(seen, before.traffic)
    if (off !== undefined) return `the share of ${from.revision} rises though the one before was not served: ${off}`
    const { kind } = judge(spec, seen, before.traffic, from.revision)
    const passed =
      kind === 'Pass' ||
      (kind === 'NoTraffic' && spec.rollout.onNoTraffic === 'Proceed') ||
      (kind === 'Inconclusive' && spec.rollout.onInconclusive === 'Promote')
    return passed ? undefined : `the share of ${from.revision} rises on the verdict ${kind}.`
  }
  const before100 = ['Provisioning', 'Validating', 'Shadowing.Analyse', 'Canary.Scale', 'Promoting.Scale']
  return before100.includes(place) ? undefined : `the share of ${from.revision} rises out of ${place}.`
}

const fastOnlyToPassed: Check = ({ spec, before, after: { rollout } }) => {
  const { candidate } = rollout
  if (before.candidate !== undefined || candidate?.state !== 'Promoting') return undefined
  if (before.previous?.hash === candidate.hash && rejectionOf(before, candidate.hash, spec) === undefined)
    return undefined
  return `${candidate.revision} goes past all steps and is not the previous revision.`
}

const noDataNoPass: Check = ({ before, seen, after }) => {
  const [transition] = after.transitions
  if (transition?.reason !== 'StepPassed' && transition?.to !== 'Canary.Gate') return undefined
  if (transition.reason !== 'StepPassed') return undefined
  const { evidence } = seen
  const calls = evidence?.calls[before.candidate?.revision ?? '']
  const counted = evidence?.epoch === before.traffic?.epoch && (calls?.requests ?? 0) > 0
  return counted ? undefined : `${before.candidate?.revision ?? ''} passed without a request.`
}

const nothingHoldsBack: Check = ({ before, seen, after }) => {
  const { candidate } = before
  if (candidate === undefined || isLeaving(candidate) || weightOf(before.traffic, candidate.revision) === 0)
    return undefined
  if (readyOf(seen, candidate.revision) > 0 && seen.trouble?.fatal !== true) return undefined
  const { rollout, transitions: taken } = after
  const back = rollout.candidate === undefined || isLeaving(rollout.candidate)
  const otherFirst = rollout.lastCommand !== before.lastCommand || taken.length > 0
  return back || otherFirst
    ? undefined
    : `${candidate.revision} has lost its pods or cannot work, and keeps its share (${placeOf(candidate)}).`
}

const epochRises: Check = ({ before, seen, after: { rollout } }) => {
  const [old, now] = [before.traffic, rollout.traffic]
  if (old === now) return undefined
  if (now === undefined) return 'the traffic setting was dropped.'
  const known = Math.max(old?.epoch ?? 0, ...(seen.routers ?? []).map((r) => r.epoch ?? 0))
  return now.epoch > known ? undefined : `epoch ${now.epoch} follows ${known}.`
}

const recorded: Check = ({ before, after }) => {
  const { rollout, transitions: taken } = after
  const moved =
    placeOf(before.candidate) !== placeOf(rollout.candidate) ||
    before.candidate?.hash !== rollout.candidate?.hash ||
    before.stable?.hash !== rollout.stable?.hash ||
    before.previous?.hash !== rollout.previous?.hash ||
    before.traffic !== rollout.traffic
  const last = rollout.history?.at(-1)
  const [transition] = taken
  if (!moved && transition === undefined) return undefined
  if (transition === undefined) return `${placeOf(before.candidate)} changed without a word in the history.`
  const told = last !== undefined && last.from === transition.from && last.to === transition.to
  return told && rollout.history !== before.history
    ? undefined
    : `${transition.from} → ${transition.to} is not in the history.`
}

const onceOnly: Check = ({ before, seen, after: { rollout } }) => {
  const [old, now] = [before.lastCommand, rollout.lastCommand]
  if (old === now || now === undefined) return undefined
  if (now.id !== seen.command?.id) return `command ${now.id} was answered and is not the one that is asked.`
  const known = now.id !== '' && (old?.id === now.id || old?.earlier?.includes(now.id) === true)
  return known ? `command ${now.id} was carried out twice.` : undefined
}

const inTheTable: Check = ({ after: { transitions: taken } }) => {
  const [transition] = taken
  if (transition === undefined || transition.from === transition.to) return undefined
  const known = Object.entries(transitions).some(
    ([from, to]) => from === transition.from && Object.hasOwn(to, transition.to),
  )
  return known || transition.reason === 'Recovered'
    ? undefined
    : `${transition.from} → ${transition.to} is in no table.`
}

const checks: readonly (readonly [InvariantName, everywhere: boolean, Check])[] = [
  ['I1', false, weightsAdd],
  ['I1', false, onlyToReadyPods],
  ['I2', false, onlyToChecked],
  ['I6', true, rejectedStays],
  ['I8', false, risesAfterPass],
  ['I9', false, fastOnlyToPassed],
  ['I10', false, noDataNoPass],
  ['I11', false, nothingHoldsBack],
  ['I12', false, epochRises],
  ['I14', false, recorded],
  ['I15', false, onceOnly],
  ['Table', false, inTheTable],
]
