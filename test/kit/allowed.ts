// Whether NetworkPolicies let one pod connect to another, by the words of their specification. Pure: what a network makes of
// the same policies is for the network to show.
import type {
  V1LabelSelector,
  V1NetworkPolicy,
  V1NetworkPolicyPeer,
  V1NetworkPolicyPort,
} from '@kubernetes/client-node'

type Labels = Readonly<Record<string, string>>

export interface End {
  readonly namespace: string
  readonly labels: Labels
  /** Names of container ports, for policies that name them. */
  readonly ports?: Readonly<Record<string, number>>
}

export interface Connection {
  readonly from: End
  readonly to: End
  readonly port: number
  readonly protocol?: 'TCP' | 'UDP'
}

/** @see https://kubernetes.io/docs/concepts/services-networking/network-policies/ */
export const isAllowed = (policies: readonly V1NetworkPolicy[], connection: Connection): boolean => {
  const { from, to } = connection
  const rules = <T>(
    end: End,
    type: 'Ingress' | 'Egress',
    of: (policy: V1NetworkPolicy) => readonly T[] | undefined,
  ) => {
    const isolating = policies.filter((policy) => selects(policy, end) && policy.spec?.policyTypes?.includes(type))
    return isolating.length === 0 ? undefined : isolating.map((policy) => ({ policy, rules: of(policy) ?? [] }))
  }
  const leaves = rules(from, 'Egress', ({ spec }) => spec?.egress)
  const enters = rules(to, 'Ingress', ({ spec }) => spec?.ingress)
  const fits = (policy: V1NetworkPolicy, peers: readonly V1NetworkPolicyPeer[] | undefined, other: End) =>
    peers === undefined || peers.length === 0 || peers.some((peer) => isPeer(peer, policy.metadata?.namespace, other))
  return (
    (leaves?.some((one) => one.rules.some((rule) => fits(one.policy, rule.to, to) && isPort(rule.ports, connection))) ??
      true) &&
    (enters?.some((one) =>
      one.rules.some((rule) => fits(one.policy, sourcesOf(rule), from) && isPort(rule.ports, connection)),
    ) ??
      true)
  )
}

/** The client library's types call the field `_from`; on the wire it is `from`. */
const sourcesOf = (rule: object): readonly V1NetworkPolicyPeer[] | undefined =>
  (rule as { readonly from?: readonly V1NetworkPolicyPeer[] }).from

const selects = ({ metadata, spec }: V1NetworkPolicy, { namespace, labels }: End): boolean =>
  metadata?.namespace === namespace && matches(spec?.podSelector ?? {}, labels)

/** @throws Error for what no policy of ours uses, instead of an answer that may be wrong */
const matches = ({ matchLabels = {}, matchExpressions = [] }: V1LabelSelector, labels: Labels): boolean => {
  if (matchExpressions.length > 0) throw new Error('matchExpressions are not understood here')
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value)
}

const isPeer = (peer: V1NetworkPolicyPeer, home: string | undefined, { namespace, labels }: End): boolean => {
  if (peer.ipBlock !== undefined) throw new Error('ipBlocks are not understood here')
  const { namespaceSelector, podSelector } = peer
  const isThere =
    namespaceSelector === undefined
      ? namespace === home
      : matches(namespaceSelector, { 'kubernetes.io/metadata.name': namespace })
  return isThere && matches(podSelector ?? {}, labels)
}

const isPort = (
  ports: readonly V1NetworkPolicyPort[] | undefined,
  { to, port, protocol = 'TCP' }: Connection,
): boolean =>
  ports === undefined ||
  ports.length === 0 ||
  ports.some((one) => {
    const first = typeof one.port === 'string' ? to.ports?.[one.port] : one.port
    if ((one.protocol ?? 'TCP') !== protocol || first === undefined) return false
    return port >= first && port <= (one.endPort ?? first)
  })
