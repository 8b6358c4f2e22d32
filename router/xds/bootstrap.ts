// What Envoy is started with; everything else it asks the agent for, over one stream that it holds open. Pure.
import { any, extension, fromAgent, type Message } from './json.ts'

export const bootstrapFile = 'bootstrap.json'
/** Envoy's admin interface: no port, and a file that only its own user may open. */
export const adminSocket = 'admin.sock'
/** Envoy's own log; the agent repeats it, and reads there why something was refused that Envoy has to say at length. */
export const envoyLog = 'envoy.log'
/** Where the agent is asked. */
export const agentSocket = 'agent.sock'
const agent = 'slipway-agent'

/** Beyond this, new connections are closed at once: an idle one costs 8 KB, or 16 when it has been used. */
const maxConnections = 20_000

/**
 * How much of its container's memory Envoy may have on its heap; the rest is for what it has beside it, and for what comes
 * between two looks. Beyond it the kernel would end Envoy, and with it every request.
 */
const heapShare = 0.8
/** Where memory becomes short, streams and connections on which nothing moves end earlier, down to these times. */
const hurried = { scaling_threshold: 0.6, saturation_threshold: 0.85 }
const leastStreamIdle = '10s'
const leastConnectionIdle = '30s'
/** The share of the heap from which on new requests are answered with 503. */
const refuseAt = 0.95

/**
 * @param folder shared by Envoy and the agent, an absolute path
 * @param router the pod's name
 * @param memoryBytes what Envoy's container may take; undefined where it has no limit
 */
export const bootstrap = (folder: string, router: string, namespace: string, memoryBytes?: number): Message => ({
  node: { id: router, cluster: namespace },
  // 384 is 0600.
  admin: { address: { pipe: { path: `${folder}/${adminSocket}`, mode: 384 } } },
  dynamic_resources: {
    ads_config: {
      // Each resource by itself: one that is refused says so alone, and nobody else's is sent again with it.
      api_type: 'DELTA_GRPC',
      transport_api_version: 'V3',
      grpc_services: [{ envoy_grpc: { cluster_name: agent, retry_policy: { retry_back_off: backOff } } }],
    },
    cds_config: fromAgent,
    lds_config: fromAgent,
  },
  static_resources: { clusters: [agentCluster(`${folder}/${agentSocket}`)] },
  // Histograms are read as of the last flush.
  stats_flush_interval: '1s',
  // Most clusters never carry traffic; their counters are made when the first request comes.
  deferred_stat_options: { enable_deferred_creation_stats: true },
  overload_manager: overloadManager(memoryBytes),
})

const connections = extension(
  'envoy.resource_monitors.global_downstream_max_connections',
  'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
  { max_active_downstream_connections: maxConnections },
)

const heap = 'envoy.resource_monitors.fixed_heap'

const overloadManager = (memoryBytes: number | undefined): Message => {
  if (memoryBytes === undefined) return { resource_monitors: [connections] }
  const maxHeap = extension(heap, 'envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig', {
    max_heap_size_bytes: Math.floor(memoryBytes * heapShare),
  })
  const timers = [
    { timer: 'HTTP_DOWNSTREAM_STREAM_IDLE', min_timeout: leastStreamIdle },
    { timer: 'HTTP_DOWNSTREAM_STREAM_FLUSH', min_timeout: leastStreamIdle },
    { timer: 'HTTP_DOWNSTREAM_CONNECTION_IDLE', min_timeout: leastConnectionIdle },
  ]
  return {
    refresh_interval: '0.1s',
    resource_monitors: [connections, maxHeap],
    actions: [
      action('shrink_heap', { threshold: { value: hurried.scaling_threshold } }),
      {
        ...action('reduce_timeouts', { scaled: hurried }),
        typed_config: any('envoy.config.overload.v3.ScaleTimersOverloadActionConfig', { timer_scale_factors: timers }),
      },
      action('stop_accepting_requests', { threshold: { value: refuseAt } }),
    ],
  }
}

const action = (name: string, trigger: Message): Message => ({
  name: `envoy.overload_actions.${name}`,
  triggers: [{ name: heap, ...trigger }],
})

/** An agent that is started again is found at once; by itself Envoy would wait for up to 30 s. */
const backOff: Message = { base_interval: '0.05s', max_interval: '0.5s' }

const agentCluster = (path: string): Message => ({
  name: agent,
  type: 'STATIC',
  connect_timeout: '1s',
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      { explicit_http_config: { http2_protocol_options: {} } },
    ),
  },
  load_assignment: {
    cluster_name: agent,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }],
  },
})
