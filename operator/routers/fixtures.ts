// What routers answer, for unit tests. Test-only.
import type { RevisionTraffic } from '../api/routerstate.ts'
import type { Answer } from './answers.ts'

export const revisionTraffic = (
  revision: string,
  completed: number,
  { s5xx = 0, grpcFailure = 0, weight = 0 } = {},
): RevisionTraffic => ({
  revision,
  weight,
  readyEndpoints: 1,
  requests: {
    completed,
    s2xx: completed - s5xx,
    s3xx: 0,
    s4xx: 0,
    s5xx,
    timeouts: 0,
    connectFailures: 0,
    resets: 0,
    overflows: 0,
  },
  grpc: { success: 0, failure: grpcFailure },
  retries: 0,
  ejections: 0,
  latency: [],
})

/** A ready router that has applied `epoch` of the ModelDeployment uid-1 and has these requests on its counters. */
export const answerOf = (
  router: string,
  epoch: number,
  completed: Readonly<Record<string, number>>,
  bootId = 'boot-1',
  emptied: readonly string[] = [],
  revisions: readonly RevisionTraffic[] = Object.entries(completed).map(([name, n]) => revisionTraffic(name, n)),
): Answer => ({
  router,
  ready: true,
  terminating: false,
  hasServed: true,
  state: {
    router,
    bootId,
    at: 0,
    draining: false,
    models: [
      { name: 'fraud', uid: 'uid-1', port: 20_000, appliedEpoch: epoch, wantedEpoch: epoch, emptied, revisions },
    ],
  },
})
