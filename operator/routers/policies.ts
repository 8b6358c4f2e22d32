// NetworkPolicies of a namespace with routers: who may reach the routers and the pods of models, and whom the routers may
// reach. Pure. What a pod of a model fetches is not held back: models come from anywhere.
import { agentPort, listenerPorts } from '../api/routerstate.ts'
import { isAnObject, isFlag, isListOf, isPort, isStrings, isText, readSettings } from '../settings.ts'
import { routerLabels, routerName, type RouterOwner } from './desired.ts'

/** What the one who installs says of the network. */
export interface NetworkRules {
  /** Who uses models: NetworkPolicyPeers, none for everybody. */
  readonly usersFrom: readonly object[]
  /** Who reads the metrics of models' pods: NetworkPolicyPeers, none for nobody. */
  readonly metricsFrom: readonly object[]
  /** Whether users reach the pods of models past the routers too, as they have to in modes Direct and Gateway. */
  readonly direct: boolean
  /** Ports on which API servers listen, after the address of their Service is translated. */
  readonly apiServerPorts: readonly number[]
  /** The operator's own pods. */
  readonly operatorNamespace: string
  readonly operatorLabels: Readonly<Record<string, string>>
}

const fields = {
  usersFrom: isListOf(isAnObject),
  metricsFrom: isListOf(isAnObject),
  direct: isFlag,
  apiServerPorts: isListOf(isPort),
  operatorNamespace: isText,
  operatorLabels: isStrings,
}

/** Reads them from JSON, all of them. What makes a peer, the API server judges. */
export const readNetworkRules = (
  text: string,
): { readonly rules: NetworkRules } | { readonly problems: readonly string[] } => {
  const read = readSettings(text, fields)
  if ('problems' in read) return read
  const missing = Object.keys(fields).filter((field) => !Object.hasOwn(read.settings, field))
  if (missing.length > 0) return { problems: missing.map((field) => `has no ${field}`) }
  return { rules: read.settings as unknown as NetworkRules }
}

/** Labels of the pods that serve models. Pods that resolve a model have them as well, and listen nowhere. */
export const runtimeLabels = {
  'app.kubernetes.io/managed-by': 'slipway',
  'app.kubernetes.io/name': 'slipway-runtime',
} as const

/** Where the pods of models listen. */
export const runtimePorts = { http: 8080, grpc: 9000, metrics: 9090 } as const

/** The names of the two policies of a namespace. */
export const policyNames = [routerName, 'slipway-runtime'] as const

const tcp = (port: number) => ({ protocol: 'TCP', port })
const models = { protocol: 'TCP', port: listenerPorts.first, endPort: listenerPorts.last }
const inference = [tcp(runtimePorts.http), tcp(runtimePorts.grpc)]
/** No peers means everybody. */
const by = (peers: readonly object[]) => (peers.length === 0 ? {} : { from: peers })

export const networkPolicies = (
  { namespace, uid }: RouterOwner,
  { usersFrom, metricsFrom, direct, apiServerPorts, operatorNamespace, operatorLabels }: NetworkRules,
) => {
  const policy = (name: (typeof policyNames)[number], spec: object) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name,
      namespace,
      labels: routerLabels,
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: routerName, uid, controller: true }],
    },
    spec,
  })
  const fromOperator = [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': operatorNamespace } },
      podSelector: { matchLabels: operatorLabels },
    },
  ]
  const routers = { podSelector: { matchLabels: routerLabels } }
  const runtimes = { podSelector: { matchLabels: runtimeLabels } }
  // Probes of the kubelet come from the pod's own node, which no NetworkPolicy holds back.
  return [
    policy(routerName, {
      ...routers,
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { ports: [models], ...by(usersFrom) },
        // Its state; and whether its node is there, which is asked at any port that its Services name.
        { ports: [tcp(agentPort), models], from: fromOperator },
      ],
      egress: [{ ports: apiServerPorts.map(tcp) }, { ports: inference, to: [runtimes] }],
    }),
    policy('slipway-runtime', {
      ...runtimes,
      policyTypes: ['Ingress'],
      ingress: [
        { ports: inference, from: [routers] },
        // Whether its node is there.
        { ports: inference, from: fromOperator },
        ...(direct ? [{ ports: inference, ...by(usersFrom) }] : []),
        ...(metricsFrom.length === 0 ? [] : [{ ports: [tcp(runtimePorts.metrics)], from: metricsFrom }]),
      ],
    }),
  ]
}
