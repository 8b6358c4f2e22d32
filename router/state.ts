// What the router says of itself, from what Envoy says of itself. Pure.
import type { AppliedShares, ModelTraffic, RevisionTraffic, RouterState } from '../operator/api/routerstate.ts'
import { endpointsOf } from './endpoints.ts'
import { figuresOf, type Traffic } from './envoy/stats.ts'
import { protocols, type Endpoints, type Setting } from './model.ts'
import type { Applied } from './publish/memory.ts'
import type { Decision } from './setting.ts'
import { sharesOf } from './shares.ts'
import { clusterName, epochOf, namedStatistics, shadowName } from './xds/names.ts'
import type { RenderedModel } from './xds/render.ts'

export interface StateInput {
  readonly router: string
  readonly at: number
  readonly draining: boolean
  readonly bootId: string
  /** Of a model: the version of its routes that Envoy has applied. */
  readonly versionOf: (model: string) => string | undefined
  /** Whether its listener has been seen to answer. */
  readonly isReached: (setting: Setting) => boolean
  readonly traffic: Traffic
  readonly endpoints: Endpoints
  readonly decisions: readonly Decision[]
  readonly models: readonly RenderedModel[]
  /** The shares that routes of this version gave, as long as it may be the one that Envoy has. */
  readonly weightsOf: (version: string) => Applied['weights'] | undefined
  /** By uid: what has been applied and is written down, or cannot be. */
  readonly applied: ReadonlyMap<string, Applied>
  readonly refusalOf: (model: RenderedModel) => string | undefined
  /** Of the router as a whole. */
  readonly problem: string | undefined
}

export const routerState = (input: StateInput): RouterState => {
  const { router, bootId, at, draining, decisions, applied, problem } = input
  // Before the API server has been heard, an agent that was started again knows what the one before it has applied.
  const known =
    decisions.length > 0 ? decisions : [...applied.values()].map(({ setting }): Decision => ({ asked: setting }))
  return {
    router,
    bootId,
    at,
    draining,
    models: known.map((decision) => modelTraffic(decision, input)),
    ...(problem !== undefined && { problem }),
  }
}

const modelTraffic = ({ asked, problem }: Decision, input: StateInput): ModelTraffic => {
  const { name, uid, port, epoch, mirror } = asked
  const model = input.models.find(({ setting }) => setting.uid === uid)
  const version = input.versionOf(name)
  const appliedEpoch = version === undefined ? undefined : appliedIn(version, model?.setting ?? asked, input)
  const why = problem ?? (model && input.refusalOf(model))
  const isCurrent = model !== undefined && version === model.routes.version
  const isTold = isCurrent && model.setting.epoch === appliedEpoch
  const setting = isTold ? model.setting : input.applied.get(uid)?.setting
  const sharesAsked = setting?.epoch === appliedEpoch && setting !== undefined ? askedBy(setting) : undefined
  // What is wanted may be on its way still, and what was applied last may not have been noted yet.
  const weights =
    (version === undefined ? undefined : input.weightsOf(version)) ?? input.applied.get(uid)?.weights ?? {}
  return {
    name,
    uid,
    port,
    wantedEpoch: epoch,
    ...(appliedEpoch !== undefined && { appliedEpoch, ...(sharesAsked && { applied: sharesAsked }) }),
    emptied: sharesOf(asked, input.endpoints).emptied,
    revisions: asked.revisions.map(({ name: revision }) =>
      revisionTraffic(asked, revision, weights[revision] ?? 0, clusterName, input),
    ),
    ...(mirror && { shadow: revisionTraffic(asked, mirror.revision, 0, shadowName, input) }),
    ...(why !== undefined && { problem: why }),
  }
}

/** The epoch of Envoy's routes, but none that is not written down yet: after an end of this pod nobody would know of it. */
const appliedIn = (version: string, setting: Setting, { applied, isReached }: StateInput): number | undefined => {
  const [epoch, noted] = [epochOf(version, setting.uid), applied.get(setting.uid)?.setting.epoch]
  if (epoch === undefined || noted === undefined || !isReached(setting)) return undefined
  return Math.min(epoch, noted)
}

const askedBy = ({ revisions, mirror }: Setting): AppliedShares => ({
  weights: Object.fromEntries(revisions.filter(({ weight }) => weight > 0).map(({ name, weight }) => [name, weight])),
  ...(mirror && { mirror: mirror.revision }),
})

const revisionTraffic = (
  { name }: Setting,
  revision: string,
  weight: number,
  nameOf: typeof clusterName,
  { endpoints, traffic }: StateInput,
): RevisionTraffic => ({
  revision,
  weight,
  readyEndpoints: endpointsOf(endpoints, revision).ready,
  ...(nameOf === clusterName && {
    named: traffic.get(namedStatistics(revision))?.counters['upstream_rq_completed'] ?? 0,
  }),
  ...figuresOf(protocols.map((protocol) => traffic.get(nameOf(name, revision, protocol)))),
})
