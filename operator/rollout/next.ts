// The state machine of a rollout: one pure step from (spec, status, observed, now) to the next status.
// It never acts: what the persisted status implies is done elsewhere, after the status has been written.
import { parseDuration } from '../api/duration.ts'
import type { Candidate, ModelDeploymentSpec, Rejection } from '../api/modeldeployment.ts'
import {
  type Rollout,
  type Transition,
  type Situation,
  type Decision,
  historyLimit,
  entered,
  pointerFacts,
  at,
  without,
  withoutDeadline,
} from './decision.ts'
import type { Observed } from './observed.ts'
import { hasTraffic, step } from './states.ts'
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
  const rollout = withExpiry(persisted, spec)
  const situation: Situation = { spec, rollout, seen, now }
  const moved = supersede(situation) ?? release(situation) ?? begin(situation)
  if (moved !== undefined) return written(situation, moved)
  if (rollout.candidate === undefined) return { rollout, transitions: [], ...wake(now, rollout.previous?.expiresAt) }
  const decision = step(situation, rollout.candidate)
  if (decision.kind === 'Move') return written(situation, decision)
  const { candidate } = decision
  return {
    rollout: { ...rollout, candidate },
    transitions: [],
    ...wake(now, candidate.deadlineAt, candidate.retryAt, rollout.previous?.expiresAt),
  }
}

/** The rollout of a suspended object: as it is, but for the deadline, which does not count that time. */
export const suspended = (rollout: Rollout): Rollout =>
  rollout.candidate === undefined ? rollout : { ...rollout, candidate: withoutDeadline(rollout.candidate) }

/**
 * The rejection that holds back the hash, unless the retry token has changed since. What contract Any allows is no
 * longer held back by the contract; that field is no part of the hash.
 */
export const rejectionOf = (
  rollout: Rollout,
  hash: string,
  { model, rollout: { retryToken } }: ModelDeploymentSpec,
): Rejection | undefined =>
  rollout.rejected?.find(
    (r) =>
      r.hash === hash &&
      r.retryToken === retryToken &&
      !(r.reason === 'ContractIncompatible' && model.contract === 'Any'),
  )

/**
 * The spec now asks for something else. A candidate that already gets the traffic finishes its swap first
 * (late-change rule); any other is dropped without blame. A first version that gets it and does not answer has
 * nothing to finish: nobody else can answer but the version that mends it.
 */
const supersede = ({ rollout, seen }: Situation): Decision | undefined => {
  const { candidate, stable } = rollout
  if (candidate === undefined) return undefined
  if (seen.target.kind === 'Revision' && seen.target.hash === candidate.hash) return undefined
  const answers = (seen.service.readyEndpoints[candidate.revision] ?? 0) > 0
  if (hasTraffic(seen, candidate) && (stable !== undefined || answers)) return undefined
  return {
    kind: 'Move',
    rollout: without(rollout, 'candidate'),
    transition: {
      from: candidate.state,
      to: 'Idle',
      reason: 'Superseded',
      revision: candidate.revision,
      message: `${candidate.revision} was dropped in ${candidate.state}: the spec now asks for ${
        seen.target.kind === 'Revision' ? seen.target.revision : 'a revision that is not kept'
      }.`,
    },
  }
}

/** How long the previous revision is kept follows the spec, also when it is edited while it is kept. */
const withExpiry = (rollout: Rollout, spec: ModelDeploymentSpec): Rollout => {
  const { stable, previous } = rollout
  if (stable === undefined || previous === undefined) return rollout
  const expiresAt = at(Date.parse(stable.promotedAt) + parseDuration(spec.rollout.keepPreviousFor))
  return { ...rollout, previous: { ...previous, expiresAt } }
}

/** The previous revision has been kept warm for long enough. */
const release = ({ rollout, now }: Situation): Decision | undefined => {
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

/** A new target and nobody in its way: it becomes the candidate. */
const begin = ({ spec, rollout, seen, now }: Situation): Decision | undefined => {
  if (rollout.candidate !== undefined || seen.refusal !== undefined || spec.rollout.paused) return undefined
  if (seen.target.kind !== 'Revision' || seen.target.hash === rollout.stable?.hash) return undefined
  const { hash, revision } = seen.target
  if (rejectionOf(rollout, hash, spec) !== undefined) return undefined
  const before = rollout.rejected?.find((r) => r.hash === hash)
  const warm = rollout.previous?.hash === hash
  const kept = seen.revisions.find((r) => r.name === revision)
  const attempt = (before?.attempt ?? 0) + 1
  const candidate: Candidate =
    kept === undefined
      ? { revision, hash, attempt, ...entered('Pending', spec, now) }
      : { ...pointerFacts(kept), attempt, ...entered('Provisioning', spec, now) }
  return {
    kind: 'Move',
    rollout: { ...rollout, candidate },
    transition: {
      from: 'Idle',
      to: candidate.state,
      reason: kept === undefined ? 'Resolving' : 'Provisioning',
      revision,
      message:
        kept === undefined
          ? `${revision} is a new version: its model is being fetched and read.`
          : `${revision} (${kept.version}) is a kept revision${warm ? ' that is still warm' : ''}: it needs no new fetch to be checked.`,
    },
  }
}

/** Appends the transition to the history in the same status as its effect (invariant I14). */
const written = ({ now }: Situation, decision: Decision): Next => {
  if (decision.kind === 'Stay') throw new Error('only a move is written to the history')
  const { rollout, transition } = decision
  const entry = { at: at(now), ...transition, message: cut(transition.message) }
  return {
    rollout: { ...rollout, history: [...(rollout.history ?? []), entry].slice(-historyLimit) },
    transitions: [transition],
  }
}

/** The next instant of these. One that has passed and changed nothing is none: to wake for it would be a loop. */
const wake = (now: number, ...instants: (string | undefined)[]): { readonly wakeAt?: number } => {
  const ahead = instants.flatMap((i) => (i === undefined ? [] : [Date.parse(i)])).filter((instant) => instant > now)
  return ahead.length === 0 ? {} : { wakeAt: Math.min(...ahead) }
}
