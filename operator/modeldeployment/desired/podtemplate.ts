// The pods of one revision, rendered once and frozen in its ModelRevision. Pure: a later release renders new
// revisions differently and leaves old ones as they are.
import type { ModelDeployment } from '../../api/modeldeployment.ts'
import { parseDuration } from '../../api/duration.ts'
import type { FrozenPodTemplate } from '../../api/modelrevision.ts'
import { milliOf } from '../../kube/quantity.ts'
import { childLabels, labelKeys, revisionLabels } from '../names.ts'
import { withNodeLoss } from '../../kube/tolerations.ts'
import { overlay } from './overlay.ts'

/** What resolution found out about a revision. */
export interface Resolved {
  readonly revision: string
  readonly version: string
  readonly digest: string
  readonly image: string
}

/** Restricted Pod Security: non-root, nothing to write to but what is mounted, no capabilities. */
const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}

/** The container of a resolve Job that tells the result. */
export const resolveContainer = 'resolve'

const runtimeUser = 65532
const modelFile = '/models/model.onnx'
/** Seconds the kubelet waits for a pod's last answers: the drain delay and the longest queue wait fit in. */
const terminationGraceSeconds = 60

/** Whole bytes of a quantity that the schema has accepted. */
const bytesOf = (quantity: string): string => String((milliOf(quantity) ?? 0n) / 1000n)

/** The template of the serving pods: fetch the model by digest, then serve it. */
export const renderPodTemplate = (deployment: ModelDeployment, resolved: Resolved): FrozenPodTemplate => {
  const { model, runtime } = deployment.spec
  const fetchEnv = [
    { name: 'SLIPWAY_MODEL_URI', value: model.uri },
    { name: 'SLIPWAY_MODEL_DIGEST', value: resolved.digest },
    { name: 'SLIPWAY_MODEL_FILE', value: modelFile },
  ]
  const serveEnv = [
    { name: 'SLIPWAY_MODEL_NAME', value: model.name ?? deployment.metadata.name },
    { name: 'SLIPWAY_MODEL_VERSION', value: resolved.version },
    { name: 'SLIPWAY_MODEL_DIGEST', value: resolved.digest },
    { name: 'SLIPWAY_MODEL_FILE', value: modelFile },
    { name: 'SLIPWAY_REVISION', value: resolved.revision },
    { name: 'SLIPWAY_THREADS', value: String(runtime?.threads ?? 'Auto') },
    { name: 'SLIPWAY_BATCH_MAX_SIZE', value: String(runtime?.batching?.maxSize ?? 'Auto') },
    { name: 'SLIPWAY_BATCH_MAX_DELAY_MS', value: String(parseDuration(runtime?.batching?.maxDelay ?? '0ms')) },
    { name: 'SLIPWAY_QUEUE_MAX_REQUESTS', value: String(runtime?.queue?.maxRequests ?? 512) },
    { name: 'SLIPWAY_QUEUE_TIMEOUT_MS', value: String(parseDuration(runtime?.queue?.timeout ?? '30s')) },
    { name: 'SLIPWAY_WARMUP_REQUESTS', value: String(runtime?.warmup?.requests ?? 20) },
    ...(runtime?.responseCache?.maxSize === undefined
      ? []
      : [{ name: 'SLIPWAY_CACHE_MAX_BYTES', value: bytesOf(runtime.responseCache.maxSize) }]),
    // Nothing is said about a CPU: templates that were frozen without it stay what they are.
    ...(runtime?.device === 'GPU' ? [{ name: 'SLIPWAY_DEVICE', value: 'GPU' }] : []),
  ]
  const template = {
    metadata: { labels: revisionLabels(deployment.metadata.name, resolved.revision) },
    spec: {
      ...podDefaults(model.uri),
      terminationGracePeriodSeconds: terminationGraceSeconds,
      initContainers: [fetcher('fetch', resolved.image, fetchEnv, deployment)],
      containers: [
        {
          name: 'runtime',
          image: resolved.image,
          args: ['serve'],
          env: serveEnv,
          ports: [
            { name: 'http', containerPort: 8080 },
            { name: 'grpc', containerPort: 9000 },
            { name: 'metrics', containerPort: 9090 },
          ],
          // Live answers from the moment the process listens, also while a large model loads.
          startupProbe: probe('/v2/health/live', { periodSeconds: 1, failureThreshold: 120 }),
          livenessProbe: probe('/v2/health/live', { periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 5 }),
          readinessProbe: probe('/v2/health/ready', { periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 5 }),
          resources: servingResources(deployment.spec),
          volumeMounts: [modelsMount, tmpMount],
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: restricted,
        },
      ],
    },
  }
  return leavingLostNodes(overlay(template, deployment.spec.podTemplate ?? {}) as FrozenPodTemplate)
}

