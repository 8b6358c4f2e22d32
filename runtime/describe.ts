/**
 * What this server holds and why, for people and programs that ask on the metrics port: versions, how far they are, what
 * was measured when they were loaded, and what waits.
 */
import type { Models } from './models.ts'
import type { ServerState } from './state.ts'

export function describeServer(models: Models, state: ServerState): object {
  return {
    model: models.name,
    phase: state.phase.name,
    ...state.health(),
    current: models.current?.version,
    versions: models.list().map((version) => {
      const { facts, phase, pool, scheduler } = version
      return {
        version: version.version,
        labels: version.labels,
        phase: phase.name,
        ...version.health(),
        ...(facts === undefined
          ? {}
          : {
              digest: facts.digest,
              sizeBytes: facts.sizeBytes,
              loadMs: facts.loaded.loadMs,
              gpuShare: facts.loaded.gpuShare,
              selfTest: facts.loaded.selfTest,
              batching: facts.loaded.batching,
              threads: { ...facts.loaded.plan, reason: facts.loaded.why, measured: facts.loaded.tried },
              tuneMs: facts.loaded.tuneMs,
              shortLane: pool.laneClosed ?? facts.loaded.lane,
            }),
        waiting: scheduler.waiting,
        inFlight: pool.inFlight,
        heldBytes: scheduler.heldBytes,
      }
    }),
  }
}
