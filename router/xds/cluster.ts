// The clusters of a revision: one for each protocol, and one more for each that gets copies. Pure.
// The rules and the measurements behind them: docs/traffic.md and docs/decisions/0020 to 0022.
import type { Endpoint, Protocol } from '../model.ts'
import { any, fromAgent, streamWindowBytes, type Message } from './json.ts'

/** A request that Envoy answers for want of a free place is an error of ours: the queue with a limit is the runtime's. */
const limits = { max_connections: 16_384, max_pending_requests: 16_384, max_requests: 16_384 }
/** Copies are dropped before they can hold anything up. */
const shadowLimits = { max_connections: 32, max_pending_requests: 32, max_requests: 32, max_retries: 0 }
/** A shadow that stops reading stalls the user's upload once this is full, whatever the timeout. */
const shadowBufferBytes = 32 * 1024 * 1024
/** Below the runtime's own 75 s, so that no request is sent on a connection that the pod just closes. */
const upstreamIdle = '30s'

/**
 * Calls of many users share a connection to a pod, and its window with it: what one of them does not take is in it. So it
 * is larger than what all streams of a connection together can leave there, and clients that never read stall nobody.
 */
const http2: Message = {
  max_concurrent_streams: 100,
  initial_stream_window_size: streamWindowBytes,
  initial_connection_window_size: 128 * 1024 * 1024,
}

const protocolOptions: Readonly<Record<Protocol, Message>> = {
  http: { explicit_http_config: { http_protocol_options: {} } },
  grpc: { explicit_http_config: { http2_protocol_options: http2 } },
}

export interface Mirror {
  /** The cluster that gets the copies. */
  readonly cluster: string
  readonly perMille: number
}

/** What a revision's users meet. The mirror, if any, is stable's. */
export const revisionCluster = (name: string, protocol: Protocol, mirror?: Mirror): Message => ({
  ...base(name),
  typed_extension_protocol_options: httpOptions(protocol, mirror),
  circuit_breakers: {
    thresholds: [{ ...limits, retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 16 } }],
  },
  common_lb_config: { healthy_panic_threshold: { value: panicPercent } },
  // Between two looks of the kubelet. A pod that is not told any more is gone, whatever its health says.
  ignore_health_on_host_removal: true,
  health_checks: [
    {
      timeout: '2s',
      interval: '2s',
      no_traffic_interval: '10s',
      unhealthy_threshold: 3,
      healthy_threshold: 1,
      http_health_check: { path: '/v2/health/ready', host: 'slipway-router' },
    },
  ],
  // Puts pods aside that cannot be connected to, and none for what they answer: that is for the analysis to judge.
  outlier_detection: {
    split_external_local_origin_errors: true,
    consecutive_local_origin_failure: 2,
    enforcing_consecutive_local_origin_failure: 100,
    enforcing_consecutive_5xx: 0,
    enforcing_consecutive_gateway_failure: 0,
    enforcing_success_rate: 0,
    enforcing_local_origin_success_rate: 0,
    interval: '1s',
    base_ejection_time: '5s',
    max_ejection_time: '30s',
    max_ejection_percent: 100,
  },
})

/**
 * Only when not one pod is left is the opinion of the router put aside: the kubelet says ready, and an answer may come,
 * while an empty set answers 503 for sure. A new pod that replaces the only old one is served from its first moment.
 */
const panicPercent = 1

/** What gets copies: its own limits and statistics, and nothing that users could feel. */
export const shadowCluster = (name: string, protocol: Protocol): Message => ({
  ...base(name),
  typed_extension_protocol_options: httpOptions(protocol),
  per_connection_buffer_limit_bytes: shadowBufferBytes,
  circuit_breakers: { thresholds: [shadowLimits] },
  common_lb_config: { healthy_panic_threshold: { value: 0 } },
})

const base = (name: string): Message => ({
  name,
  type: 'EDS',
  eds_cluster_config: { eds_config: fromAgent },
  connect_timeout: '1s',
  lb_policy: 'LEAST_REQUEST',
})

const httpOptions = (protocol: Protocol, mirror?: Mirror): Message => ({
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    {
      ...protocolOptions[protocol],
      common_http_protocol_options: { idle_timeout: upstreamIdle },
      ...(mirror && { request_mirror_policies: [mirrorPolicy(mirror)] }),
    },
  ),
})

/**
 * On the cluster, so that only what stable answers is copied. Split and mirror share one random number: a numerator
 * that is a multiple of the sum of the weights (1000), out of a million, makes the two independent.
 */
const mirrorPolicy = ({ cluster, perMille }: Mirror): Message => ({
  cluster,
  runtime_fraction: { default_value: { numerator: perMille * 1000, denominator: 'MILLION' } },
  trace_sampled: false,
  disable_shadow_host_suffix_append: true,
  request_headers_mutations: [
    { append: { header: { key: shadowHeader, value: '1' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } },
    { remove: 'authorization' },
    { remove: 'proxy-authorization' },
    { remove: 'cookie' },
  ],
})

/** Marks a copy; taken off every request that a client sends. */
export const shadowHeader = 'x-slipway-shadow'

/** Where the pods of a cluster are. An empty list empties it; no resource at all would leave the old pods in it. */
export const loadAssignment = (cluster: string, endpoints: readonly Endpoint[]): Message => ({
  '@type': 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  cluster_name: cluster,
  endpoints: [
    {
      lb_endpoints: endpoints.map(({ address, port, healthPort }) => ({
        endpoint: {
          address: { socket_address: { address, port_value: port } },
          health_check_config:
            healthPort === undefined ? { disable_active_health_check: true } : { port_value: healthPort },
        },
      })),
    },
  ],
})
