// What Envoy is started with; everything else reaches it as files. Pure.
import { extension, fileSource, type Message } from './json.ts'
import { clustersFile, listenersFile } from './names.ts'

export const bootstrapFile = 'bootstrap.json'
/** Envoy's admin interface: no port, and a file that only its own user may open. */
export const adminSocket = 'admin.sock'
/** Envoy's own log; the agent reads it, because Envoy tells nowhere else why it refused something. */
export const envoyLog = 'envoy.log'

/** Beyond this, new connections are closed at once: an idle one costs some 20 KB. */
const maxConnections = 20_000

/**
 * @param folder shared by Envoy and the agent, an absolute path
 * @param router the pod's name
 */
export const bootstrap = (folder: string, router: string, namespace: string): Message => ({
  node: { id: router, cluster: namespace },
  // 384 is 0600.
  admin: { address: { pipe: { path: `${folder}/${adminSocket}`, mode: 384 } } },
  dynamic_resources: {
    cds_config: fileSource(`${folder}/${clustersFile}`),
    lds_config: fileSource(`${folder}/${listenersFile}`),
  },
  // Histograms are read as of the last flush.
  stats_flush_interval: '1s',
  // Most clusters never carry traffic; their counters are made when the first request comes.
  deferred_stat_options: { enable_deferred_creation_stats: true },
  overload_manager: {
    resource_monitors: [
      extension(
        'envoy.resource_monitors.global_downstream_max_connections',
        'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
        { max_active_downstream_connections: maxConnections },
      ),
    ],
  },
})
