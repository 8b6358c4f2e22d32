// What to write next so that Envoy comes closer to what is wanted, and never passes through a state in which a request
// finds a route without its cluster. Pure, and asked again after each step: nothing waits, so a change for one model is
// never held up by another's.
import type { RenderedModel, Resource } from '../xds/render.ts'
import { contentHash, type XdsFile } from '../xds/json.ts'
import { clustersFile, endpointsFile, listenersFile, routesFile } from '../xds/names.ts'

/** The files that Envoy reads, as they are now. */
export interface Disk {
  readonly files: ReadonlyMap<string, XdsFile>
  readonly clusters: ReadonlyMap<string, Resource>
  readonly listeners: ReadonlyMap<string, Resource>
}

/** What is known of Envoy; learn.ts finds it out. */
export interface Known {
  /** By path: the version that it has applied. */
  readonly versions: ReadonlyMap<string, string>
  readonly warming: number
  /** Clusters that serve, each with the hash of what Envoy has of it. */
  readonly active: ReadonlyMap<string, string>
  /** By path or resource: what it refused, and why. */
  readonly refused: ReadonlyMap<string, Refusal>
  /** Resources that wait while it is found out which of several was refused. */
  readonly held: ReadonlySet<string>
  /** By path, the last that it took. */
  readonly good: ReadonlyMap<string, XdsFile>
  readonly goodClusters: ReadonlyMap<string, Resource>
  readonly goodListeners: ReadonlyMap<string, Resource>
  /** Files to be written again, because nobody knows what Envoy made of them. */
  readonly again: ReadonlySet<string>
}

export interface Refusal {
  /** The version of a file, or the hash of a resource. */
  readonly what: string
  readonly why: string
}

export type Change =
  | { readonly do: 'write'; readonly path: string; readonly file: XdsFile }
  | { readonly do: 'writeClusters' | 'writeListeners'; readonly resources: ReadonlyMap<string, Resource> }
  | { readonly do: 'remove'; readonly path: string }

export interface Plan {
  /** In this order. Empty when there is nothing to do, or nothing before Envoy has answered. */
  readonly changes: readonly Change[]
  /** Envoy has everything that is wanted, but for what it refuses. */
  readonly settled: boolean
}

export const clusterKey = (name: string): string => `cluster ${name}`
export const listenerKey = (name: string): string => `listener ${name}`

export const plan = (wanted: readonly RenderedModel[], disk: Disk, known: Known): Plan => {
  const changes: Change[] = []
  const write = (path: string, file: XdsFile): void => {
    if (disk.files.get(path)?.version !== file.version || known.again.has(path))
      changes.push({ do: 'write', path, file })
  }

  // Endpoints first: a cluster whose file is missing is refused.
  for (const model of wanted) {
    const moved = hasItsRoutes(model, disk, known)
    for (const [cluster, file] of model.endpoints) {
      const path = endpointsFile(cluster)
      // An empty cluster answers 503. Its pods are taken out when its share is somewhere else, some milliseconds later.
      if (file.isEmpty && !moved && disk.files.has(path)) continue
      const taken = accepted(path, file, known)
      if (taken !== undefined) write(path, taken)
    }
  }

  const clusters = admitted(
    wanted.flatMap((m) => m.clusters),
    clusterKey,
    known.goodClusters,
    known,
  )
  const listed = wanted.filter((model) => hasRoutes(model, disk, known))
  const listeners = admitted(
    listed.map((m) => m.listener),
    listenerKey,
    known.goodListeners,
    known,
  )

  // What hangs on something that was refused is not waited for: its model's problem says so.
  const blocked = wanted.filter((model) => isBlocked(model, known))
  const hopeless = new Set(blocked.flatMap(filesOf))

  // Routes as soon as every cluster that they may name serves, in the form that this epoch asks for.
  const routesToWrite = wanted.flatMap((model) => {
    const path = routesFile(model.setting.name)
    const file = accepted(path, model.routes, known)
    const pending = file !== undefined && (disk.files.get(path)?.version !== file.version || known.again.has(path))
    return pending && !blocked.includes(model)
      ? [{ path, file, ready: model.clusters.every((c) => isActive(c, known)) }]
      : []
  })
  const routesSettled =
    routesToWrite.length === 0 &&
    wanted.every((model) => blocked.includes(model) || isApplied(routesFile(model.setting.name), disk, known)) &&
    same(listeners, disk.listeners) &&
    isApplied(listenersFile, disk, known)

  // Clusters that go stay until nothing points at them any more.
  const used = admitted([...disk.clusters.values()], clusterKey, known.goodClusters, known)
  const target = routesSettled ? clusters : new Map([...used, ...clusters])
  if (!same(target, disk.clusters) || known.again.has(clustersFile)) {
    changes.push({ do: 'writeClusters', resources: target })
  }
  for (const { path, file, ready } of routesToWrite) if (ready) changes.push({ do: 'write', path, file })
  for (const { setting, routes } of wanted) {
    const path = routesFile(setting.name)
    // Refused, and there never was a better one: without the file there is no listener, and nobody waits for it.
    if (disk.files.has(path) && accepted(path, routes, known) === undefined) changes.push({ do: 'remove', path })
  }
  if (!same(listeners, disk.listeners) || known.again.has(listenersFile)) {
    changes.push({ do: 'writeListeners', resources: listeners })
  }

  const applied =
    [...disk.files.keys()].every((path) => hopeless.has(path) || isApplied(path, disk, known)) && known.warming === 0
  const settled = changes.length === 0 && routesToWrite.length === 0 && applied && known.held.size === 0
  if (changes.length === 0 && routesSettled && isApplied(clustersFile, disk, known)) {
    changes.push(...leftovers(wanted, disk))
  }
  return { changes, settled: settled && changes.length === 0 }
}

