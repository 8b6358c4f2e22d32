// What the controller would do with a spec if nothing went wrong: its own state machine, run against a world in which
// every pod gets ready, every router agrees and every check passes. Pure. What really happens depends on the model.
import type { ModelDeployment, ModelDeploymentSpec } from '../operator/api/modeldeployment.ts'
import type { ModelRevision } from '../operator/api/modelrevision.ts'
import { revisionHash } from '../operator/api/identity.ts'
import { listenerPorts } from '../operator/api/routerstate.ts'
import { isRouted, type Routing } from '../operator/modeldeployment/routing.ts'
import { statusOf } from '../operator/modeldeployment/status.ts'
import { targetOf } from '../operator/modeldeployment/target.ts'
import { isDirect, without, type Rollout } from '../operator/rollout/decision.ts'
import { next } from '../operator/rollout/next.ts'
import type { Observed, RevisionFacts } from '../operator/rollout/observed.ts'
import { percent } from '../operator/rollout/steps.ts'
import { wantedPods, type WantedPods } from '../operator/rollout/wanted.ts'
import { meaningOf } from './report.ts'

export interface ForecastStep {
  /** The state of the rollout, in the words of status.phase. */
  readonly state: string
  /** The share of requests that the step is about; unset where it is about none. */
  readonly share?: string
  /** Pods that must run, by revision. */
  readonly pods: Readonly<Record<string, number>>
  /** The least time that the step takes, in milliseconds; fetching and starting come on top. */
  readonly atLeastMs: number
  /** It waits for the command promote. */
  readonly gate: boolean
  /** What happens, in the words of the table of reasons. */
  readonly what: string
}

export interface Forecast {
  /** Empty where the spec starts no rollout. */
  readonly steps: readonly ForecastStep[]
  /** Why nothing starts, or what holds it: the operator's own reason and sentence. */
  readonly held?: { readonly outcome: 'Stalled' | 'Held'; readonly reason: string; readonly message: string }
  /** The revision that the spec asks for; unset where spec.rollback.to names none. */
  readonly target?: { readonly revision: string; readonly hash: string }
  /** Pods that must run at the most, and at the end. */
  readonly pods: { readonly most: number; readonly last: number }
}

export type Refusal = NonNullable<Observed['refusal']>

/** A rollout has at most 20 steps of a handful of transitions each. */
const mostRounds = 1000

/**
 * @param deployment the spec as the API server would store it, with the status that the object has
 * @param refusal why the operator would not go forward with this spec at all
 * @param now milliseconds since the epoch
 */
export const forecastOf = (
  deployment: ModelDeployment,
  kept: readonly ModelRevision[],
  refusal: Refusal | undefined,
  now: number,
): Forecast => {
  const { spec } = deployment
  const target = targetOf(deployment, kept)
  const revisions = kept.map(factsOf)
  const steps: Step[] = []
  let rollout = persisted(deployment)
  let running = settled(deployment, rollout, target, revisions)
  let clock = now
  const world = (): Observed => ({
    ...idealWorld(deployment, rollout, target, revisions, running),
    ...(rollout.candidate?.substep === 'Gate' && { command: promotion(rollout.candidate, rollout) }),
    ...(refusal && { refusal }),
  })
  for (let round = 0; round < mostRounds && !spec.suspend; round += 1) {
    // As the operator does: the status is written first, and what it implies is done when nothing is left to write.
    const result = next(spec, rollout, world(), clock)
    if (JSON.stringify(result.rollout) !== JSON.stringify(rollout)) {
      rollout = result.rollout
      learn(revisions, rollout, spec)
      for (const { to, reason } of result.transitions) note(steps, { to, reason, share: shareOf(rollout), running })
      continue
    }
    const wanted = wantedPods(spec, rollout, world())
    if (JSON.stringify(wanted) !== JSON.stringify(running)) {
      running = wanted
      const current = steps.at(-1)
      if (current !== undefined && (count(running) > count(current.running) || rollout.candidate === undefined))
        current.running = running
      continue
    }
    // A spec that starts nothing is not waited with; what is kept warm goes in its own time.
    if (result.wakeAt === undefined || (rollout.candidate === undefined && steps.length === 0)) break
    const current = steps.at(-1)
    if (current !== undefined) current.atLeastMs += result.wakeAt - clock
    clock = result.wakeAt
  }
  const held = heldBy(deployment, rollout, world(), now)
  return {
    steps: steps.map(({ running: pods, ...step }) => ({ ...step, pods: byRevision(pods) })),
    ...(held && { held }),
    ...(target.kind === 'Revision' && { target: { revision: target.revision, hash: target.hash } }),
    pods: { most: Math.max(count(running), ...steps.map((step) => count(step.running))), last: count(running) },
  }
}

/** How many pods must run for an object as it is. */
export const podsNow = (deployment: ModelDeployment, kept: readonly ModelRevision[]): number =>
  count(settled(deployment, persisted(deployment), targetOf(deployment, kept), kept.map(factsOf)))

/** What the state machine goes on from: the status without what is derived from it. */
const persisted = ({ status = {} }: ModelDeployment): Rollout =>
  without(status, 'conditions', 'phase', 'observedGeneration', 'analysis', 'replicas', 'readyReplicas', 'selector')

type Running = readonly WantedPods[]
type Step = Omit<{ -readonly [Field in keyof ForecastStep]: ForecastStep[Field] }, 'pods'> & { running: Running }

const count = (running: Running): number => running.reduce((all, { replicas }) => all + replicas, 0)

const byRevision = (running: Running): Readonly<Record<string, number>> =>
  Object.fromEntries(running.flatMap(({ revision, replicas }) => (replicas > 0 ? [[revision, replicas]] : [])))

