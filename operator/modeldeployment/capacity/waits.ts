// Whether a candidate waits for room, as its status says. Pure.
import type { Candidate } from '../../api/modeldeployment.ts'

/** No user is affected, and nobody but the cluster can help: it is told as Stalled, and goes on by itself. */
export const isOutOfRoom = (candidate: Candidate | undefined): boolean =>
  (candidate?.state === 'Pending' || candidate?.state === 'Provisioning') && candidate.reason === 'InsufficientCapacity'
