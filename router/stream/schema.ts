// The part of Envoy's API v3 that is used here, with its field numbers. Envoy decides whether they are right: what it
// makes of every golden file is read back from it and compared (test/integration/router/stream.test.ts).
// @see https://github.com/envoyproxy/envoy/tree/v1.40.0/api

export type FieldType =
  | 'string'
  | 'bool'
  | 'uint'
  | 'double'
  | 'any'
  | 'duration'
  | 'struct'
  /** google.protobuf.UInt32Value and the like, which are bare in JSON. */
  | { readonly wrapped: 'bool' | 'uint' | 'double' }
  | { readonly enum: Readonly<Record<string, number>> }
  | { readonly message: string }

export interface Field {
  readonly number: number
  readonly type: FieldType
  readonly label: 'one' | 'many' | 'map'
}

const one = (number: number, type: FieldType): Field => ({ number, type, label: 'one' })
const many = (number: number, type: FieldType): Field => ({ number, type, label: 'many' })
const uintValue: FieldType = { wrapped: 'uint' }
const boolValue: FieldType = { wrapped: 'bool' }
const text = (number: number): Field => one(number, 'string')
const part = (number: number, message: string): Field => one(number, { message })
const parts = (number: number, message: string): Field => many(number, { message })

const core = 'envoy.config.core.v3'
const cluster = 'envoy.config.cluster.v3'
const route = 'envoy.config.route.v3'
const endpoint = 'envoy.config.endpoint.v3'
const listener = 'envoy.config.listener.v3'
const accesslog = 'envoy.config.accesslog.v3'
const upstream = 'envoy.extensions.upstreams.http.v3'
const manager = 'envoy.extensions.filters.network.http_connection_manager.v3'

type Fields = Readonly<Record<string, Field>>

const shared: Record<string, Fields> = {
  [`${core}.Address`]: { socket_address: part(1, `${core}.SocketAddress`) },
  [`${core}.AggregatedConfigSource`]: {},
  [`${core}.CidrRange`]: { address_prefix: text(1), prefix_len: one(2, uintValue) },
  [`${core}.ConfigSource`]: {
    ads: part(3, `${core}.AggregatedConfigSource`),
    initial_fetch_timeout: one(4, 'duration'),
    resource_api_version: one(6, { enum: { V3: 2 } }),
  },
  [`${core}.DataSource`]: { inline_string: text(3) },
  [`${core}.HeaderValue`]: { key: text(1), value: text(2) },
  [`${core}.HeaderValueOption`]: {
    header: part(1, `${core}.HeaderValue`),
    append_action: one(3, { enum: { OVERWRITE_IF_EXISTS_OR_ADD: 2 } }),
  },
  [`${core}.HttpProtocolOptions`]: { idle_timeout: one(1, 'duration') },
  [`${core}.Http1ProtocolOptions`]: {},
  [`${core}.Http2ProtocolOptions`]: {
    max_concurrent_streams: one(2, uintValue),
    initial_stream_window_size: one(3, uintValue),
    initial_connection_window_size: one(4, uintValue),
  },
  [`${core}.RuntimeFractionalPercent`]: { default_value: part(1, 'envoy.type.v3.FractionalPercent') },
  [`${core}.RuntimeUInt32`]: { default_value: one(2, 'uint'), runtime_key: text(3) },
  [`${core}.SocketAddress`]: { address: text(2), port_value: one(3, 'uint'), ipv4_compat: one(6, 'bool') },
  [`${core}.SubstitutionFormatString`]: { json_format: one(2, 'struct') },
  'envoy.type.v3.FractionalPercent': { numerator: one(1, 'uint'), denominator: one(2, { enum: { MILLION: 2 } }) },
  'envoy.type.v3.Percent': { value: one(1, 'double') },
  'envoy.type.matcher.v3.StringMatcher': { exact: text(1), prefix: text(2) },
  'envoy.config.common.mutation_rules.v3.HeaderMutation': {
    remove: text(1),
    append: part(2, `${core}.HeaderValueOption`),
  },
}

