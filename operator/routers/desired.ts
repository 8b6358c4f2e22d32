// The routers of one namespace: a Deployment of Envoy with its agent, and what it needs to run. Pure. Everything but
// the Deployment is owned by it, so one deletion takes all of it away. No right on Secrets, ever.
import { agentPort } from '../api/routerstate.ts'
import { withNodeLoss } from '../kube/tolerations.ts'
import type { KubeObject } from '../kube/types.ts'
import type { RouterPlacement } from './placement.ts'
import type { NetworkRules } from './policies.ts'

/** Everything of the routers of a namespace has this name. */
export const routerName = 'slipway-router'

/** Labels of the routers' pods and of what they need. They select the pods, so they never change. */
export const routerLabels = {
  'app.kubernetes.io/managed-by': 'slipway',
  'app.kubernetes.io/name': routerName,
} as const

/** What this release runs routers with. */
export interface RouterRelease {
  /** The operator's own image, which holds the agent as well. */
  readonly agentImage: string
  readonly envoyImage: string
  /** How many router pods a namespace gets; an autoscaler may change it afterwards. */
  readonly replicas: number
  readonly resources: { readonly agent: object; readonly envoy: object }
  readonly placement: RouterPlacement
  /** Without them there are no NetworkPolicies. */
  readonly network?: NetworkRules
  readonly logLevel: string
}

/** Restricted Pod Security: non-root, nothing to write to but what is mounted, no capabilities. */
const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}

const user = 65532
/** The agent drains for up to 50 s (5 s until endpoints have forgotten it, 45 s for connections); then Envoy ends. */
const terminationGraceSeconds = 60
/** A new router must have been ready for this long before an old one may go. */
const minReadySeconds = 5
/** How long a router stays on a node that is given up: rollouts wait for its word until it is on its way out. */
const leftAfterSeconds = 5
const folder = '/xds'
/** What the agent may look at; the operator must hold the same rights to be allowed to give them. */
const rules = [
  { apiGroups: ['slipway.dev'], resources: ['modeldeployments'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
]

/** The Deployment without its number of replicas, which may be an autoscaler's business. */
export const routerDeployment = (namespace: string, release: RouterRelease) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: routerName, namespace, labels: routerLabels },
  spec: {
    revisionHistoryLimit: 2,
    minReadySeconds,
    // A new router serves before an old one starts to drain.
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    selector: { matchLabels: routerLabels },
    template: {
      metadata: {
        labels: routerLabels,
        annotations: { 'kubectl.kubernetes.io/default-container': 'agent' },
      },
      spec: podSpec(release),
    },
  },
})

/**
 * Envoy is a native sidecar (KEP-753): the kubelet sends it SIGTERM only after the agent has drained it and ended. The
 * other way round nothing would hold Envoy back, which ends at once on SIGTERM.
 */
