// What to tell Envoy next so that it comes closer to what is wanted, and never passes through a state in which a request
// finds a route without its cluster. Pure, and asked again after each answer: nothing waits in here, so a change for one
// model is never held up by another's.
import type { RenderedModel, Resource } from '../xds/render.ts'
import type { Change, Known } from './known.ts'

export interface Plan {
  /** In this order. Empty when there is nothing to say, or nothing before Envoy has answered. */
  readonly changes: readonly Change[]
  /** Envoy has everything that is wanted, but for what it refuses. */
  readonly settled: boolean
}

export const plan = (wanted: readonly RenderedModel[], known: Known): Plan => {
  const changes = [...wanted.flatMap((model) => changesFor(model, known)), ...removals(wanted, known)]
  const settled = changes.length === 0 && !known.isAwaited && wanted.every((model) => isSettled(model, known))
  return { changes, settled }
}

/** Clusters, then their pods, then routes and the listener; each once what it rests on is there. */
const changesFor = (model: RenderedModel, known: Known): Change[] => {
  const { clusters, endpoints, routes, listener } = model
  const blocked = isBlocked(model, known)
  const serves = clusters.every((cluster) => known.isServing(cluster))
  const listens = known.upcoming('listener', listener.name) !== undefined
  const sent = [
    ...clusters.flatMap((cluster) => send(cluster, known)),
    ...endpoints.flatMap((pods) => send(podsNow(model, pods, known), known)),
    ...(serves && !blocked ? send(routes, known) : []),
  ]
  // A listener without routes would answer nothing. New ones ask for theirs, and listen when they have them.
  if (known.accepted(routes) === undefined) {
    return listens ? [...sent, { do: 'remove', kind: 'listener', name: listener.name }] : sent
  }
  return serves || listens ? [...sent, ...send(listener, known)] : sent
}

/** What Envoy does not have yet and can be told, in the form that it does not refuse. */
const send = (resource: Resource, known: Known): Change[] => {
  const taken = known.accepted(resource)
  if (taken === undefined || !known.isAskedFor(taken.kind, taken.name)) return []
  return known.upcoming(taken.kind, taken.name) === taken.version ? [] : [{ do: 'send', resource: taken }]
}

/**
 * An empty cluster answers 503. Its pods are taken out when its share is somewhere else, some milliseconds later.
 */
const podsNow = (model: RenderedModel, pods: RenderedModel['endpoints'][number], known: Known): Resource => {
  if (!pods.isEmpty || hasItsRoutes(model, known)) return pods
  const version = known.upcoming('endpoints', pods.name)
  // A cluster that changes as well has to be told its pods again: those of before.
  return version === undefined ? (known.lastGood('endpoints', pods.name) ?? pods) : { ...pods, version }
}

/** What goes: listeners at once, clusters when nothing points at them any more. */
const removals = (wanted: readonly RenderedModel[], known: Known): Change[] => {
  const models = new Map(wanted.map((model) => [model.setting.name, model]))
  const used = new Set(wanted.flatMap(({ clusters }) => clusters.map(({ name }) => name)))
  const listeners = known.names('listener').filter((name) => !models.has(name))
  const clusters = known.names('cluster').filter((name) => {
    if (used.has(name)) return false
    const owner = name.slice(0, name.indexOf('/'))
    const model = models.get(owner)
    if (model !== undefined) return hasItsRoutes(model, known)
    // On a new stream Envoy says one after the other what it has.
    return known.isAskedFor('listener', owner) && !known.names('listener').includes(owner)
  })
  const nobodys = known.hungry.filter((name) => !used.has(name))
  const remove =
    (kind: 'listener' | 'cluster') =>
    (name: string): Change[] =>
      known.upcoming(kind, name) === undefined ? [] : [{ do: 'remove', kind, name }]
  return [
    ...listeners.flatMap(remove('listener')),
    ...clusters.flatMap(remove('cluster')),
    ...nobodys.map((name): Change => ({ do: 'remove', kind: 'endpoints', name })),
  ]
}

const hasItsRoutes = ({ routes }: RenderedModel, known: Known): boolean =>
  known.version('routes', routes.name) === routes.version

const isSettled = (model: RenderedModel, known: Known): boolean => {
  // What hangs on something that was refused is not waited for: the model's problem says so.
  if (isBlocked(model, known) || known.accepted(model.routes) === undefined) return true
  const has = (resource: Resource): boolean =>
    known.version(resource.kind, resource.name) === known.accepted(resource)?.version
  return (
    model.clusters.every((cluster) => known.isServing(cluster)) &&
    [...model.endpoints.map((pods) => podsNow(model, pods, known)), model.routes, model.listener].every(has)
  )
}

/** A cluster of it was refused, or its listener, and there is no listener of before. */
const isBlocked = ({ clusters, listener }: RenderedModel, known: Known): boolean =>
  clusters.some((cluster) => known.refusal(cluster) !== undefined) ||
  (known.refusal(listener) !== undefined && known.version('listener', listener.name) === undefined)
