// The listener of one ModelDeployment: HTTP/1.1 and h2c on one port. It changes only with its port, because a changed
// listener ends old connections in time; all that changes during a rollout is in the routes. Pure.
import type { Setting } from '../model.ts'
import { any, extension, fromAgent, streamWindowBytes, type Message } from './json.ts'

/** How long a client may take for its request's head; a client that sends it byte by byte holds a connection no longer. */
const headTimeout = '10s'
/** Longer than what clients keep idle connections for, so that they close first. */
const idleTimeout = '3600s'
/** What one connection may hold in memory, per direction; also the greatest body that can be sent again. */
const bufferBytes = 1024 * 1024

/** What a client may send on all streams of a connection before it is read. */
const http2: Message = {
  initial_stream_window_size: streamWindowBytes,
  initial_connection_window_size: 16 * 1024 * 1024,
}

/** @param address `::` listens on IPv4 as well */
export const listener = ({ name, port }: Setting, address: string): Message => ({
  '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
  name,
  stat_prefix: name,
  address: { socket_address: { address, port_value: port, ...(address === '::' && { ipv4_compat: true }) } },
  per_connection_buffer_limit_bytes: bufferBytes,
  filter_chains: [
    {
      filters: [
        extension(
          'envoy.filters.network.http_connection_manager',
          'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
          connectionManager(name),
        ),
      ],
    },
  ],
})

const connectionManager = (name: string): Message => ({
  // Envoy's own are called `admin` and `async-client`, and so may a model be.
  stat_prefix: `model/${name}`,
  codec_type: 'AUTO',
  http2_protocol_options: http2,
  rds: { route_config_name: name, config_source: fromAgent },
  http_filters: [
    extension('envoy.filters.http.grpc_stats', 'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig', {
      stats_for_all_methods: false,
    }),
    extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router', {
      suppress_envoy_headers: true,
    }),
  ],
  // Nobody is trusted as "internal": a client's x-envoy-* headers could otherwise ask for retries or other timeouts.
  use_remote_address: true,
  internal_address_config: { cidr_ranges: [{ address_prefix: '255.255.255.255', prefix_len: 32 }] },
  generate_request_id: true,
  preserve_external_request_id: true,
  // Else `/v2/x/../models` would go round the routes of versions.
  normalize_path: true,
  server_header_transformation: 'PASS_THROUGH',
  request_headers_timeout: headTimeout,
  common_http_protocol_options: { idle_timeout: idleTimeout },
  local_reply_config: { mappers: [asJson] },
  access_log: [failures],
})

/** What the router answers itself reads like an answer of the runtime; gRPC carries the sentence in grpc-message. */
const asJson: Message = {
  filter: {
    and_filter: {
      filters: [
        {
          header_filter: {
            header: {
              name: 'content-type',
              string_match: { prefix: 'application/grpc' },
              invert_match: true,
              treat_missing_header_as_empty: true,
            },
          },
        },
        {
          status_code_filter: {
            comparison: { op: 'GE', value: { default_value: 400, runtime_key: 'slipway.unused' } },
          },
        },
      ],
    },
  },
  body_format_override: { json_format: { error: '%LOCAL_REPLY_BODY%' } },
}

/** One line for each request that failed, on the container's stdout. */
const failures: Message = {
  name: 'envoy.access_loggers.stdout',
  filter: {
    status_code_filter: { comparison: { op: 'GE', value: { default_value: 500, runtime_key: 'slipway.unused' } } },
  },
  typed_config: any('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog', {
    log_format: {
      json_format: {
        '@timestamp': '%START_TIME%',
        method: '%REQ(:METHOD)%',
        path: '%PATH(NQ)%',
        status: '%RESPONSE_CODE%',
        why: '%RESPONSE_CODE_DETAILS%',
        flags: '%RESPONSE_FLAGS%',
        ms: '%DURATION%',
        request_id: '%REQ(X-REQUEST-ID)%',
        cluster: '%UPSTREAM_CLUSTER%',
        pod: '%UPSTREAM_HOST%',
      },
    },
  }),
}
