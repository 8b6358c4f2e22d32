// From settings and endpoints to everything that Envoy is to be told. Pure: the same input gives the same bytes.
import { endpointsOf } from '../endpoints.ts'
import { protocols, type Endpoints, type Protocol, type Setting } from '../model.ts'
import { sharesOf, type Shares } from '../shares.ts'
import { loadAssignment, revisionCluster, shadowCluster, type Mirror } from './cluster.ts'
import { any, contentHash, xdsFile, type Message, type XdsFile } from './json.ts'
import { listener } from './listener.ts'
import { clusterName, endpointsFile, routesFile, routesVersion, shadowName } from './names.ts'
import { routeConfiguration } from './routes.ts'

export interface RenderOptions {
  /** The folder that Envoy and the agent share, as Envoy sees it. */
  readonly folder: string
  /** Where listeners stand: `::` or `0.0.0.0`. */
  readonly listenAddress: string
}

/** A resource that stands in a file with others of its kind: a cluster or a listener. */
export interface Resource {
  readonly name: string
  readonly message: Message
}

/** Where the pods of one cluster are. */
export interface EndpointsFile extends XdsFile {
  readonly isEmpty: boolean
}

/** One ModelDeployment as Envoy is to serve it. */
export interface RenderedModel {
  readonly setting: Setting
  readonly shares: Shares
  readonly clusters: readonly Resource[]
  /** By cluster. */
  readonly endpoints: ReadonlyMap<string, EndpointsFile>
  readonly routes: XdsFile
  readonly listener: Resource
}

/** Everything that Envoy is to be told about one ModelDeployment. */
export const renderModel = (setting: Setting, endpoints: Endpoints, options: RenderOptions): RenderedModel => {
  const { folder, listenAddress } = options
  const { name, stable, mirror, revisions } = setting
  const edsPath = (cluster: string): string => `${folder}/${endpointsFile(cluster)}`
  const clusters: Resource[] = []
  const assignments = new Map<string, EndpointsFile>()
  const add = (cluster: string, protocol: Protocol, revision: string, message: Message): void => {
    clusters.push({ name: cluster, message: any('envoy.config.cluster.v3.Cluster', message) })
    const pods = endpointsOf(endpoints, revision)[protocol]
    assignments.set(cluster, { ...xdsFile([loadAssignment(cluster, pods)]), isEmpty: pods.length === 0 })
  }
  for (const protocol of protocols) {
    for (const { name: revision } of revisions) {
      const cluster = clusterName(name, revision, protocol)
      const copies = revision === stable ? mirrorOf(setting, protocol) : undefined
      add(cluster, protocol, revision, revisionCluster(cluster, protocol, edsPath(cluster), copies))
    }
    if (mirror === undefined) continue
    const cluster = shadowName(name, mirror.revision, protocol)
    add(cluster, protocol, mirror.revision, shadowCluster(cluster, protocol, edsPath(cluster)))
  }
  const shares = sharesOf(setting, endpoints)
  return {
    setting,
    shares,
    clusters,
    endpoints: assignments,
    routes: renderRoutes(setting, shares, endpoints),
    listener: { name, message: listener(setting, listenAddress, `${folder}/${routesFile(name)}`) },
  }
}

/** A file of clusters or listeners, sorted by name. @param count tells writings of the same content apart */
export const resourcesFile = (resources: Iterable<Resource>, count: number): XdsFile => {
  const sorted = [...resources].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return xdsFile(
    sorted.map(({ message }) => message),
    (hash) => `${hash}-${count}`,
  )
}

const mirrorOf = ({ name, mirror }: Setting, protocol: Protocol): Mirror | undefined =>
  mirror && { cluster: shadowName(name, mirror.revision, protocol), perMille: mirror.perMille }

/** The probe answers with the version, so the version is that of the routes without it. */
const renderRoutes = (setting: Setting, shares: Shares, endpoints: Endpoints): XdsFile => {
  const configuration = (probe: string): Message => routeConfiguration(setting, shares, endpoints, probe)
  const version = routesVersion(setting.epoch, setting.uid, contentHash(configuration('')))
  return xdsFile([configuration(version)], () => version)
}
