// From settings and endpoints to everything that Envoy is to be told. Pure: the same input gives the same bytes.
import { endpointsOf } from '../endpoints.ts'
import { protocols, type Endpoints, type Protocol, type Setting } from '../model.ts'
import { sharesOf, type Shares } from '../shares.ts'
import type { Kind } from '../stream/discovery.ts'
import { loadAssignment, revisionCluster, shadowCluster, type Mirror } from './cluster.ts'
import { any, contentHash, type Message } from './json.ts'
import { listener } from './listener.ts'
import { clusterName, routesVersion, shadowName } from './names.ts'
import { routeConfiguration } from './routes.ts'

export interface RenderOptions {
  /** Where listeners stand: `::` or `0.0.0.0`. */
  readonly listenAddress: string
}

/** One thing that Envoy is told, and acknowledges or refuses, by itself. */
export interface Resource {
  readonly kind: Kind
  /** Unique in its kind. */
  readonly name: string
  /** Of its content; routes' say the epoch as well. */
  readonly version: string
  readonly message: Message
}

/** Where the pods of one cluster are; it has the cluster's name. */
export interface EndpointsResource extends Resource {
  readonly isEmpty: boolean
}

/** One ModelDeployment as Envoy is to serve it. */
export interface RenderedModel {
  readonly setting: Setting
  readonly shares: Shares
  readonly clusters: readonly Resource[]
  /** One for each cluster. */
  readonly endpoints: readonly EndpointsResource[]
  readonly routes: Resource
  readonly listener: Resource
}

/** Everything that Envoy is to be told about one ModelDeployment. */
export const renderModel = (
  setting: Setting,
  endpoints: Endpoints,
  { listenAddress }: RenderOptions,
): RenderedModel => {
  const { name, stable, mirror, revisions } = setting
  const clusters: Resource[] = []
  const assignments: EndpointsResource[] = []
  const add = (cluster: string, protocol: Protocol, revision: string, message: Message): void => {
    clusters.push(resource('cluster', cluster, any('envoy.config.cluster.v3.Cluster', message)))
    const pods = endpointsOf(endpoints, revision)[protocol]
    const assignment = resource('endpoints', cluster, loadAssignment(cluster, pods))
    assignments.push({ ...assignment, isEmpty: pods.length === 0 })
  }
  for (const protocol of protocols) {
    for (const { name: revision } of revisions) {
      const cluster = clusterName(name, revision, protocol)
      const copies = revision === stable ? mirrorOf(setting, protocol) : undefined
      add(cluster, protocol, revision, revisionCluster(cluster, protocol, copies))
    }
    if (mirror === undefined) continue
    const cluster = shadowName(name, mirror.revision, protocol)
    add(cluster, protocol, mirror.revision, shadowCluster(cluster, protocol))
  }
  const shares = sharesOf(setting, endpoints)
  return {
    setting,
    shares,
    clusters,
    endpoints: assignments,
    routes: renderRoutes(setting, shares, endpoints),
    listener: resource('listener', name, listener(setting, listenAddress)),
  }
}

const resource = (kind: Kind, name: string, message: Message): Resource => ({
  kind,
  name,
  version: contentHash(message),
  message,
})

const mirrorOf = ({ name, mirror }: Setting, protocol: Protocol): Mirror | undefined =>
  mirror && { cluster: shadowName(name, mirror.revision, protocol), perMille: mirror.perMille }

/** The probe answers with the version, so the version is that of the routes without it. */
const renderRoutes = (setting: Setting, shares: Shares, endpoints: Endpoints): Resource => {
  const configuration = (probe: string): Message => routeConfiguration(setting, shares, endpoints, probe)
  const version = routesVersion(setting.epoch, setting.uid, contentHash(configuration('')))
  return { kind: 'routes', name: setting.name, version, message: configuration(version) }
}
