// How a rollout begins: a revision that the spec asks for and nobody is in its way, or a step back. Pure.
// The fast way, past all steps, is only for the previous revision: it has served everybody, and was not rejected since.
import type { Candidate, PreviousPointer } from '../api/modeldeployment.ts'
import { parseDuration } from '../api/duration.ts'
import type { Reason } from '../api/conditions.ts'
import {
  type Decision,
  type Situation,
  at,
  entered,
  isDirect,
  isDueAgain,
  nextNumber,
  pointerFacts,
  readyOf,
  rejectionOf,
  without,
} from './decision.ts'
import { stopsStableFirst, stepOf } from './steps.ts'
import { takeStep } from './states/step.ts'
import { allRequests, newSetting } from './traffic.ts'

/** A new target and nobody in its way: it becomes the candidate. */
export const begin = (situation: Situation): Decision | undefined => {
  const { spec, rollout, seen, now } = situation
  if (rollout.candidate !== undefined || seen.refusal !== undefined || spec.rollout.paused) return undefined
  if (seen.target.kind !== 'Revision' || seen.target.hash === rollout.stable?.hash) return undefined
  const { hash, revision } = seen.target
  const rejection = rejectionOf(rollout, hash, spec)
  if (rejection !== undefined && !isDueAgain(rejection, now)) return undefined
  // Without pods nothing can be checked; Direct moves a Service that selects none.
  if (!isDirect(spec) && spec.replicas === 0) return undefined
  const { previous } = rollout
  const warm = previous?.hash === hash
  const kept = seen.revisions.find((r) => r.name === revision)
  if (!isDirect(spec) && warm && kept !== undefined && isFast(situation, previous))
    return stepTo(
      situation,
      previous,
      false,
      'Promoting',
      `The spec goes back to ${previous.version}, which is still warm.`,
    )
  const attempt = attemptOf(situation, hash)
  const again = rejection === undefined ? '' : `Attempt ${attempt}, after ${rejection.reason}: `
  const candidate: Candidate = {
    ...(kept === undefined
      ? { revision, hash, attempt, ...entered('Pending', spec, now) }
      : { ...pointerFacts(kept), attempt, ...entered('Provisioning', spec, now) }),
    ...numbered(situation),
  }
  return {
    kind: 'Move',
    rollout: { ...rollout, candidate, ...counted(situation), ...opened(situation) },
    transition: {
      from: isDirect(spec) || previous === undefined ? 'Idle' : 'Observing',
      to: candidate.state,
      reason: kept === undefined ? 'Resolving' : 'Provisioning',
      revision,
      message:
        kept === undefined
          ? again === ''
            ? `${revision} is a new version: its model is being fetched and read.`
            : `${again}The model of ${revision} is being fetched and read.`
          : `${again}${revision} (${kept.version}) is a kept revision${warm ? ' that is still warm' : ''}: it needs no new fetch to be checked.`,
    },
  }
}

/** Whether the previous revision can take everybody at once: it has pods, and room to run beside stable. */
export const isFast = ({ spec, rollout, seen }: Situation, previous: PreviousPointer): boolean =>
  !stopsStableFirst(spec) &&
  rejectionOf(rollout, previous.hash, spec) === undefined &&
  seen.revisions.some((r) => r.name === previous.revision) &&
  readyOf(seen, previous.revision) > 0

/**
 * The previous revision goes straight to 100 %. `back`: whatever the spec says. Its Deployment keeps its number: it has
 * been referred to ever since, so that nobody can have planned to take it away.
 */
export const stepTo = (
  situation: Situation,
  previous: PreviousPointer,
  back: boolean,
  reason: Reason,
  why: string,
): Decision => {
  const { spec, rollout, now } = situation
  const candidate: Candidate = {
    ...without(previous, 'expiresAt', 'promotedAt'),
    attempt: attemptOf(situation, previous.hash),
    state: 'Promoting',
    enteredAt: at(now),
    endsBy: at(now + parseDuration(spec.rollout.deadlines.total)),
    ...(rollout.stable && { stableReplicas: spec.replicas }),
    ...(back && { back }),
  }
  const decision = takeStep(situation, candidate, { step: stepOf(spec, allRequests), index: 0 }, why, reason)
  return decision.kind === 'Move'
    ? { ...decision, transition: { ...decision.transition, from: 'Observing' } }
    : decision
}

const attemptOf = ({ rollout }: Situation, hash: string): number =>
  (rollout.rejected?.find((r) => r.hash === hash)?.attempt ?? 0) + 1

const numbered = (situation: Situation): Pick<Candidate, 'rollout' | 'stableReplicas' | 'endsBy'> => {
  const { spec, rollout, now } = situation
  if (isDirect(spec)) return {}
  return {
    rollout: nextNumber(situation),
    endsBy: at(now + parseDuration(spec.rollout.deadlines.total)),
    ...(rollout.stable && { stableReplicas: spec.replicas }),
  }
}

/** Before the first version routers are told that nobody is answered: what they acknowledge lets pods go again. */
const opened = ({ spec, rollout, seen }: Situation) =>
  isDirect(spec) || rollout.traffic !== undefined ? {} : { traffic: newSetting(undefined, seen, {}) }

const counted = (situation: Situation) => (isDirect(situation.spec) ? {} : { rollouts: nextNumber(situation) })
