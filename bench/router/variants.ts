// Our listener without one part each, as Envoy's static configuration, and one that has nothing but a route. Pure.
import type { Message } from '../../router/xds/json.ts'
import type { RenderedModel } from '../../router/xds/render.ts'

/** Envoy's JSON, which is walked through and changed here by the names of its fields. */
export type Static = Record<string, unknown>

export interface Variant {
  readonly name: string
  readonly port: number
  readonly listener: Static
  readonly clusters: readonly Static[]
}

const firstPort = 19_100
const manager = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'

interface Parts {
  readonly listener: Static
  readonly manager: Static
  readonly routes: Static
  readonly clusters: Static[]
}

/** What is taken away from ours, by name. */
const changes: Readonly<Record<string, (parts: Parts) => void>> = {
  ours: () => {},
  'without grpc_stats': ({ manager: m }) => void (m['http_filters'] = (m['http_filters'] as Static[]).slice(-1)),
  'without access log': ({ manager: m }) => void delete m['access_log'],
  'without local replies': ({ manager: m }) => void delete m['local_reply_config'],
  'without request ids': ({ manager: m }) => void (m['generate_request_id'] = false),
  'without remote address': ({ manager: m }) => {
    delete m['internal_address_config']
    m['use_remote_address'] = false
    m['skip_xff_append'] = true
  },
  'without normal paths': ({ manager: m }) => void delete m['normalize_path'],
  'without timeouts': ({ manager: m, routes }) => {
    delete m['request_headers_timeout']
    delete m['common_http_protocol_options']
    for (const route of actionsOf(routes)) {
      route['timeout'] = '0s'
      route['idle_timeout'] = '0s'
    }
  },
  'without retries': ({ routes }) => void delete hostOf(routes)['retry_policy'],
  'without named routes': ({ routes }) => {
    const host = hostOf(routes)
    host['routes'] = (host['routes'] as Static[]).slice(-1)
  },
  'without health checks': ({ clusters }) => each(clusters, 'health_checks'),
  'without ejection': ({ clusters }) => each(clusters, 'outlier_detection'),
  'without circuit breakers': ({ clusters }) => each(clusters, 'circuit_breakers'),
  'with buffers of 32 KiB': ({ listener }) => void (listener['per_connection_buffer_limit_bytes'] = 32_768),
  'with HTTP/1.1 alone': ({ manager: m }) => void (m['codec_type'] = 'HTTP1'),
  'with round robin': ({ clusters }) => {
    for (const cluster of clusters) cluster['lb_policy'] = 'ROUND_ROBIN'
  },
}

/** All of them at once: what is left is that there are weights. */
const everything = (parts: Parts): void => {
  for (const [name, change] of Object.entries(changes)) if (name.startsWith('without')) change(parts)
}

/** @param address of the pod, as its port */
export const withoutEach = (model: RenderedModel, address: string, port: number): Variant[] => [
  { name: 'minimal', port: firstPort, ...minimal(address, port) },
  ...Object.entries({ ...changes, 'without all of it': everything }).map(([name, change], i): Variant => {
    const own = firstPort + 1 + i
    const parts = partsOf(model)
    change(parts)
    const prefix = `${own}/`
    const listener: Static = {
      ...parts.listener,
      name: prefix,
      address: addressOf(own),
      filter_chains: [{ filters: [{ name: 'http', typed_config: { ...parts.manager, route_config: parts.routes } }] }],
    }
    // Clusters of one variant are nobody else's: they keep their own connections.
    const text = JSON.stringify({ listener, clusters: parts.clusters })
    const renamed = text.replaceAll(`"${model.setting.name}/`, `"${prefix}${model.setting.name}/`)
    return { name, port: own, ...(JSON.parse(renamed) as Pick<Variant, 'listener' | 'clusters'>) }
  }),
]

const partsOf = (model: RenderedModel): Parts => {
  const { '@type': _, ...listener } = structuredClone(model.listener.message)
  const [chain] = listener['filter_chains'] as { filters: { typed_config: Static }[] }[]
  const { rds: _rds, ...config } = chain?.filters[0]?.typed_config ?? {}
  const { '@type': _routes, ...routes } = structuredClone(model.routes.message)
  const clusters = model.clusters.map(({ name, message }) => {
    const { '@type': _cluster, eds_cluster_config: _eds, ...cluster } = structuredClone(message)
    const pods = structuredClone(model.endpoints.find((assignment) => assignment.name === name)?.message) as Static
    delete pods['@type']
    return { ...cluster, type: 'STATIC', load_assignment: pods }
  })
  return { listener, manager: config, routes, clusters }
}

const minimal = (address: string, port: number): Pick<Variant, 'listener' | 'clusters'> => {
  const name = 'minimal'
  const route_config = {
    virtual_hosts: [
      { name, domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: name, timeout: '0s' } }] },
    ],
  }
  const router = 'envoy.extensions.filters.http.router.v3.Router'
  const typed_config = {
    '@type': `type.googleapis.com/${manager}`,
    stat_prefix: name,
    codec_type: 'HTTP1',
    generate_request_id: false,
    stream_idle_timeout: '0s',
    http_filters: [{ name: 'router', typed_config: { '@type': `type.googleapis.com/${router}` } }],
    route_config,
  }
  const lb_endpoints = [{ endpoint: { address: addressOf(port, address) } }]
  return {
    listener: { name, address: addressOf(firstPort), filter_chains: [{ filters: [{ name: 'http', typed_config }] }] },
    clusters: [
      {
        name,
        type: 'STATIC',
        load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints }] },
      } satisfies Message,
    ],
  }
}

const addressOf = (port: number, address = '0.0.0.0'): Static => ({ socket_address: { address, port_value: port } })

const hostOf = (routes: Static): Static => (routes['virtual_hosts'] as Static[])[0] ?? {}

const actionsOf = (routes: Static): Static[] =>
  (hostOf(routes)['routes'] as Static[]).flatMap(({ route }) => (route === undefined ? [] : [route as Static]))

const each = (clusters: readonly Static[], field: string): void => {
  for (const cluster of clusters) delete cluster[field]
}
