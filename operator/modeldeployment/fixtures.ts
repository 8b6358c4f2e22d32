// Objects for unit tests, as the API server would return them. Test-only.
import type { ModelDeployment, ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { revisionHash, revisionName } from '../api/identity.ts'
import type { Observed } from '../rollout/observed.ts'
import { modelRevision, type ResolvedModel } from './desired/children.ts'
import type { Seen } from './plan.ts'

export const deploymentOf = (spec: ModelDeploymentSpec, status?: ModelDeployment['status']): ModelDeployment => ({
  apiVersion: 'slipway.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name: 'fraud', namespace: 'shop', uid: 'uid-1', generation: 1, resourceVersion: '1' },
  spec,
  ...(status && { status }),
})

export const resolvedOf = (deployment: ModelDeployment, version: string): ResolvedModel => {
  const hash = revisionHash(deployment.spec)
  return {
    revision: revisionName(deployment.metadata.name, hash),
    hash,
    version,
    digest: `sha256:${hash.repeat(7).slice(0, 64)}`,
    sizeBytes: 1000,
    image: 'runtime@sha256:0',
    contract: { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }], outputs: [] },
  }
}

export const revisionOf = (
  deployment: ModelDeployment,
  version: string,
  created = '2026-01-01T00:00:00Z',
): ModelRevision => {
  const revision = modelRevision(deployment, resolvedOf(deployment, version))
  return { ...revision, metadata: { ...revision.metadata, creationTimestamp: created } }
}

/** What is seen when nothing has happened yet. */
export const seenOf = (
  deployment: ModelDeployment,
  observed: Partial<Observed> = {},
  rest: Partial<Seen> = {},
): Seen => {
  const hash = revisionHash(deployment.spec)
  const revisions = rest.revisions ?? []
  const { revision } = observed.service ?? {}
  return {
    deployment,
    observed: {
      target: { kind: 'Revision', hash, revision: revisionName(deployment.metadata.name, hash) },
      specHash: hash,
      revisions: revisions.map((r) => ({
        name: r.metadata.name,
        hash: r.spec.hash,
        version: r.spec.model.version,
        digest: r.spec.model.digest,
        image: r.spec.runtime.image,
      })),
      resolution: { kind: 'Running' },
      pods: [],
      service: { readyEndpoints: {} },
      ...observed,
    },
    routing: {
      destination: revision === undefined ? { kind: 'Nowhere' } : { kind: 'Pods', revision },
      readyRouters: 0,
    },
    revisions,
    deployments: [],
    services: [],
    gatewayServices: [],
    jobs: [],
    runtimeImage: 'runtime:1',
    ...rest,
  }
}
