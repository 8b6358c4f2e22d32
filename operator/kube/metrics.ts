// The metrics of this folder, one set per registry, under client-go's names where client-go has one.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

const build = (registry: Registry) => {
  const registers = [registry]
  return {
    requests: new Counter({
      name: 'rest_client_requests_total',
      help: 'Requests to the API server, by status code, method and host; code is <error> where no answer came.',
      labelNames: ['code', 'method', 'host'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'rest_client_request_duration_seconds',
      help: 'Time from sending a request to the first byte of its answer, by verb and host.',
      labelNames: ['verb', 'host'],
      buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
      registers,
    }),
    retries: new Counter({
      name: 'rest_client_request_retries_total',
      help: 'Requests that were sent again, by the code that the try before was answered with, verb and host.',
      labelNames: ['code', 'verb', 'host'],
      registers,
    }),
    fencedWrites: new Counter({
      name: 'rest_client_fenced_writes_total',
      help: 'Writes that were refused because the lease was not renewed in time.',
      registers,
    }),
    lists: new Counter({
      name: 'reflector_lists_total',
      help: 'Full lists that reached the cache, the first one included, by resource.',
      labelNames: ['resource'],
      registers,
    }),
    watchRestarts: new Counter({
      name: 'reflector_watch_restarts_total',
      help: 'Lists and watches that ended, by resource and reason.',
      labelNames: ['resource', 'reason'],
      registers,
    }),
    lastEventAge: new Gauge({
      name: 'reflector_last_event_age_seconds',
      help: 'Time since the API server last sent anything, bookmarks and the opening of a watch included, by resource and namespace scope.',
      labelNames: ['resource', 'scope'],
      registers,
    }),
    cachedObjects: new Gauge({
      name: 'reflector_cached_objects',
      help: 'Objects in the cache, by resource and namespace scope.',
      labelNames: ['resource', 'scope'],
      registers,
    }),
    leader: new Gauge({
      name: 'leader_election_master_status',
      help: '1 while this process holds the lease.',
      labelNames: ['name'],
      registers,
    }),
    leaseTransitions: new Counter({
      name: 'leader_election_transitions_total',
      help: 'How often this process took or lost the lease.',
      labelNames: ['name', 'to'],
      registers,
    }),
    events: new Counter({
      name: 'event_recorder_events_total',
      help: 'Kubernetes Events, by what became of them: created, counted, limited, dropped, failed.',
      labelNames: ['result'],
      registers,
    }),
  }
}

export type KubeMetrics = ReturnType<typeof build>

const sets = new WeakMap<Registry, KubeMetrics>()

/** The metrics of a registry, made on first use: several clients and reflectors share them. */
export const kubeMetrics = (registry: Registry): KubeMetrics => {
  const existing = sets.get(registry)
  if (existing !== undefined) return existing
  const made = build(registry)
  sets.set(registry, made)
  return made
}