/** The pods of a rollout that nobody disturbs: what its status calls for, when that is there. */
const settled = (
  deployment: ModelDeployment,
  rollout: Rollout,
  target: Observed['target'],
  revisions: readonly RevisionFacts[],
): Running => {
  const first = wantedPods(deployment.spec, rollout, idealWorld(deployment, rollout, target, revisions, []))
  return wantedPods(deployment.spec, rollout, idealWorld(deployment, rollout, target, revisions, first))
}

/** Transitions within one share are one step; a person may have to pass it. */
const note = (
  steps: Step[],
  { to, reason, share, running }: { to: string; reason: string; share: string | undefined; running: Running },
): void => {
  const [state = '', substep] = to.split('.')
  const before = steps.at(-1)
  if (before?.state === state && before.share === share) {
    before.gate ||= substep === 'Gate'
    return
  }
  steps.push({
    state,
    ...(share !== undefined && { share }),
    running,
    atLeastMs: 0,
    gate: substep === 'Gate',
    what: meaningOf(reason),
  })
}

const shareOf = ({ candidate }: Rollout): string | undefined =>
  candidate?.stepWeight === undefined ? undefined : percent(candidate.stepWeight)

/** The model of a candidate is read at once: from then on its revision is kept. */
const learn = (revisions: RevisionFacts[], { candidate }: Rollout, { model }: ModelDeploymentSpec): void => {
  if (candidate?.state !== 'Pending' || revisions.some((r) => r.name === candidate.revision)) return
  const digest = model.digest ?? `sha256:${'0'.repeat(64)}`
  const version = model.version ?? digest.slice(7, 19)
  revisions.unshift({ name: candidate.revision, hash: candidate.hash, version, digest, image: 'unknown' })
}

export const factsOf = ({ metadata, spec }: ModelRevision): RevisionFacts => ({
  name: metadata.name,
  hash: spec.hash,
  version: spec.model.version,
  digest: spec.model.digest,
  image: spec.runtime.image,
})

/** More requests than any step asks for. */
const plenty = 1_000_000_000

/** What the controller sees when all goes well and these pods are ready. */
export const idealWorld = (
  deployment: ModelDeployment,
  rollout: Rollout,
  target: Observed['target'],
  revisions: readonly RevisionFacts[],
  running: Running,
): Observed => {
  const { spec } = deployment
  const { candidate, stable, traffic } = rollout
  const direct = isDirect(spec)
  const serving = candidate?.state === 'Promoting' ? candidate.revision : stable?.revision
  return {
    target,
    specHash: revisionHash(spec),
    revisions,
    resolution: { kind: 'Running' },
    pods: running.map(({ revision, replicas, stamp }) => ({
      revision,
      total: replicas,
      ready: replicas,
      current: true,
      ...(stamp !== undefined && { stamp }),
    })),
    service: {
      ...(!isRouted(deployment) && serving !== undefined && { revision: serving }),
      readyEndpoints: direct && serving !== undefined ? { [serving]: spec.replicas } : {},
    },
    ...(!direct && {
      routers: [{ name: isRouted(deployment) ? 'router' : 'route', ...(traffic && { epoch: traffic.epoch }) }],
    }),
    ...(!direct && traffic && { evidence: goodEvidence(rollout, traffic.epoch) }),
  }
}

const goodEvidence = ({ candidate, stable }: Rollout, epoch: number): NonNullable<Observed['evidence']> => {
  const calls = Object.fromEntries(
    [candidate, stable].flatMap((r) => (r === undefined ? [] : [[r.revision, { requests: plenty, failures: 0 }]])),
  )
  if (candidate === undefined) return { epoch, calls }
  const passed = { revision: candidate.revision, attempt: candidate.attempt, verdict: 'Pass' as const, message: '' }
  return { epoch, calls, golden: passed, shadow: passed }
}

/** Whoever has to pass a gate does so. */
const promotion = (
  { revision, stepWeight = 0 }: NonNullable<Rollout['candidate']>,
  { lastCommand }: Rollout,
): NonNullable<Observed['command']> => ({
  kind: 'Order',
  id: `plan-${stepWeight}-${lastCommand?.id ?? ''}`,
  op: 'promote',
  candidate: revision,
  reason: '',
  by: '',
})

/** The way from users to pods in the same world: every router is there and ready. */
export const idealRouting = ({ spec, status }: ModelDeployment, { service, routers = [] }: Observed): Routing => {
  const port = status?.traffic?.port ?? listenerPorts.first
  if (spec.traffic.mode === 'Router') return { destination: { kind: 'Routers' }, port, readyRouters: routers.length }
  const { revision } = service
  return {
    destination: revision === undefined ? { kind: 'Nowhere' } : { kind: 'Pods', revision },
    readyRouters: 0,
    ...(spec.traffic.mode === 'Gateway' && { routes: idealRoutes }),
  }
}

/** Every Gateway has taken both routes. */
const idealRoutes: NonNullable<Routing['routes']> = {
  exist: ['HTTPRoute', 'GRPCRoute'],
  mayBeUsed: true,
  hasHttpSettled: true,
  isUsed: true,
}

/** Why the end is not what the spec asks for; undefined where it is. */
const heldBy = (deployment: ModelDeployment, rollout: Rollout, seen: Observed, now: number): Forecast['held'] => {
  const { conditions = [] } = statusOf(deployment, rollout, seen, idealRouting(deployment, seen), now)
  const find = (type: string) => conditions.find((c) => c.type === type)
  const [ready, stalled] = [find('Ready'), find('Stalled')]
  if (ready === undefined || ready.status === 'True') return undefined
  const outcome = stalled?.status === 'True' ? 'Stalled' : 'Held'
  return { outcome, reason: ready.reason, message: ready.message }
}