/** The file itself, or the last good one where Envoy has refused this very version. */
const accepted = (path: string, file: XdsFile, { refused, good }: Known): XdsFile | undefined =>
  refused.get(path)?.what === file.version ? good.get(path) : file

/** The same for resources that share a file; what was refused or is held stays as it was, or stays away. */
const admitted = (
  resources: readonly Resource[],
  key: (name: string) => string,
  good: ReadonlyMap<string, Resource>,
  { refused, held }: Known,
): ReadonlyMap<string, Resource> =>
  new Map(
    resources.flatMap((resource) => {
      const { name, message } = resource
      const isRefused = refused.get(key(name))?.what === contentHash(message)
      const taken = isRefused || held.has(key(name)) ? good.get(name) : resource
      return taken === undefined ? [] : [[name, taken] as const]
    }),
  )

/** A listener without its routes would answer nothing, and Envoy would still say that it is ready. */
const hasRoutes = ({ setting, routes, clusters }: RenderedModel, disk: Disk, known: Known): boolean => {
  const path = routesFile(setting.name)
  if (accepted(path, routes, known) === undefined) return false
  return disk.files.has(path) || clusters.every((cluster) => isActive(cluster, known))
}

const hasItsRoutes = ({ setting, routes }: RenderedModel, disk: Disk, known: Known): boolean => {
  const path = routesFile(setting.name)
  return isApplied(path, disk, known) && disk.files.get(path)?.version === accepted(path, routes, known)?.version
}

const isActive = ({ name, message }: Resource, { active }: Known): boolean => active.get(name) === contentHash(message)

/** A version that was refused is as good as applied: there is nothing to wait for. */
const isApplied = (path: string, disk: Disk, { versions, refused, again }: Known): boolean => {
  const version = disk.files.get(path)?.version
  return (versions.get(path) === version || refused.get(path)?.what === version) && !again.has(path)
}

const same = (a: ReadonlyMap<string, Resource>, b: ReadonlyMap<string, Resource>): boolean =>
  a.size === b.size && [...a].every(([name, resource]) => hashOf(b.get(name)) === contentHash(resource.message))

const hashOf = (resource: Resource | undefined): string | undefined => resource && contentHash(resource.message)

/** A cluster of it was refused, or its listener, and there is no listener of before. */
const isBlocked = ({ clusters, listener }: RenderedModel, { refused, goodListeners }: Known): boolean => {
  const isRefused = (key: string, { message }: Resource): boolean => refused.get(key)?.what === contentHash(message)
  return (
    clusters.some((cluster) => isRefused(clusterKey(cluster.name), cluster)) ||
    (isRefused(listenerKey(listener.name), listener) && !goodListeners.has(listener.name))
  )
}

const filesOf = ({ setting, endpoints }: RenderedModel): string[] => [
  routesFile(setting.name),
  ...[...endpoints.keys()].map(endpointsFile),
]

const leftovers = (wanted: readonly RenderedModel[], disk: Disk): Change[] => {
  const used = new Set([clustersFile, listenersFile, ...wanted.flatMap(filesOf)])
  return [...disk.files.keys()].filter((path) => !used.has(path)).map((path) => ({ do: 'remove', path }))
}
