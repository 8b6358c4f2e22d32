// No candidate: the previous revision is kept warm for a while, and is the way back when stable turns out bad. Pure.
import { rejectionClass } from '../api/conditions.ts'
import { parseDuration } from '../api/duration.ts'
import { type Decision, type Rollout, type Situation, at, readyOf, remembered, without } from './decision.ts'
import { isFast, stepTo } from './begin.ts'
import { isAcknowledged } from './traffic.ts'
import { judge } from './verdict.ts'

/** How long the previous revision is kept follows the spec, also when it is edited while it is kept. */
export const withExpiry = (rollout: Rollout, spec: Situation['spec']): Rollout => {
  const { stable, previous } = rollout
  if (stable === undefined || previous === undefined) return rollout
  const expiresAt = at(Date.parse(stable.promotedAt) + parseDuration(spec.rollout.keepPreviousFor))
  return { ...rollout, previous: { ...previous, expiresAt } }
}

/** The previous revision has been kept warm for long enough. */
export const release = ({ rollout, now }: Situation): Decision | undefined => {
  const { previous, candidate } = rollout
  if (previous?.expiresAt === undefined || now < Date.parse(previous.expiresAt)) return undefined
  if (candidate?.hash === previous.hash) return undefined
  return {
    kind: 'Move',
    rollout: without(rollout, 'previous'),
    transition: {
      from: 'Observing',
      to: 'Idle',
      reason: 'PreviousReleased',
      revision: previous.revision,
      message: `${previous.revision} was kept warm until ${previous.expiresAt} and is now scaled down; its revision stays.`,
    },
  }
}

/**
 * Stable fails while the previous revision is still warm: users go back to it, and the version is remembered as
 * rejected. Not when the spec already asks for another one: that is on its way to mend it.
 */
export const stepBack = (situation: Situation): Decision | undefined => {
  const { spec, rollout, seen, now } = situation
  const { stable, previous, candidate, traffic } = rollout
  if (stable === undefined || previous === undefined || candidate !== undefined) return undefined
  if (seen.refusal !== undefined || seen.target.kind !== 'Revision' || seen.target.hash !== stable.hash)
    return undefined
  if (spec.replicas === 0 || !isFast(situation, previous)) return undefined
  const trouble = failureOfStable(situation)
  if (trouble === undefined || !isAcknowledged(seen, traffic)) return undefined
  const rejected = remembered(rollout, stable, trouble, spec.rollout.retryToken, now)
  return stepTo({ ...situation, rollout: { ...rollout, rejected } }, previous, true, trouble.reason, trouble.message)
}

const failureOfStable = ({ spec, rollout, seen }: Situation) => {
  const { stable, traffic } = rollout
  if (stable === undefined) return undefined
  const verdict = judge(spec, seen, traffic, stable.revision)
  if (verdict.kind === 'Fail') return { reason: 'TooManyErrors', message: verdict.message } as const
  const { servingTrouble: trouble } = seen
  const isItsFault = trouble !== undefined && rejectionClass(trouble.reason) === 'Evidence'
  return isItsFault && readyOf(seen, stable.revision) === 0 ? trouble : undefined
}
