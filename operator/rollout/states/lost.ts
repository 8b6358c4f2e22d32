// What ends a candidate that may have users, and whether it is to blame. Pure. Its share goes back at once either way.
import { rejectionClass } from '../../api/conditions.ts'
import type { Candidate } from '../../api/modeldeployment.ts'
import { type Decision, type Situation, readyOf } from '../decision.ts'
import { failureOf } from './checks.ts'
import { fail, startOver } from './leaving.ts'

/** How often a revision may lose all its pods to its surroundings before that counts against it. */
const forgiven = 2

/** It is taken back: for good, or to begin again where only its surroundings have failed it. */
export const takenBack = (situation: Situation, candidate: Candidate): Decision | undefined => {
  const failure = failureOf(situation, candidate)
  if (failure === undefined) return undefined
  return isInnocent(situation, candidate)
    ? startOver(situation, candidate, failure.message)
    : fail(situation, candidate, failure)
}

/**
 * All its pods are gone and none says that it fails: a drained node takes the only pod of a small step away. Pods that
 * come and go all the time are another matter, so that it ends.
 */
const isInnocent = ({ seen, rollout }: Situation, { revision }: Candidate): boolean => {
  const { trouble } = seen
  if (readyOf(seen, revision) > 0 || trouble?.fatal === true) return false
  if (trouble !== undefined && rejectionClass(trouble.reason) !== 'Infra') return false
  // Each time is told twice where routers had to forget it first: when it was seen, and when it was over.
  const losses = (rollout.history ?? []).filter(
    (h) => h.revision === revision && h.reason === 'PodsLost' && h.from !== 'Superseding',
  )
  return losses.length < forgiven
}
