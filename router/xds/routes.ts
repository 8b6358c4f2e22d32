// The routes of one ModelDeployment: a revision or a version that the request names, else the shares. Pure.
import { endpointsOf } from '../endpoints.ts'
import { protocols, type Endpoints, type LiveRevision, type Protocol, type Setting } from '../model.ts'
import { totalWeight, type Shares } from '../shares.ts'
import { shadowHeader } from './cluster.ts'
import { duration, type Message } from './json.ts'
import { clusterName, namedStatistics } from './names.ts'

/** Names a revision, for testers; the runtime says in the same header of its answer which one it is. */
export const revisionHeader = 'x-slipway-revision'
/** Answered by the router itself with the version of the routes that are applied. */
export const probePath = '/.well-known/slipway.dev/routes'

/** A stream on which nothing moves ends after this, or after the timeout where that is longer. */
const idleMs = 300_000

/** @param probe what the probe answers: the version of these routes */
export const routeConfiguration = (setting: Setting, shares: Shares, endpoints: Endpoints, probe: string): Message => ({
  '@type': 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  name: setting.name,
  // A route to a cluster that does not exist answers 503; refused as a whole, the routes before it stay.
  validate_clusters: true,
  virtual_hosts: [
    {
      name: setting.name,
      // A listener has one model, so the host never matters.
      domains: ['*'],
      request_headers_to_remove: [shadowHeader],
      retry_policy: retryPolicy,
      routes: [
        { match: { path: probePath }, direct_response: { status: 200, body: { inline_string: probe } } },
        ...routesOf(setting, shares, liveRevisions(setting, endpoints)),
      ],
    },
  ],
})

/**
 * Only what has not reached the model is sent again, and never to the same pod. Retries of 5xx or resets would run an
 * inference twice and hide a candidate's errors.
 */
const retryPolicy: Message = {
  retry_on: 'connect-failure,refused-stream,reset-before-request',
  num_retries: 3,
  host_selection_retry_max_attempts: 10,
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
      },
    },
  ],
}

/** Those that can be asked for by name: stable, whoever has a share, and whoever has a ready pod. */
const liveRevisions = (setting: Setting, endpoints: Endpoints): LiveRevision[] => {
  const live = setting.revisions.filter(
    ({ name, weight }) => name === setting.stable || weight > 0 || endpointsOf(endpoints, name).ready > 0,
  )
  return live.toSorted((a, b) => Number(b.name === setting.stable) - Number(a.name === setting.stable) || byName(a, b))
}

const byName = (a: LiveRevision, b: LiveRevision): number => (a.name < b.name ? -1 : 1)

const routesOf = (setting: Setting, shares: Shares, live: readonly LiveRevision[]): Message[] => [
  ...live.flatMap(({ name }) => send(setting, headerIs(name), only(name), namedStatistics(name))),
  answer(404, { prefix: '/', headers: [{ name: revisionHeader, present_match: true }] }, notLive('revision', live)),
  ...versionRoutes(setting, shares, live),
  ...shareRoutes(setting, shares),
]

const headerIs = (revision: string): Message => ({
  prefix: '/',
  headers: [{ name: revisionHeader, string_match: { exact: revision } }],
})

/** `/v2/models/<model>/versions/<version>…`. HTTP only: a gRPC request names its version inside, for the runtime. */
const versionRoutes = (setting: Setting, shares: Shares, live: readonly LiveRevision[]): Message[] => {
  const path = `/v2/models/${setting.model}/versions`
  const versions = [...new Set(live.flatMap(({ version }) => version ?? []))]
  return [
    ...versions.map((version) => {
      const named = live.filter((revision) => revision.version === version).map(({ name }) => name)
      return route(setting, { path_separated_prefix: `${path}/${version}` }, 'http', ...ofVersion(named, shares))
    }),
    answer(404, { path_separated_prefix: path }, notLive(`version of model ${setting.model}`, live)),
  ]
}

/** Revisions may share a version: where they are all that is in use the shares hold, else the first (stable) answers. */
const ofVersion = (revisions: readonly string[], shares: Shares): [ReadonlyMap<string, number>, string?] => {
  const weights = new Map(revisions.map((name) => [name, shares.weights.get(name) ?? 0]))
  const [first = ''] = revisions
  return revisions.length > 1 && sumOf(weights) === totalWeight ? [weights] : [only(first), namedStatistics(first)]
}

const shareRoutes = (setting: Setting, { weights }: Shares): Message[] =>
  sumOf(weights) === 0
    ? [answer(503, { prefix: '/' }, `no revision of ${setting.name} is ready to answer`)]
    : send(setting, { prefix: '/' }, weights)

/** Routes for both protocols; gRPC first, because its match is the narrower one. */
const send = (setting: Setting, match: Message, weights: ReadonlyMap<string, number>, statistics?: string): Message[] =>
  protocols.toReversed().map((protocol) => route(setting, match, protocol, weights, statistics))

const route = (
  { name, stable, timeoutMs, stickyHeader }: Setting,
  match: Message,
  protocol: Protocol,
  weights: ReadonlyMap<string, number>,
  statistics?: string,
): Message => ({
  ...(statistics !== undefined && { stat_prefix: statistics }),
  match: protocol === 'grpc' ? { ...match, grpc: {} } : match,
  route: {
    weighted_clusters: {
      clusters: inOrder(weights, stable).map(([revision, weight]) => ({
        name: clusterName(name, revision, protocol),
        weight,
      })),
      ...(stickyHeader !== undefined && { use_hash_policy: true }),
    },
    ...(stickyHeader !== undefined && { hash_policy: [{ header: { header_name: stickyHeader } }] }),
    timeout: duration(timeoutMs),
    idle_timeout: duration(Math.max(idleMs, timeoutMs)),
  },
})

/** Stable last: a hash below the canary's weight is the canary's, so its members stay as it grows. */
const inOrder = (weights: ReadonlyMap<string, number>, stable: string | undefined): [string, number][] =>
  [...weights]
    .filter(([, weight]) => weight > 0)
    .toSorted(([a], [b]) => Number(a === stable) - Number(b === stable) || (a < b ? -1 : 1))

const only = (revision: string): ReadonlyMap<string, number> => new Map([[revision, totalWeight]])

const sumOf = (weights: ReadonlyMap<string, number>): number => [...weights.values()].reduce((a, b) => a + b, 0)

/** A sentence; the listener puts it into the protocol's error object. */
const answer = (status: number, match: Message, sentence: string): Message => ({
  match,
  direct_response: { status, body: { inline_string: sentence } },
})

const notLive = (what: string, live: readonly LiveRevision[]): string => {
  const named = live.map(({ name, version }) => (version === undefined ? name : `${version} (${name})`))
  return `no such ${what} is live; live now: ${named.join(', ') || 'none'}`
}
