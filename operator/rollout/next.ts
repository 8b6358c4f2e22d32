// The state machine of a rollout: one pure step from (spec, status, observed, now) to the next status.
// It never acts: what the persisted status implies is done elsewhere, after the status has been written.
import type { Candidate, ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { begin } from './begin.ts'
import { obey } from './commands.ts'
import {
  type Decision,
  type Rollout,
  type Situation,
  type Transition,
  historyLimit,
  at,
  isDirect,
  withoutDeadline,
} from './decision.ts'
import { directStep, directSupersede } from './direct.ts'
import type { Observed } from './observed.ts'
import { release, stepBack, withExpiry } from './observing.ts'
import { repair } from './repair.ts'
import { routerStep } from './router.ts'
import { supersede } from './states/leaving.ts'
import { stableDownMs } from './states/step.ts'
import { stepOf } from './steps.ts'
import { cut } from './text.ts'

export interface Next {
  readonly rollout: Rollout
  readonly transitions: readonly Transition[]
  /** When time alone will change the outcome, in milliseconds since the epoch. */
  readonly wakeAt?: number
}

/**
 * One step. Calling it again with its own result and the same observation changes nothing more, or goes one
 * state further; it never goes back. Same inputs give the same answer.
 *
 * @param now milliseconds since the epoch
 */
export const next = (spec: ModelDeploymentSpec, persisted: Rollout, seen: Observed, now: number): Next => {
  const situation: Situation = { spec, rollout: withExpiry(persisted, spec), seen, now }
  const obeyed = obey(situation)
  if (obeyed?.kind === 'Move') return written(situation, obeyed)
  // An answer alone holds nothing up, least of all a step back.
  const answered = obeyed?.kind === 'Answer' ? { ...situation, rollout: obeyed.rollout } : situation
  if (isDirect(spec))
    return taken(answered, directSupersede(answered) ?? release(answered) ?? begin(answered), directStep)
  const moved = repair(answered) ?? supersede(answered) ?? release(answered) ?? stepBack(answered) ?? begin(answered)
  return taken(answered, moved, routerStep)
}

/** What was decided of the whole; else what the state of the candidate decides. */
const taken = (
  situation: Situation,
  moved: Decision | undefined,
  step: (situation: Situation, candidate: Candidate) => Decision,
): Next => {
  const { rollout } = situation
  if (moved !== undefined) return written(situation, moved)
  if (rollout.candidate === undefined) return { rollout, transitions: [], ...wake(situation, rollout) }
  return written(situation, step(situation, rollout.candidate))
}

/** The rollout of a suspended object: as it is, but for the deadlines, which do not count that time. */
export const suspended = (rollout: Rollout): Rollout =>
  rollout.candidate === undefined ? rollout : { ...rollout, candidate: withoutDeadline(rollout.candidate) }

/** The transition is appended to the history in the same status as its effect (invariant I14). */
const written = (situation: Situation, decision: Decision): Next => {
  const { rollout: before, now, spec } = situation
  if (decision.kind === 'Answer') throw new Error('an answer to a command is no step')
  if (decision.kind === 'Stay') {
    const rollout = { ...before, candidate: decision.candidate }
    return { rollout, transitions: [], ...wake(situation, rollout) }
  }
  const { rollout, transition } = decision
  const epoch = isDirect(spec) ? undefined : rollout.traffic?.epoch
  const entry = { at: at(now), ...transition, message: cut(transition.message), ...(epoch !== undefined && { epoch }) }
  return {
    rollout: { ...rollout, history: [...(rollout.history ?? []), entry].slice(-historyLimit) },
    transitions: [transition],
  }
}

/** The next instant that changes something. One that has passed and changed nothing is none: to wake for it would be a loop. */
const wake = (
  { spec, seen, now }: Situation,
  { candidate, previous, rejected }: Rollout,
): { readonly wakeAt?: number } => {
  const after = (instant: string | undefined, ms: number): number[] =>
    instant === undefined ? [] : [Date.parse(instant) + ms]
  const { target } = seen
  const rejection = target.kind === 'Revision' ? rejected?.find(({ hash }) => hash === target.hash) : undefined
  const ahead = [
    ...[candidate?.deadlineAt, candidate?.endsBy, candidate?.retryAt, previous?.expiresAt, rejection?.retryAt].flatMap(
      (i) => after(i, 0),
    ),
    ...after(candidate?.ackedAt, stepOf(spec, candidate?.stepWeight ?? 0).minDurationMs),
    ...after(candidate?.stableDownAt, stableDownMs),
  ].filter((instant) => instant > now)
  return ahead.length === 0 ? {} : { wakeAt: Math.min(...ahead) }
}
