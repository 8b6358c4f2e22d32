// From a ModelDeployment to what its traffic is to be, and whether that may follow what was applied before. Pure.
import { parseDuration } from '../operator/api/duration.ts'
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { listenerPorts } from '../operator/api/routerstate.ts'
import type { LiveRevision, Setting } from './model.ts'
import { totalWeight } from './shares.ts'

/** What was read. A problem is a sentence that names the field and what was found; such a setting is not applied. */
export interface Reading {
  readonly setting: Setting
  readonly problem?: string
}

const defaultTimeout = '60s'
/** Names of revisions become names of files. @see RFC 1123 */
const isLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** The setting of one object; undefined when it asks for no listener, because it has no port on the routers. */
export const readSetting = ({ metadata, spec, status }: ModelDeployment): Reading | undefined => {
  const { traffic, stable, candidate, previous } = status ?? {}
  if (traffic?.port === undefined) return undefined
  const { name } = metadata
  const uid = metadata.uid ?? ''
  const asked = new Map(traffic.weights.map(({ revision, weight }) => [revision, weight]))
  const versions = new Map(
    [previous, candidate, stable].flatMap((pointer) => (pointer ? [[pointer.revision, pointer.version] as const] : [])),
  )
  const revisions = [...new Set([...asked.keys(), ...versions.keys()])].map((revision): LiveRevision => {
    const version = versions.get(revision)
    return { name: revision, weight: asked.get(revision) ?? 0, ...(version !== undefined && { version }) }
  })
  const mirror = traffic.mirror?.perMille === 0 ? undefined : traffic.mirror
  const setting: Setting = {
    name,
    uid,
    model: spec.model.name ?? name,
    port: traffic.port,
    epoch: traffic.epoch,
    timeoutMs: parseDuration(spec.traffic.timeout ?? defaultTimeout),
    revisions,
    ...(spec.traffic.sticky !== undefined && { stickyHeader: spec.traffic.sticky.header.toLowerCase() }),
    ...(stable !== undefined && { stable: stable.revision }),
    ...(mirror !== undefined && { mirror }),
  }
  const problem = problemOf(setting)
  return { setting, ...(problem !== undefined && { problem }) }
}

/** The shares that nobody asked for are not guessed. */
const problemOf = ({ port, revisions, stable, mirror }: Setting): string | undefined => {
  const sum = revisions.reduce((total, { weight }) => total + weight, 0)
  const misnamed = [...revisions.map(({ name }) => name), mirror?.revision ?? ''].find(
    (n) => n !== '' && !isLabel.test(n),
  )
  if (port < listenerPorts.first || port > listenerPorts.last) {
    return `status.traffic.port is ${port}; listeners stand at ${listenerPorts.first} to ${listenerPorts.last}`
  }
  if (sum !== totalWeight && sum !== 0) {
    return `status.traffic.weights add up to ${sum}; they have to be ${totalWeight} thousandths in all, or none`
  }
  if (misnamed !== undefined) return `status names a revision "${misnamed}", which cannot be the name of an object`
  if (mirror === undefined) return undefined
  if (stable === undefined) return "status.traffic.mirror copies stable's requests, but status.stable is not set"
  if (mirror.revision === stable) return `status.traffic.mirror copies the requests of ${stable} to itself`
  return undefined
}

/**
 * Why a setting may not follow the one that was applied, or undefined. Envoy applies any version, so an old status,
 * replayed by a stale cache or a restored backup, is stopped here. An object made again under its name starts anew.
 */
export const refusal = (wanted: Setting, applied: Setting | undefined): string | undefined =>
  applied !== undefined && applied.uid === wanted.uid && wanted.epoch < applied.epoch
    ? `status.traffic.epoch is ${wanted.epoch}, lower than ${applied.epoch}, which is applied; an epoch only rises`
    : undefined

/** Each reading, with a problem where another object has its port: who has it already keeps it, else the first by name. */
export const withoutCollisions = (readings: readonly Reading[], applied: ReadonlyMap<string, Setting>): Reading[] => {
  const has = ({ uid, port }: Setting): boolean => applied.get(uid)?.port === port
  const sound = readings.filter(({ problem }) => problem === undefined).map(({ setting }) => setting)
  const order = sound.toSorted((a, b) => Number(has(b)) - Number(has(a)) || (a.name < b.name ? -1 : 1))
  const owners = new Map<number, Setting>()
  for (const setting of order) if (!owners.has(setting.port)) owners.set(setting.port, setting)
  return readings.map((reading) => {
    const owner = owners.get(reading.setting.port)
    return reading.problem !== undefined || owner === undefined || owner.uid === reading.setting.uid
      ? reading
      : { ...reading, problem: `status.traffic.port ${owner.port} is ${owner.name}'s on this router` }
  })
}

/** What is asked of one object, and what is served of it. */
export interface Decision {
  readonly asked: Setting
  /** The setting that is asked for, or the one that was applied before where that is refused. */
  readonly serve?: Setting
  readonly problem?: string
}

/** @param applied by uid: what Envoy has applied */
export const decide = (
  deployments: Iterable<ModelDeployment>,
  applied: ReadonlyMap<string, Setting>,
): readonly Decision[] => {
  const readings = [...deployments].flatMap((deployment) => readSetting(deployment) ?? [])
  const decisions = withoutCollisions(readings, applied).map(({ setting: asked, problem }): Decision => {
    const before = applied.get(asked.uid)
    const refused = problem ?? refusal(asked, before)
    if (refused === undefined) return { asked, serve: asked }
    return { asked, problem: refused, ...(before !== undefined && { serve: before }) }
  })
  return decisions.toSorted((a, b) => (a.asked.name < b.asked.name ? -1 : 1))
}
