// The end of a rollout: one write makes the candidate stable. Pure. No pod restarts, no weight changes.
import { parseDuration } from '../../api/duration.ts'
import type { Candidate, StablePointer } from '../../api/modeldeployment.ts'
import { type Decision, type Situation, at, rejectionOf, without } from '../decision.ts'
import { borrows, stopsStableFirst } from '../steps.ts'

/** The candidate becomes stable, and what was stable is kept warm. `why` says what the last step has shown. */
export const swap = ({ spec, rollout, now }: Situation, candidate: Candidate, why: string): Decision => {
  const { stable } = rollout
  const keepMs = parseDuration(spec.rollout.keepPreviousFor)
  const promoted: StablePointer = {
    revision: candidate.revision,
    hash: candidate.hash,
    version: candidate.version ?? '',
    digest: candidate.digest ?? '',
    image: candidate.image ?? '',
    promotedAt: at(now),
    ...(candidate.rollout !== undefined && { rollout: candidate.rollout }),
  }
  const kept =
    stable !== undefined &&
    keepMs > 0 &&
    !borrows(spec, rollout) &&
    !stopsStableFirst(spec) &&
    rejectionOf(rollout, stable.hash, spec) === undefined
      ? { ...stable, expiresAt: at(now + keepMs) }
      : undefined
  const name = `${promoted.version} (${promoted.revision})`
  return {
    kind: 'Move',
    rollout: {
      ...without(rollout, 'candidate', 'previous'),
      stable: promoted,
      ...(kept && { previous: kept }),
      rejected: (rollout.rejected ?? []).filter((r) => r.hash !== candidate.hash),
    },
    transition: {
      from: `Promoting.${candidate.substep ?? 'Shift'}`,
      to: kept === undefined ? 'Idle' : 'Observing',
      reason: 'RolledOut',
      revision: candidate.revision,
      message:
        `${why === '' ? '' : `${why} `}${name} serves all users` +
        (kept === undefined
          ? '.'
          : `; ${kept.version} (${kept.revision}) is kept warm for ${spec.rollout.keepPreviousFor}.`),
    },
  }
}
