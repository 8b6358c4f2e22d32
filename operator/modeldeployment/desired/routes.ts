// Pure builders of what mode Gateway needs: an HTTPRoute, a GRPCRoute, and a Service of each revision for them to name.
// Weights are thousandths that sum to 1000, so nothing is rounded; a revision without a ready pod never has one.
import { parseDuration } from '../../api/duration.ts'
import type { ModelDeployment, ModelDeploymentStatus } from '../../api/modeldeployment.ts'
import { childLabels, epochAnnotation, gatewayServiceName, labelKeys, revisionLabels } from '../names.ts'
import { childMetadata } from './children.ts'

type Traffic = NonNullable<ModelDeploymentStatus['traffic']>
type Weights = Traffic['weights']

const apiVersion = 'gateway.networking.k8s.io/v1'
const httpPort = 8080
const grpcPort = 9000
/** As the routers have it; a Gateway's own default may be shorter than a model takes. */
const defaultTimeout = '60s'

/** The Service that the routes name for one revision. */
export const gatewayService = (owner: ModelDeployment, revision: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: childMetadata(owner, gatewayServiceName(revision), revisionLabels(owner.metadata.name, revision)),
  spec: {
    selector: { [labelKeys.modelDeployment]: owner.metadata.name, [labelKeys.revision]: revision },
    ports: [
      { name: 'http', port: httpPort, protocol: 'TCP', targetPort: httpPort },
      { name: 'grpc', port: grpcPort, protocol: 'TCP', targetPort: grpcPort, appProtocol: 'kubernetes.io/h2c' },
    ],
  },
})

/** The way of HTTP requests through the Gateway. */
export const httpRoute = (owner: ModelDeployment, traffic: Traffic, weights: Weights) => ({
  apiVersion,
  kind: 'HTTPRoute',
  metadata: routeMetadata(owner, traffic),
  spec: {
    ...attachment(owner),
    rules: [
      {
        ...backends(weights, httpPort),
        timeouts: { request: gatewayDuration(parseDuration(owner.spec.traffic.timeout ?? defaultTimeout)) },
      },
    ],
  },
})

/** What the runtime serves. Named one by one, so that a Gateway that takes both routes keeps HTTP requests to the other. */
const grpcServices = [
  'inference.GRPCInferenceService',
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
].map((service) => ({ method: { type: 'Exact', service } }))

/** The way of gRPC through the Gateway; a GRPCRoute has no timeouts. */
export const grpcRoute = (owner: ModelDeployment, traffic: Traffic, weights: Weights) => ({
  apiVersion,
  kind: 'GRPCRoute',
  metadata: routeMetadata(owner, traffic),
  spec: { ...attachment(owner), rules: [{ matches: grpcServices, ...backends(weights, grpcPort) }] },
})

/**
 * The weights that a route may have. A Gateway answers the share of a Service without ready endpoints with 503 and
 * gives it to nobody else, so the share of a revision without one is stable's for as long, as with routers.
 * @param ready ready endpoints by revision
 * @see the backendRefs field of HTTPRouteRule
 */
export const reachableWeights = (
  weights: Weights,
  stable: string | undefined,
  ready: Readonly<Record<string, number>>,
): Weights => {
  const isReady = (revision: string): boolean => (ready[revision] ?? 0) > 0
  if (stable === undefined || !isReady(stable)) return weights
  const lost = weights.filter(({ revision }) => !isReady(revision))
  if (lost.length === 0) return weights
  const spared = lost.reduce((sum, { weight }) => sum + weight, 0)
  const kept = weights.filter(({ revision }) => isReady(revision))
  return kept.some(({ revision }) => revision === stable)
    ? kept.map(({ revision, weight }) => ({ revision, weight: revision === stable ? weight + spared : weight }))
    : [{ revision: stable, weight: spared }, ...kept]
}

const routeMetadata = (owner: ModelDeployment, { epoch }: Traffic) => ({
  ...childMetadata(owner, owner.metadata.name, childLabels(owner.metadata.name)),
  annotations: { [epochAnnotation]: String(epoch) },
})

const attachment = ({ spec: { traffic } }: ModelDeployment) => ({
  parentRefs: (traffic.gateway?.parentRefs ?? []).map((parent) => ({ ...parent })),
  ...(traffic.gateway?.hostnames && { hostnames: [...traffic.gateway.hostnames] }),
})

/** A weight of 0 is left out: a Gateway may keep users of a sticky session on a backend of weight 0. @see GEP-1619 */
const backends = (weights: Weights, port: number) => {
  const backendRefs = weights
    .filter(({ weight }) => weight > 0)
    .map(({ revision, weight }) => ({ name: gatewayServiceName(revision), port, weight }))
  return backendRefs.length === 0 ? {} : { backendRefs }
}

/** Units of at most five digits each. @see GEP-2257 */
const gatewayDuration = (ms: number): string => {
  const seconds = Math.floor(ms / 1000)
  const [h, m, s, rest] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60, ms % 1000]
  return [`${h}h`, `${m}m`, `${s}s`, `${rest}ms`].filter((part) => !/^0[a-z]/.test(part)).join('')
}