const clusters: Record<string, Fields> = {
  [`${cluster}.Cluster`]: {
    name: text(1),
    type: one(2, { enum: { EDS: 3 } }),
    eds_cluster_config: part(3, `${cluster}.Cluster.EdsClusterConfig`),
    connect_timeout: one(4, 'duration'),
    per_connection_buffer_limit_bytes: one(5, uintValue),
    lb_policy: one(6, { enum: { LEAST_REQUEST: 1 } }),
    health_checks: parts(8, `${core}.HealthCheck`),
    circuit_breakers: part(10, `${cluster}.CircuitBreakers`),
    outlier_detection: part(19, `${cluster}.OutlierDetection`),
    common_lb_config: part(27, `${cluster}.Cluster.CommonLbConfig`),
    ignore_health_on_host_removal: one(32, 'bool'),
    typed_extension_protocol_options: { number: 36, type: 'any', label: 'map' },
  },
  [`${cluster}.Cluster.EdsClusterConfig`]: { eds_config: part(1, `${core}.ConfigSource`) },
  [`${cluster}.Cluster.CommonLbConfig`]: { healthy_panic_threshold: part(1, 'envoy.type.v3.Percent') },
  [`${cluster}.CircuitBreakers`]: { thresholds: parts(1, `${cluster}.CircuitBreakers.Thresholds`) },
  [`${cluster}.CircuitBreakers.Thresholds`]: {
    max_connections: one(2, uintValue),
    max_pending_requests: one(3, uintValue),
    max_requests: one(4, uintValue),
    max_retries: one(5, uintValue),
    retry_budget: part(8, `${cluster}.CircuitBreakers.Thresholds.RetryBudget`),
  },
  [`${cluster}.CircuitBreakers.Thresholds.RetryBudget`]: {
    budget_percent: part(1, 'envoy.type.v3.Percent'),
    min_retry_concurrency: one(2, uintValue),
  },
  [`${cluster}.OutlierDetection`]: {
    interval: one(2, 'duration'),
    base_ejection_time: one(3, 'duration'),
    max_ejection_percent: one(4, uintValue),
    enforcing_consecutive_5xx: one(5, uintValue),
    enforcing_success_rate: one(6, uintValue),
    enforcing_consecutive_gateway_failure: one(11, uintValue),
    split_external_local_origin_errors: one(12, 'bool'),
    consecutive_local_origin_failure: one(13, uintValue),
    enforcing_consecutive_local_origin_failure: one(14, uintValue),
    enforcing_local_origin_success_rate: one(15, uintValue),
    max_ejection_time: one(21, 'duration'),
  },
  [`${core}.HealthCheck`]: {
    timeout: one(1, 'duration'),
    interval: one(2, 'duration'),
    unhealthy_threshold: one(4, uintValue),
    healthy_threshold: one(5, uintValue),
    http_health_check: part(8, `${core}.HealthCheck.HttpHealthCheck`),
    no_traffic_interval: one(12, 'duration'),
  },
  [`${core}.HealthCheck.HttpHealthCheck`]: { host: text(1), path: text(2) },
  [`${upstream}.HttpProtocolOptions`]: {
    common_http_protocol_options: part(1, `${core}.HttpProtocolOptions`),
    explicit_http_config: part(3, `${upstream}.HttpProtocolOptions.ExplicitHttpConfig`),
    request_mirror_policies: parts(9, `${route}.RouteAction.RequestMirrorPolicy`),
  },
  [`${upstream}.HttpProtocolOptions.ExplicitHttpConfig`]: {
    http_protocol_options: part(1, `${core}.Http1ProtocolOptions`),
    http2_protocol_options: part(2, `${core}.Http2ProtocolOptions`),
  },
}

