// What Envoy's statistics mean for us. Pure: text in, figures out.
import type { LatencyBin, RevisionTraffic } from '../../operator/api/routerstate.ts'

/** Statistics as `/stats?format=json` gives them: numbers, texts, and one entry with all histograms. */
interface StatsBody {
  readonly stats: readonly StatsEntry[]
}

interface StatsEntry {
  readonly name?: string
  readonly value?: number | string
  readonly histograms?: { readonly details?: readonly Histogram[] }
}

interface Histogram {
  readonly name: string
  /** Non-empty bins since the start of Envoy. */
  readonly totals?: readonly { readonly lower_bound: number; readonly width: number; readonly count: number }[]
}

/** What says which clusters do not serve yet. */
export const warmingFilter = '^cluster\\.[^.]+/[^.]+\\.warming_state$'

/** Names of the clusters that wait for their pods, or for the first answer of those to a look at their health. */
export const readWarming = (body: string): ReadonlySet<string> =>
  new Set(
    (JSON.parse(body) as StatsBody).stats.flatMap(({ name = '', value = 0 }) =>
      // No name of a cluster has a dot in it.
      Number(value) > 0 ? [name.split('.')[1] ?? ''] : [],
    ),
  )

/** The counters and histograms of users' requests. Twins with `external` or `internal` in the name are left out. */
export const trafficFilter =
  '^cluster\\.[^.]+\\.(upstream_rq_(completed|[2345]xx|timeout|retry|pending_overflow|rx_reset|time)' +
  '|upstream_cx_(connect_fail|destroy_remote_with_active_rq)|outlier_detection\\.ejections_enforced_total' +
  '|grpc\\.(success|failure))$' +
  '|^vhost\\.[^.]+\\.route\\.named/[^.]+\\.upstream_rq_completed$'

/** The filter of connections that clients have open on the listeners of models. */
export const connectionsFilter = '^http\\.model/.+\\.downstream_cx_active$'

export const sumOf = (body: string): number =>
  (JSON.parse(body) as StatsBody).stats.reduce((sum, { value = 0 }) => sum + Number(value), 0)

/** By cluster, or by statistics of routes: what was counted since the start of Envoy; 0 is not there. */
export type Traffic = ReadonlyMap<string, ClusterTraffic>

export interface ClusterTraffic {
  readonly counters: Readonly<Record<string, number>>
  readonly latency: readonly LatencyBin[]
}

export const readTraffic = (body: string): Traffic => {
  const clusters = new Map<string, { counters: Record<string, number>; latency: LatencyBin[] }>()
  const at = (name: string): [{ counters: Record<string, number>; latency: LatencyBin[] }, string] => {
    const [, cluster = '', ...rest] = name.replace(/^vhost\.[^.]+\.route/, 'route').split('.')
    const known = clusters.get(cluster) ?? { counters: {}, latency: [] }
    clusters.set(cluster, known)
    return [known, rest.join('.')]
  }
  for (const { name, value, histograms } of (JSON.parse(body) as StatsBody).stats) {
    if (name !== undefined) {
      const [cluster, counter] = at(name)
      cluster.counters[counter] = Number(value)
    }
    for (const histogram of histograms?.details ?? []) {
      const [cluster] = at(histogram.name)
      for (const { lower_bound: fromMs, width, count } of histogram.totals ?? []) {
        // Envoy counts whole milliseconds; the bin of zero has no width of its own.
        cluster.latency.push({ fromMs, toMs: fromMs + (width || 1), count })
      }
    }
  }
  return clusters
}

/** The figures of one revision, its clusters together. */
export const figuresOf = (
  clusters: readonly (ClusterTraffic | undefined)[],
): Omit<RevisionTraffic, 'revision' | 'weight' | 'readyEndpoints'> => {
  const sum = (...counters: string[]): number =>
    clusters.reduce((total, cluster) => counters.reduce((part, c) => part + (cluster?.counters[c] ?? 0), total), 0)
  return {
    requests: {
      completed: sum('upstream_rq_completed'),
      s2xx: sum('upstream_rq_2xx'),
      s3xx: sum('upstream_rq_3xx'),
      s4xx: sum('upstream_rq_4xx'),
      s5xx: sum('upstream_rq_5xx'),
      timeouts: sum('upstream_rq_timeout'),
      connectFailures: sum('upstream_cx_connect_fail'),
      // HTTP/2 counts the stream, HTTP/1.1 the connection that went with a request on it.
      resets: sum('upstream_rq_rx_reset', 'upstream_cx_destroy_remote_with_active_rq'),
      overflows: sum('upstream_rq_pending_overflow'),
    },
    grpc: { success: sum('grpc.success'), failure: sum('grpc.failure') },
    retries: sum('upstream_rq_retry'),
    ejections: sum('outlier_detection.ejections_enforced_total'),
    latency: merged(clusters.flatMap((cluster) => cluster?.latency ?? [])),
  }
}

const merged = (bins: readonly LatencyBin[]): LatencyBin[] => {
  const byBounds = new Map<string, LatencyBin>()
  for (const bin of bins) {
    const key = `${bin.fromMs} ${bin.toMs}`
    byBounds.set(key, { ...bin, count: bin.count + (byBounds.get(key)?.count ?? 0) })
  }
  return [...byBounds.values()].toSorted((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs)
}
