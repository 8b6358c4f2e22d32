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
  messageLimit,
  entered,
  pointerFacts,
  at,
  without,
} from './decision.ts'
import type { Observed } from './observed.ts'
import { step } from './states.ts'

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
  if (rollout.candidate === undefined) return { rollout, transitions: [], ...wake(rollout.previous?.expiresAt) }
  const decision = step(situation, rollout.candidate)
  if (decision.kind === 'Move') return written(situation, decision)
  const wakeAt = decision.wakeAt ?? earliest(decision.candidate.deadlineAt, rollout.previous?.expiresAt)
  return {
    rollout: { ...rollout, candidate: decision.candidate },
    transitions: [],
    ...(wakeAt === undefined ? {} : { wakeAt }),
  }
}

/** The rejection that holds back the hash, unless the retry token has changed since. */
export const rejectionOf = (rollout: Rollout, hash: string, retryToken: string): Rejection | undefined =>
  rollout.rejected?.find((r) => r.hash === hash && r.retryToken === retryToken)

/**
 * The spec now asks for something else. A candidate that already gets the traffic finishes its swap first
 * (late-change rule); any other is dropped without blame.
 */
const supersede = ({ rollout, seen }: Situation): Decision | undefined => {
  const { candidate } = rollout
  if (candidate === undefined) return undefined
  if (seen.target.kind === 'Revision' && seen.target.hash === candidate.hash) return undefined
  if (candidate.state === 'Promoting' && seen.service.revision === candidate.revision) return undefined
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
  const token = spec.rollout.retryToken
  if (rejectionOf(rollout, hash, token) !== undefined) return undefined
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
  const entry = { at: at(now), ...transition, message: transition.message.slice(0, messageLimit) }
  return {
    rollout: { ...rollout, history: [...(rollout.history ?? []), entry].slice(-historyLimit) },
    transitions: [transition],
  }
}

const wake = (instant: string | undefined) => (instant === undefined ? {} : { wakeAt: Date.parse(instant) })

const earliest = (...instants: (string | undefined)[]): number | undefined => {
  const known = instants.filter((i) => i !== undefined).map((i) => Date.parse(i))
  return known.length === 0 ? undefined : Math.min(...known)
}