const endpoints: Record<string, Fields> = {
  [`${endpoint}.ClusterLoadAssignment`]: {
    cluster_name: text(1),
    endpoints: parts(2, `${endpoint}.LocalityLbEndpoints`),
  },
  [`${endpoint}.LocalityLbEndpoints`]: { lb_endpoints: parts(2, `${endpoint}.LbEndpoint`) },
  [`${endpoint}.LbEndpoint`]: { endpoint: part(1, `${endpoint}.Endpoint`) },
  [`${endpoint}.Endpoint`]: {
    address: part(1, `${core}.Address`),
    health_check_config: part(2, `${endpoint}.Endpoint.HealthCheckConfig`),
  },
  [`${endpoint}.Endpoint.HealthCheckConfig`]: {
    port_value: one(1, 'uint'),
    disable_active_health_check: one(4, 'bool'),
  },
}

const routes: Record<string, Fields> = {
  [`${route}.RouteConfiguration`]: {
    name: text(1),
    virtual_hosts: parts(2, `${route}.VirtualHost`),
    validate_clusters: one(7, boolValue),
  },
  [`${route}.VirtualHost`]: {
    name: text(1),
    domains: many(2, 'string'),
    routes: parts(3, `${route}.Route`),
    request_headers_to_remove: many(13, 'string'),
    retry_policy: part(16, `${route}.RetryPolicy`),
  },
  [`${route}.RetryPolicy`]: {
    retry_on: text(1),
    num_retries: one(2, uintValue),
    retry_host_predicate: parts(5, `${route}.RetryPolicy.RetryHostPredicate`),
    host_selection_retry_max_attempts: one(6, 'uint'),
  },
  [`${route}.RetryPolicy.RetryHostPredicate`]: { name: text(1), typed_config: one(3, 'any') },
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate': {},
  [`${route}.Route`]: {
    match: part(1, `${route}.RouteMatch`),
    route: part(2, `${route}.RouteAction`),
    direct_response: part(7, `${route}.DirectResponseAction`),
    stat_prefix: text(19),
  },
  [`${route}.RouteMatch`]: {
    prefix: text(1),
    path: text(2),
    headers: parts(6, `${route}.HeaderMatcher`),
    grpc: part(8, `${route}.RouteMatch.GrpcRouteMatchOptions`),
    path_separated_prefix: text(14),
  },
  [`${route}.RouteMatch.GrpcRouteMatchOptions`]: {},
  [`${route}.HeaderMatcher`]: {
    name: text(1),
    present_match: one(7, 'bool'),
    invert_match: one(8, 'bool'),
    string_match: part(13, 'envoy.type.matcher.v3.StringMatcher'),
    treat_missing_header_as_empty: one(14, 'bool'),
  },
  [`${route}.DirectResponseAction`]: { status: one(1, 'uint'), body: part(2, `${core}.DataSource`) },
  [`${route}.RouteAction`]: {
    weighted_clusters: part(3, `${route}.WeightedCluster`),
    timeout: one(8, 'duration'),
    hash_policy: parts(15, `${route}.RouteAction.HashPolicy`),
    idle_timeout: one(24, 'duration'),
  },
  [`${route}.RouteAction.HashPolicy`]: { header: part(1, `${route}.RouteAction.HashPolicy.Header`) },
  [`${route}.RouteAction.HashPolicy.Header`]: { header_name: text(1) },
  [`${route}.RouteAction.RequestMirrorPolicy`]: {
    cluster: text(1),
    runtime_fraction: part(3, `${core}.RuntimeFractionalPercent`),
    trace_sampled: one(4, boolValue),
    disable_shadow_host_suffix_append: one(6, 'bool'),
    request_headers_mutations: parts(7, 'envoy.config.common.mutation_rules.v3.HeaderMutation'),
  },
  [`${route}.WeightedCluster`]: {
    clusters: parts(1, `${route}.WeightedCluster.ClusterWeight`),
    use_hash_policy: one(5, boolValue),
  },
  [`${route}.WeightedCluster.ClusterWeight`]: { name: text(1), weight: one(2, uintValue) },
}