/**
 * How long a pod stays on a node that the control plane has given up, which takes it some 40 s: a model answers as well from
 * elsewhere, and a rollout waits for pods that are lost. Kubernetes' own default is 300.
 */
const leftAfterSeconds = 30

const leavingLostNodes = ({ spec, ...others }: FrozenPodTemplate): FrozenPodTemplate => ({
  ...others,
  spec: { ...spec, tolerations: withNodeLoss(spec['tolerations'], leftAfterSeconds) },
})

/**
 * The template of the resolve Job: the same image, limits and placement as the serving pods, so that what it
 * proves (the image pulls, the model loads within the limit) holds for them too.
 */
export const renderResolveTemplate = (
  deployment: ModelDeployment,
  revision: string,
  image: string,
): FrozenPodTemplate => {
  const { model } = deployment.spec
  const env = [
    { name: 'SLIPWAY_MODEL_URI', value: model.uri },
    ...(model.digest === undefined ? [] : [{ name: 'SLIPWAY_MODEL_DIGEST', value: model.digest }]),
    { name: 'SLIPWAY_MODEL_FILE', value: modelFile },
  ]
  const template = {
    // Not the revision's labels: the Service selects by those, and a resolving pod answers nobody.
    metadata: { labels: { ...childLabels(deployment.metadata.name), [labelKeys.resolves]: revision } },
    spec: {
      ...podDefaults(model.uri),
      restartPolicy: 'Never',
      containers: [fetcher(resolveContainer, image, env, deployment)],
    },
  }
  return leavingLostNodes(overlay(template, placementOf(deployment.spec.podTemplate)) as FrozenPodTemplate)
}

/** Labels of the overlay that would take over ours; naming one is refused, not ignored. */
export const reservedLabels = (deployment: ModelDeployment): string[] => {
  const labels = deployment.spec.podTemplate?.metadata?.['labels']
  const ours = new Set(Object.keys(revisionLabels('', '')))
  return typeof labels === 'object' && labels !== null ? Object.keys(labels).filter((key) => ours.has(key)) : []
}

const modelsMount = { name: 'models', mountPath: '/models' }
const tmpMount = { name: 'tmp', mountPath: '/tmp' }

const podDefaults = (uri: string) => {
  const claim = /^pvc:\/\/([^/]+)\//.exec(uri)?.[1]
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: runtimeUser,
      runAsGroup: runtimeUser,
      fsGroup: runtimeUser,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumes: [
      { name: 'models', emptyDir: {} },
      { name: 'tmp', emptyDir: {} },
      ...(claim === undefined ? [] : [{ name: 'claim', persistentVolumeClaim: { claimName: claim, readOnly: true } }]),
    ],
  }
}

/** A GPU is asked for by the name that its device plugin gave it; how many are one's own choice in spec.resources. */
const servingResources = ({ runtime, resources = {} }: ModelDeployment['spec']): object => {
  const name = gpuResourceOf(runtime)
  if (name === undefined || resources.limits?.[name] !== undefined) return resources
  return { ...resources, limits: { ...resources.limits, [name]: 1 } }
}

/** The resource that a GPU is counted by; undefined without one. */
export const gpuResourceOf = (runtime: ModelDeployment['spec']['runtime']): string | undefined =>
  runtime?.device === 'GPU' ? (runtime.gpuResource ?? 'nvidia.com/gpu') : undefined

/** Without devices: to fetch and read a file takes none, and the only one may be stable's. */
const readingResources = ({ resources = {} }: ModelDeployment['spec']): object =>
  Object.fromEntries(
    Object.entries(resources).map(([side, quantities]) => [
      side,
      Object.fromEntries(Object.entries(quantities ?? {}).filter(([name]) => !name.includes('/'))),
    ]),
  )

const fetcher = (command: 'fetch' | 'resolve', image: string, env: object[], { spec }: ModelDeployment) => ({
  name: command,
  image,
  args: [command],
  env,
  resources: readingResources(spec),
  volumeMounts: [
    modelsMount,
    tmpMount,
    ...(spec.model.uri.startsWith('pvc://') ? [{ name: 'claim', mountPath: '/pvc', readOnly: true }] : []),
  ],
  terminationMessagePolicy: 'FallbackToLogsOnError',
  securityContext: restricted,
})

const probe = (path: string, times: Record<string, number>) => ({ httpGet: { path, port: 8080 }, ...times })

/** What decides where a pod may run and which images it may pull; containers and labels of the overlay are not for the Job. */
const placementOf = (podTemplate: ModelDeployment['spec']['podTemplate']): object => {
  const spec = podTemplate?.spec ?? {}
  const fields = [
    'nodeSelector',
    'affinity',
    'tolerations',
    'imagePullSecrets',
    'serviceAccountName',
    'priorityClassName',
    'schedulerName',
    'runtimeClassName',
  ]
  return { spec: Object.fromEntries(Object.entries(spec).filter(([field]) => fields.includes(field))) }
}
