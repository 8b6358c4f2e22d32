// What the fault tests share: a stage, a proxy between it and one operator, and objects that are rolled out in the plainest
// way, so that what is tested is the machinery.
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import { credentials } from '../integration/kube/server.ts'
import type { OperatorProcess } from '../integration/operator/process.ts'
import {
  openStage,
  revisionOf,
  uriOf,
  type Stage,
  type StartOptions,
  type WrittenSpec,
} from '../integration/operator/stage.ts'
import { startProxy, type Proxy } from '../proxy/proxy.ts'

export interface Scene {
  readonly stage: Stage
  readonly proxy: Proxy
  /** Starts an operator that reaches the API server through the proxy. */
  start(options?: StartOptions): Promise<OperatorProcess>
  close(): Promise<void>
}

export const openScene = async (seed = 1): Promise<Scene> => {
  const stage = await openStage()
  const known = await credentials()
  const { ca = '' } = (await known.current()).tls
  const proxy = await startProxy({ server: known.server, tls: { ca }, seed })
  return {
    stage,
    proxy,
    // Caches are compared with a list each few seconds: that is what finds a dropped event.
    start: ({ environment, ...options } = {}) =>
      stage.start({
        server: proxy.server,
        environment: { SLIPWAY_RELIST_INTERVAL: '3s', ...environment },
        ...options,
      }),
    close: async () => {
      proxy.heal()
      await stage.close()
      await proxy.close()
    },
  }
}

/** Pods of the new version, then the Service, then the old version's pods: nothing waits for users or time. */
export const specOf = (model: string, replicas = 1): WrittenSpec => ({
  model: { uri: uriOf(model) },
  replicas,
  traffic: { mode: 'Direct' },
  rollout: { strategy: 'BlueGreen' },
})

/** The states that a revision has passed through, in order, by the object's own history. */
export const passed = async ({ stage }: Scene, name: string, spec: WrittenSpec): Promise<string> => {
  const { status } = await stage.get(name)
  const revision = revisionOf(name, spec)
  return (status?.history ?? [])
    .filter((entry) => entry.revision === revision)
    .map(({ to }) => to)
    .join(' ')
}

/** Whether the operator has taken a version up. Still true when it is done: on a fast machine nobody sees it in between. */
export const begun =
  (name: string, spec: WrittenSpec) =>
  ({ status }: ModelDeployment): boolean =>
    (status?.history ?? []).some(({ revision }) => revision === revisionOf(name, spec))

/** How a new version goes, once and without detours. */
export const straightOn = 'Pending Provisioning Promoting Observing'

/**
 * How long after a fault everything must be done, in milliseconds: nobody waits longer than the 31 s that
 * docs/operations.md promises, and the rest is what rollouts may take on a machine that is many times slower.
 */
export const convergedMs = 31_000 + 60_000
