// Pure builders of every child object. Each returns the whole intent; server-side apply makes it so.
import { revisionIntent } from '../../api/identity.ts'
import type { ModelDeployment } from '../../api/modeldeployment.ts'
import type { FrozenPodTemplate, ModelRevision } from '../../api/modelrevision.ts'
import { childLabels, labelKeys, ownerReference, resolveJobName, revisionLabels, rolloutAnnotation } from '../names.ts'
import { routerLabels } from '../../routers/desired.ts'
import { gpuResourceOf, renderPodTemplate, renderResolveTemplate, type Resolved } from './podtemplate.ts'

/** How long a finished resolve Job stays for a person to read its log, in seconds. */
const jobTtlSeconds = 600

/** What every child carries: whose it is, and by which labels it is found. */
export const childMetadata = (owner: ModelDeployment, name: string, labels: Record<string, string>) => ({
  name,
  namespace: owner.metadata.namespace ?? 'default',
  labels,
  ownerReferences: [ownerReference(owner)],
})

/** The Job that fetches the model once, takes its digest and reads its graph. */
export const resolveJob = (
  owner: ModelDeployment,
  revision: string,
  attempt: number,
  image: string,
  deadlineSeconds: number,
) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: childMetadata(owner, resolveJobName(revision, attempt), revisionLabels(owner.metadata.name, revision)),
  spec: {
    // Retries are ours: they are counted in status, with growing distances, and said in words.
    backoffLimit: 0,
    activeDeadlineSeconds: deadlineSeconds,
    ttlSecondsAfterFinished: jobTtlSeconds,
    template: renderResolveTemplate(owner, revision, image),
  },
})

/** What resolution read from the model. */
export interface ResolvedModel extends Resolved {
  readonly hash: string
  readonly sizeBytes: number
  readonly contract: ModelRevision['spec']['contract']
}

/** The immutable record of a revision; from here on nothing that the spec or a default becomes can change its pods. */
export const modelRevision = (owner: ModelDeployment, resolved: ResolvedModel): ModelRevision => {
  const { model, runtime } = owner.spec
  const gpuResource = gpuResourceOf(runtime)
  return {
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelRevision',
    metadata: childMetadata(owner, resolved.revision, revisionLabels(owner.metadata.name, resolved.revision)),
    spec: {
      modelDeployment: owner.metadata.name,
      hash: resolved.hash,
      intent: revisionIntent(owner.spec),
      model: {
        name: model.name ?? owner.metadata.name,
        version: resolved.version,
        uri: model.uri,
        digest: resolved.digest,
        sizeBytes: resolved.sizeBytes,
      },
      contract: resolved.contract,
      runtime: {
        image: resolved.image,
        device: runtime?.device ?? 'CPU',
        ...(gpuResource !== undefined && { gpuResource }),
        threads: runtime?.threads ?? 'Auto',
        batching: { maxSize: runtime?.batching?.maxSize ?? 'Auto', maxDelay: runtime?.batching?.maxDelay ?? '0ms' },
        queue: { maxRequests: runtime?.queue?.maxRequests ?? 512, timeout: runtime?.queue?.timeout ?? '30s' },
        ...(runtime?.responseCache?.maxSize !== undefined && {
          responseCache: { maxSize: runtime.responseCache.maxSize },
        }),
        warmup: { requests: runtime?.warmup?.requests ?? 20 },
      },
      podTemplate: renderPodTemplate(owner, resolved),
    },
  }
}

/** The Deployment of one revision. Its template is the frozen one, so only `replicas` and the stamp ever change. */
export const revisionDeployment = (
  owner: ModelDeployment,
  revision: string,
  podTemplate: FrozenPodTemplate,
  replicas: number,
  /** The number of the rollout that needs it. */
  stamp?: number,
) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    ...childMetadata(owner, revision, revisionLabels(owner.metadata.name, revision)),
    ...(stamp !== undefined && { annotations: { [rolloutAnnotation]: String(stamp) } }),
  },
  spec: {
    replicas,
    revisionHistoryLimit: 0,
    selector: {
      matchLabels: { [labelKeys.modelDeployment]: owner.metadata.name, [labelKeys.revision]: revision },
    },
    template: podTemplate,
  },
})

/**
 * A drained node takes one pod of the revision at a time, and the next when another has come in its place. Pods that are
 * not ready anyway keep no node from being drained.
 */
export const disruptionBudget = (owner: ModelDeployment, revision: string) => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: childMetadata(owner, `${owner.metadata.name}-serving`, childLabels(owner.metadata.name)),
  spec: {
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: {
      matchLabels: { [labelKeys.modelDeployment]: owner.metadata.name, [labelKeys.revision]: revision },
    },
  },
})

/** The stable address. In Direct mode it selects the pods of one revision; moving it is the rollout. */
export const directService = (owner: ModelDeployment, revision: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: childMetadata(owner, owner.metadata.name, childLabels(owner.metadata.name)),
  spec: {
    selector: { [labelKeys.modelDeployment]: owner.metadata.name, [labelKeys.revision]: revision },
    ports: [
      { name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 },
      { name: 'grpc', port: 9000, protocol: 'TCP', targetPort: 9000 },
    ],
  },
})

/** The stable address in mode Router: the routers of the namespace, on the object's own port, whatever they weigh. */
export const routedService = (owner: ModelDeployment, port: number) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: childMetadata(owner, owner.metadata.name, childLabels(owner.metadata.name)),
  spec: {
    selector: routerLabels,
    ports: [
      { name: 'http', port: 80, protocol: 'TCP', targetPort: port },
      { name: 'grpc', port: 9000, protocol: 'TCP', targetPort: port },
    ],
  },
})

/** Through its EndpointSlices the routers know the pods of one revision; it is no address for users. */
export const revisionService = (owner: ModelDeployment, revision: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: childMetadata(owner, revision, revisionLabels(owner.metadata.name, revision)),
  spec: {
    clusterIP: 'None',
    selector: { [labelKeys.modelDeployment]: owner.metadata.name, [labelKeys.revision]: revision },
    ports: [
      { name: 'http', port: 8080, protocol: 'TCP', targetPort: 8080 },
      { name: 'grpc', port: 9000, protocol: 'TCP', targetPort: 9000 },
    ],
  },
})
