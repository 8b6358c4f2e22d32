// What Envoy's statistics say about what was written: applied, refused, or not looked at yet. Envoy answers a file only
// there; and what it refuses it may have applied in part, so then the last good one is written again. Pure.
import type { Resource } from '../xds/render.ts'
import { contentHash, type XdsFile } from '../xds/json.ts'
import { clustersFile, listenersFile } from '../xds/names.ts'
import { clusterKey, listenerKey, type Disk, type Known, type Refusal } from './plan.ts'

/** One look at Envoy. */
export interface Seen {
  /** New with each start of Envoy. */
  readonly bootId: string
  /** By path: the version that is applied. */
  readonly versions: ReadonlyMap<string, string>
  /** By path: how often an update was refused since the start. */
  readonly refusals: ReadonlyMap<string, number>
  /** Clusters and listeners that are not serving yet. */
  readonly warming: number
}

/** What is known, and what it takes to know more after the next look. */
export interface Memory extends Known {
  readonly bootId: string | undefined
  /** By path: the version written in this boot, and how many refusals there were before. */
  readonly attempts: ReadonlyMap<string, { readonly version: string; readonly refusalsBefore: number }>
  readonly refusals: ReadonlyMap<string, number>
}

export const nothingKnown: Memory = {
  bootId: undefined,
  versions: new Map(),
  warming: 0,
  active: new Map(),
  refused: new Map(),
  held: new Set(),
  good: new Map(),
  goodClusters: new Map(),
  goodListeners: new Map(),
  again: new Set(),
  attempts: new Map(),
  refusals: new Map(),
}

/** The paths whose last version Envoy has refused since it was written. */
export const refusedSince = (memory: Memory, disk: Disk, seen: Seen): string[] =>
  seen.bootId === memory.bootId
    ? [...disk.files].flatMap(([path, { version }]) => {
        const attempt = memory.attempts.get(path)
        const isNew = attempt?.version === version && memory.refused.get(path)?.what !== version
        const refused = (seen.refusals.get(path) ?? 0) > (attempt?.refusalsBefore ?? 0)
        return isNew && refused && seen.versions.get(path) !== version ? [path] : []
      })
    : []

/** @param why what Envoy's log says last about a refusal */
export const learn = (before: Memory, disk: Disk, seen: Seen, why: string): Memory => {
  // Another Envoy has read the files by itself and refused nothing yet: what is not applied is written again.
  const memory = seen.bootId === before.bootId ? before : forget(before, seen)
  const applied = [...disk.files].filter(([path, { version }]) => seen.versions.get(path) === version)
  const good = new Map([...memory.good, ...applied])
  let next: Memory = {
    ...memory,
    versions: seen.versions,
    refusals: seen.refusals,
    warming: seen.warming,
    good,
    again: new Set([...disk.files.keys()].filter((path) => isUnanswered(path, memory, disk, seen))),
  }
  if (applied.some(([path]) => path === clustersFile)) {
    next = { ...next, goodClusters: disk.clusters, ...(seen.warming === 0 && { active: hashes(disk.clusters) }) }
    next = release(next, clusterKey(''))
  }
  if (applied.some(([path]) => path === listenersFile)) {
    next = release({ ...next, goodListeners: disk.listeners }, listenerKey(''))
  }
  for (const path of refusedSince(memory, disk, seen)) next = blame(next, path, disk, why)
  return next
}

/** After a file was written: what Envoy says about it from now on is about this version. */
export const wrote = (memory: Memory, path: string, { version }: XdsFile): Memory => ({
  ...memory,
  attempts: new Map([...memory.attempts, [path, { version, refusalsBefore: memory.refusals.get(path) ?? 0 }]]),
})

/** A cluster that is written anew after it was left out once serves again only when Envoy says so. */
export const wroteClusters = (memory: Memory, clusters: ReadonlyMap<string, Resource>): Memory => ({
  ...memory,
  active: new Map([...memory.active].filter(([name]) => clusters.has(name))),
})

const forget = (memory: Memory, { bootId }: Seen): Memory => ({
  ...nothingKnown,
  good: memory.good,
  goodClusters: memory.goodClusters,
  goodListeners: memory.goodListeners,
  bootId,
})

/** Nobody has written this version in this boot, and Envoy does not have it: another agent did, or another boot began. */
const isUnanswered = (path: string, memory: Memory, disk: Disk, seen: Seen): boolean => {
  const version = disk.files.get(path)?.version
  return seen.versions.get(path) !== version && memory.attempts.get(path)?.version !== version
}

const hashes = (resources: ReadonlyMap<string, Resource>): ReadonlyMap<string, string> =>
  new Map([...resources].map(([name, { message }]) => [name, contentHash(message)]))

/** Several resources changed and one of them is bad: they are let in one by one. */
const release = (memory: Memory, kind: string): Memory => {
  const next = [...memory.held].find((key) => key.startsWith(kind))
  if (next === undefined) return memory
  return { ...memory, held: new Set([...memory.held].filter((key) => key !== next)) }
}

const blame = (memory: Memory, path: string, disk: Disk, why: string): Memory => {
  if (path === clustersFile) return blameResources(memory, clusterKey, disk.clusters, memory.goodClusters, why)
  if (path === listenersFile) return blameResources(memory, listenerKey, disk.listeners, memory.goodListeners, why)
  return withRefusal(memory, path, { what: disk.files.get(path)?.version ?? '', why })
}

const blameResources = (
  memory: Memory,
  key: (name: string) => string,
  now: ReadonlyMap<string, Resource>,
  good: ReadonlyMap<string, Resource>,
  why: string,
): Memory => {
  const goodHashes = hashes(good)
  const [first, ...others] = [...hashes(now)].filter(([name, hash]) => goodHashes.get(name) !== hash)
  if (first === undefined) return memory
  const [name, hash] = first
  if (others.length === 0) return release(withRefusal(memory, key(name), { what: hash, why }), key(''))
  return { ...memory, held: new Set([...memory.held, ...others.map(([other]) => key(other))]) }
}

const withRefusal = (memory: Memory, key: string, refusal: Refusal): Memory => ({
  ...memory,
  refused: new Map([...memory.refused, [key, refusal]]),
})
