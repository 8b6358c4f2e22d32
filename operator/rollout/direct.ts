// A candidate in traffic mode Direct, where the Service itself selects the pods: three states, strategy BlueGreen. Pure.
import { parseDuration } from '../api/duration.ts'
import type { Candidate, StablePointer } from '../api/modeldeployment.ts'
import {
  type Situation,
  type Decision,
  move,
  reject,
  carried,
  entered,
  provisionMs,
  calm,
  at,
  podsOf,
  without,
  withoutDeadline,
} from './decision.ts'
import type { Observed } from './observed.ts'
import { awaitsRoom } from './states/checks.ts'
import { pending, waitOrGiveUp } from './states/pending.ts'

export const directStep = (situation: Situation, persisted: Candidate): Decision => {
  const { seen, spec, now } = situation
  // Users are on it already: what the spec has come to ask for since waits until they have arrived.
  if (seen.refusal !== undefined && !hasTraffic(seen, persisted))
    return { kind: 'Stay', candidate: withoutDeadline(persisted) }
  const candidate = awaitsRoom(situation, persisted)
    ? withoutDeadline(persisted)
    : { deadlineAt: at(now + provisionMs(spec)), ...persisted }
  switch (candidate.state) {
    case 'Pending':
      return pending(situation, candidate, isPaused(situation, candidate))
    case 'Provisioning':
      return provisioning(situation, candidate)
    case 'Promoting':
      return promoting(situation, candidate)
    default:
      // A later release can leave a state behind that this one does not know; it starts over, safely, at weight 0.
      return move(
        situation,
        { ...without(carried(candidate), 'outcome'), ...entered('Pending', spec, now) },
        'Resolving',
        'The rollout starts over.',
      )
  }
}

/** Whether a person holds it, by the spec or by a command. */
const isPaused = ({ spec }: Situation, { pausedBy }: Candidate): boolean =>
  spec.rollout.paused || pausedBy !== undefined

/** Whether the Service sends users to the candidate. */
export const hasTraffic = (seen: Observed, { state, revision }: Candidate): boolean =>
  state === 'Promoting' && seen.service.revision === revision

const provisioning = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, seen, now } = situation
  if (seen.trouble?.fatal === true) return reject(situation, candidate, seen.trouble)
  if (!seen.revisions.some((r) => r.name === candidate.revision)) {
    const { revision, hash, attempt } = candidate
    return move(
      situation,
      { revision, hash, attempt: attempt + 1, ...entered('Pending', spec, now) },
      'Resolving',
      `ModelRevision ${revision} was deleted: its model is fetched and read again.`,
    )
  }
  const pods = podsOf(seen, candidate.revision)
  if (pods?.current === true && pods.ready >= spec.replicas) {
    if (isPaused(situation, candidate)) return { kind: 'Stay', candidate: withoutDeadline(calm(candidate)) }
    const promoted = { ...calm(candidate), ...entered('Promoting', spec, now) }
    return move(
      situation,
      promoted,
      'Promoting',
      `All ${spec.replicas} pods of ${candidate.revision} answer; the Service moves to it.`,
    )
  }
  const ready = pods?.ready ?? 0
  if (ready > (candidate.readyReplicas ?? 0)) {
    const deadlineAt = at(now + provisionMs(spec))
    return { kind: 'Stay', candidate: { ...candidate, readyReplicas: ready, progressAt: at(now), deadlineAt } }
  }
  return waitOrGiveUp(situation, candidate)
}

/** The swap: once the Service lists ready endpoints of the candidate, one status write makes it stable. */
const promoting = (situation: Situation, candidate: Candidate): Decision => {
  const { spec, rollout, seen, now } = situation
  const { stable } = rollout
  const pods = podsOf(seen, candidate.revision)
  const wanted = spec.replicas
  if (stable !== undefined && wanted > 0 && pods?.ready === 0) {
    // Users are on their way to pods that have just died; the old ones are still there.
    const message = `All ${wanted} pods of ${candidate.revision} stopped answering while the Service moved: ${seen.trouble?.message ?? 'no pod reported a cause'}`
    return reject(situation, candidate, { reason: seen.trouble?.reason ?? 'NotReady', message, fatal: true })
  }
  const listed = seen.service.readyEndpoints[candidate.revision] ?? 0
  if (seen.service.revision !== candidate.revision || (listed === 0 && wanted > 0))
    return waitOrGiveUp(situation, candidate)
  const keepMs = parseDuration(spec.rollout.keepPreviousFor)
  const promoted: StablePointer = {
    revision: candidate.revision,
    hash: candidate.hash,
    version: candidate.version ?? '',
    digest: candidate.digest ?? '',
    image: candidate.image ?? '',
    promotedAt: at(now),
  }
  return {
    kind: 'Move',
    rollout: {
      ...without(rollout, 'candidate', 'previous'),
      stable: promoted,
      ...(stable === undefined || keepMs === 0 ? {} : { previous: { ...stable, expiresAt: at(now + keepMs) } }),
      rejected: (rollout.rejected ?? []).filter((r) => r.hash !== candidate.hash),
    },
    transition: {
      from: 'Promoting',
      to: stable === undefined ? 'Idle' : 'Observing',
      reason: 'RolledOut',
      revision: candidate.revision,
      message:
        `${promoted.version} (${candidate.revision}) serves all users` +
        (stable === undefined
          ? '.'
          : `; ${stable.version} (${stable.revision}) is kept warm for ${spec.rollout.keepPreviousFor}.`),
    },
  }
}

/**
 * The spec now asks for something else. A candidate that already gets the traffic finishes its swap first
 * (late-change rule); any other is dropped without blame. A first version that gets it and does not answer has
 * nothing to finish: nobody else can answer but the version that mends it.
 */
export const directSupersede = ({ rollout, seen }: Situation): Decision | undefined => {
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