const podSpec = ({ agentImage, envoyImage, resources, placement, logLevel }: RouterRelease) => ({
  ...placement,
  serviceAccountName: routerName,
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  terminationGracePeriodSeconds: terminationGraceSeconds,
  tolerations: withNodeLoss(placement.tolerations, leftAfterSeconds),
  securityContext: {
    runAsNonRoot: true,
    runAsUser: user,
    runAsGroup: user,
    fsGroup: user,
    seccompProfile: { type: 'RuntimeDefault' },
  },
  topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    // On a cluster of one node both routers run on it.
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: routerLabels },
    // Without it the old pods of an upgrade would count, and the new ones might all land on one node.
    matchLabelKeys: ['pod-template-hash'],
  })),
  volumes: [
    { name: 'xds', emptyDir: { sizeLimit: '256Mi' } },
    { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
    tokenVolume,
  ],
  initContainers: [
    {
      name: 'init',
      image: agentImage,
      command: [...agentCommand, 'init'],
      env: [...agentEnv(logLevel), envoyMemory],
      resources: resources.agent,
      volumeMounts: [xdsMount, tmpMount],
      terminationMessagePolicy: 'FallbackToLogsOnError',
      securityContext: restricted,
    },
    {
      name: 'envoy',
      image: envoyImage,
      restartPolicy: 'Always',
      command: ['envoy'],
      args: [
        '-c',
        `${folder}/bootstrap.json`,
        '--concurrency',
        '2',
        '--disable-hot-restart',
        // A field that Envoy does not know would be passed over, and acknowledged all the same.
        '--reject-unknown-dynamic-fields',
        '--drain-time-s',
        '60',
        '--drain-strategy',
        'immediate',
        '--log-level',
        'warn',
        // What Envoy says of a refusal is cut off where the refused message is long; the rest is read there, at once.
        '--file-flush-interval-msec',
        '100',
        '--log-path',
        `${folder}/envoy.log`,
      ],
      resources: resources.envoy,
      volumeMounts: [xdsMount, tmpMount],
      securityContext: restricted,
    },
  ],
  containers: [
    {
      name: 'agent',
      image: agentImage,
      command: agentCommand,
      env: agentEnv(logLevel),
      ports: [{ name: 'agent', containerPort: agentPort, protocol: 'TCP' }],
      livenessProbe: probe('/livez', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 }),
      readinessProbe: probe('/readyz', { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2 }),
      resources: resources.agent,
      volumeMounts: [
        xdsMount,
        tmpMount,
        { name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
      ],
      terminationMessagePolicy: 'FallbackToLogsOnError',
      securityContext: restricted,
    },
  ],
})

/**
 * An agent does little and is there twice in every namespace, so that its memory counts and its speed does not: V8's
 * optimizing compilers cost it 10 MiB, the one for WebAssembly, in which the HTTP client's parser is written, 15 more
 * (docs/decisions/0110 and 0301).
 */
const lean = ['--max-semi-space-size=1', '--optimize-for-size', '--liftoff-only', '--no-opt', '--no-maglev']
const agentCommand = ['node', ...lean, '/app/agent.mjs']
const xdsMount = { name: 'xds', mountPath: folder }
const tmpMount = { name: 'tmp', mountPath: '/tmp' }

const agentEnv = (logLevel: string) => [
  { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
  { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
  { name: 'SLIPWAY_ROUTER_FOLDER', value: folder },
  { name: 'SLIPWAY_LOG_LEVEL', value: logLevel },
]

/** Envoy is told in its bootstrap what it may take; 0 where its container has no limit. */
const envoyMemory = {
  name: 'SLIPWAY_ENVOY_MEMORY',
  valueFrom: { resourceFieldRef: { containerName: 'envoy', resource: 'limits.memory' } },
}

/** The token of the service account, for the agent alone: Envoy, which reads what strangers send, never sees it. */
const tokenVolume = {
  name: 'token',
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
    ],
  },
}

const probe = (path: string, times: Record<string, number>) => ({ httpGet: { path, port: 'agent' }, ...times })

/** The Deployment, as the owner of everything else. */
export interface RouterOwner {
  readonly namespace: string
  readonly uid: string
}

/** What the routers need beside their pods. */
export const routerChildren = ({ namespace, uid }: RouterOwner) => {
  const metadata = {
    name: routerName,
    namespace,
    labels: routerLabels,
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: routerName, uid, controller: true }],
  }
  return {
    serviceAccount: { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    role: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules },
    roleBinding: {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: routerName },
      subjects: [{ kind: 'ServiceAccount', name: routerName, namespace }],
    },
    disruptionBudget: {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata,
      // A router that is not ready anyway must not keep a node from being drained.
      spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow', selector: { matchLabels: routerLabels } },
    },
    /** By its EndpointSlices the operator knows the routers; nobody else needs it. */
    service: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        clusterIP: 'None',
        selector: routerLabels,
        ports: [{ name: 'agent', port: agentPort, protocol: 'TCP', targetPort: 'agent' }],
      },
    },
  }
}

/** True when an object of the routers' name is one that Slipway made. */
export const isRouters = ({ metadata: { name, labels } }: KubeObject): boolean =>
  name === routerName && Object.entries(routerLabels).every(([key, value]) => labels?.[key] === value)
