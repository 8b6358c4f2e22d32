// Writes the status of a ModelDeployment in mode Router as the operator does: the same state machine and the same words,
// from a world in which pods get ready and routers agree at once. It stands in for an operator in a cluster without
// requests, pods and routers, which mode Router needs. It writes nothing but status.
import { factsOf, idealRouting, idealWorld } from '../../../cli/forecast.ts'
import type { ModelDeployment } from '../../../operator/api/modeldeployment.ts'
import { canonicalJson, revisionHash } from '../../../operator/api/identity.ts'
import type { KubeClient } from '../../../operator/kube/client.ts'
import { isConflict } from '../../../operator/kube/errors.ts'
import { commandOf } from '../../../operator/modeldeployment/command.ts'
import { modelRevision } from '../../../operator/modeldeployment/desired/children.ts'
import { modelDeployments, modelRevisions } from '../../../operator/modeldeployment/resources.ts'
import { statusOf } from '../../../operator/modeldeployment/status.ts'
import { targetOf } from '../../../operator/modeldeployment/target.ts'
import { without } from '../../../operator/rollout/decision.ts'
import { next } from '../../../operator/rollout/next.ts'
import { wantedPods } from '../../../operator/rollout/wanted.ts'
import { until } from '../kube/server.ts'
import { graph } from '../operator/hands.ts'

export interface StatusWriter {
  /** Looks until nothing more is to be written. @returns the object then */
  settle(): Promise<ModelDeployment>
}

export const statusWriter = (client: KubeClient, namespace: string, name: string): StatusWriter => {
  /** One look. @returns whether the status was written */
  const look = async (): Promise<boolean> => {
    const object = await client.get(modelDeployments, namespace, name)
    const { status = {}, spec } = object
    const hash = revisionHash(spec)
    const revision = `${name}-${hash}`
    if (status.candidate?.state === 'Pending') {
      const digest = `sha256:${hash.repeat(7).slice(0, 64)}`
      const resolved = { revision, hash, digest, version: spec.model.version ?? hash, sizeBytes: 1, contract: graph }
      await client.apply(modelRevisions, modelRevision(object, { ...resolved, image: 'runtime@sha256:0' }))
    }
    const { items: kept } = await client.list(modelRevisions, { namespace })
    const rollout = without(
      status,
      'conditions',
      'phase',
      'observedGeneration',
      'replicas',
      'readyReplicas',
      'selector',
    )
    const target = targetOf(object, kept)
    const world = (running: ReturnType<typeof wantedPods>) =>
      idealWorld(object, rollout, target, kept.map(factsOf), running)
    const command = commandOf(object)
    const seen = { ...world(wantedPods(spec, rollout, world([]))), ...(command && { command }) }
    const after = next(spec, rollout, seen, Date.now()).rollout
    const written = statusOf(object, after, seen, idealRouting(object, seen), Date.now())
    if (canonicalJson(written) === canonicalJson(status)) return false
    try {
      await client.updateStatus(modelDeployments, { ...object, status: written })
    } catch (error) {
      if (!isConflict(error)) throw error
    }
    return true
  }
  return {
    settle: async () => {
      await until(`${name} is written`, async () => !(await look()))
      return client.get(modelDeployments, namespace, name)
    },
  }
}