const listeners: Record<string, Fields> = {
  [`${listener}.Listener`]: {
    name: text(1),
    address: part(2, `${core}.Address`),
    filter_chains: parts(3, `${listener}.FilterChain`),
    per_connection_buffer_limit_bytes: one(5, uintValue),
    stat_prefix: text(28),
  },
  [`${listener}.FilterChain`]: { filters: parts(3, `${listener}.Filter`) },
  [`${listener}.Filter`]: { name: text(1), typed_config: one(4, 'any') },
  [`${manager}.HttpConnectionManager`]: {
    codec_type: one(1, { enum: { AUTO: 0 } }),
    stat_prefix: text(2),
    rds: part(3, `${manager}.Rds`),
    http_filters: parts(5, `${manager}.HttpFilter`),
    http2_protocol_options: part(9, `${core}.Http2ProtocolOptions`),
    access_log: parts(13, `${accesslog}.AccessLog`),
    use_remote_address: one(14, boolValue),
    generate_request_id: one(15, boolValue),
    internal_address_config: part(25, `${manager}.HttpConnectionManager.InternalAddressConfig`),
    normalize_path: one(30, boolValue),
    preserve_external_request_id: one(32, 'bool'),
    server_header_transformation: one(34, { enum: { PASS_THROUGH: 2 } }),
    common_http_protocol_options: part(35, `${core}.HttpProtocolOptions`),
    local_reply_config: part(38, `${manager}.LocalReplyConfig`),
    request_headers_timeout: one(41, 'duration'),
  },
  [`${manager}.HttpConnectionManager.InternalAddressConfig`]: { cidr_ranges: parts(2, `${core}.CidrRange`) },
  [`${manager}.HttpFilter`]: { name: text(1), typed_config: one(4, 'any') },
  [`${manager}.Rds`]: { config_source: part(1, `${core}.ConfigSource`), route_config_name: text(2) },
  [`${manager}.LocalReplyConfig`]: { mappers: parts(1, `${manager}.ResponseMapper`) },
  [`${manager}.ResponseMapper`]: {
    filter: part(1, `${accesslog}.AccessLogFilter`),
    body_format_override: part(4, `${core}.SubstitutionFormatString`),
  },
  'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig': { stats_for_all_methods: one(3, boolValue) },
  'envoy.extensions.filters.http.router.v3.Router': { suppress_envoy_headers: one(4, 'bool') },
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog': {
    log_format: part(1, `${core}.SubstitutionFormatString`),
  },
  [`${accesslog}.AccessLog`]: {
    name: text(1),
    filter: part(2, `${accesslog}.AccessLogFilter`),
    typed_config: one(4, 'any'),
  },
  [`${accesslog}.AccessLogFilter`]: {
    status_code_filter: part(1, `${accesslog}.StatusCodeFilter`),
    and_filter: part(6, `${accesslog}.AndFilter`),
    header_filter: part(8, `${accesslog}.HeaderFilter`),
  },
  [`${accesslog}.AndFilter`]: { filters: parts(1, `${accesslog}.AccessLogFilter`) },
  [`${accesslog}.HeaderFilter`]: { header: part(1, `${route}.HeaderMatcher`) },
  [`${accesslog}.StatusCodeFilter`]: { comparison: part(1, `${accesslog}.ComparisonFilter`) },
  [`${accesslog}.ComparisonFilter`]: {
    op: one(1, { enum: { GE: 1 } }),
    value: part(2, `${core}.RuntimeUInt32`),
  },
}

/** By full name, then by the name of the field. */
export const messages: Readonly<Record<string, Fields>> = {
  ...shared,
  ...clusters,
  ...endpoints,
  ...routes,
  ...listeners,
}
