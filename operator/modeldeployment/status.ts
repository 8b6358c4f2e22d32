// The status that people and GitOps tools read, derived whole from the rollout and what was seen. Pure.
// Equal inputs give an equal status: no time stamp moves by itself, so a settled object is never written again.
import { isReason, isTriedByToken, type ConditionType, type Reason } from '../api/conditions.ts'
import type { Condition, ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Observed } from '../rollout/observed.ts'
import { isDirect, rejectionOf, type Rollout } from '../rollout/decision.ts'
import { percent } from '../rollout/steps.ts'
import { cut } from '../rollout/text.ts'
import { weightOf } from '../rollout/traffic.ts'
import { waitsFor } from '../rollout/words.ts'
import { isAtGateway, type Routing } from './routing.ts'
import { isAccepted, unverifiedOf, verifiedOf, withRouters } from './traffic.ts'
import { isOutOfRoom } from './capacity/waits.ts'
import { labelKeys } from './names.ts'
import { sentence } from './sentence.ts'

/** Characters of a condition's message: two messages of a rollout and what is said around them. */
const conditionLimit = 2048

type Claim = readonly [status: 'True' | 'False' | 'Unknown', reason: Reason, message: string]

interface View {
  readonly deployment: ModelDeployment
  readonly rollout: Rollout
  readonly seen: Observed
  readonly routing: Routing
}

/**
 * The whole status.
 *
 * @param now milliseconds since the epoch; used only for `lastTransitionTime` of a condition that changes
 */
export const statusOf = (
  deployment: ModelDeployment,
  rollout: Rollout,
  seen: Observed,
  routing: Routing,
  now: number,
): ModelDeploymentStatus => {
  const traffic = trafficOf(deployment, rollout, seen, routing)
  const view = { deployment, rollout: traffic === undefined ? rollout : { ...rollout, traffic }, seen, routing }
  const serving = seen.service.revision
  const stablePods = podsOf(view, rollout.stable?.revision)
  const analysis = [routing.analysis, deployment.status?.analysis].find((a) => a?.sinceEpoch === traffic?.epoch)
  const direct = isDirect(deployment.spec)
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    phase: phaseOf(view),
    conditions: conditionsOf(view, now),
    ...rollout,
    ...(rollout.candidate && {
      candidate: { ...rollout.candidate, weight: candidateShare(rollout, rollout.candidate.revision, direct, serving) },
    }),
    ...(traffic && { traffic }),
    ...(analysis && { analysis }),
    replicas: stablePods?.total ?? 0,
    readyReplicas: stablePods?.ready ?? 0,
    selector: `${labelKeys.modelDeployment}=${deployment.metadata.name},${labelKeys.revision}=${rollout.stable?.revision ?? ''}`,
  }
}

const candidateShare = (rollout: Rollout, revision: string, direct: boolean, serving: string | undefined): string =>
  direct ? (serving === revision ? '100%' : '0%') : percent(weightOf(rollout.traffic, revision))

const trafficOf = (
  deployment: ModelDeployment,
  rollout: Rollout,
  seen: Observed,
  routing: Routing,
): ModelDeploymentStatus['traffic'] => {
  if (!isDirect(deployment.spec))
    return rollout.traffic === undefined ? undefined : withRouters(deployment, rollout.traffic, seen, routing)
  const before = deployment.status?.traffic
  // The Service has yet to leave the routers: they go on as they are told.
  if (routing.destination.kind === 'Routers') return before
  const serving = seen.service.revision
  return serving === undefined ? undefined : trafficTo(serving, before, routing.port)
}

/**
 * Direct mode has one setting, everything to one revision; each move is a new epoch. The port stays for as long as
 * clients may still be on the routers, which then know where everything goes.
 */
const trafficTo = (
  revision: string,
  before: ModelDeploymentStatus['traffic'],
  port: number | undefined,
): NonNullable<ModelDeploymentStatus['traffic']> => {
  const same = before?.weights.length === 1 && before.weights[0]?.revision === revision
  return {
    epoch: (before?.epoch ?? 0) + (same ? 0 : 1),
    ...(port !== undefined && { port }),
    weights: [{ revision, weight: 1000 }],
  }
}

const phaseOf = (view: View): string => {
  const { deployment, rollout } = view
  if (deployment.spec.suspend) return 'Suspended'
  if (rollout.candidate !== undefined) return rollout.candidate.state
  const [stalled] = progressOf(view).Stalled
  if (stalled === 'True') return 'Rejected'
  return rollout.previous === undefined ? 'Idle' : 'Observing'
}

const conditionsOf = (view: View, now: number): Condition[] => {
  const claims: Record<ConditionType, Claim> = {
    ...progressOf(view),
    Available: availableOf(view),
    TrafficVerified: trafficVerifiedOf(view),
    Paused: view.deployment.spec.rollout.paused
      ? ['True', 'Paused', 'spec.rollout.paused holds every step forward; set it to false to go on.']
      : ['False', 'NotPaused', 'Nothing holds the rollout.'],
  }
  const before = view.deployment.status?.conditions ?? []
  const generation = view.deployment.metadata.generation ?? 0
  return Object.entries(claims).map(([type, [status, reason, message]]) => {
    const old = before.find((c) => c.type === type)
    const lastTransitionTime = old?.status === status ? old.lastTransitionTime : new Date(now).toISOString()
    return {
      type,
      status,
      reason,
      message: cut(message, conditionLimit),
      lastTransitionTime,
      observedGeneration: generation,
    }
  })
}

const trafficVerifiedOf = ({ deployment, rollout, routing }: View): Claim => {
  switch (deployment.spec.traffic.mode) {
    case 'Direct':
      return [
        'Unknown',
        'NotMeasured',
        'traffic.mode Direct sends every request to one revision; no router counts them.',
      ]
    case 'Gateway':
      return unverifiedOf(rollout.traffic, routing.routes?.problem)
    default:
      return verifiedOf(rollout.traffic, routing.problem)
  }
}

type Progress = Record<'Ready' | 'Reconciling' | 'Stalled', Claim>

/** Ready, Reconciling and Stalled always tell one story: done, under way, or in need of a person. */
const progressOf = (view: View): Progress => {
  const { deployment, rollout, seen } = view
  const { spec } = deployment
  if (spec.suspend) return held('Suspended', 'spec.suspend is true: the operator leaves everything as it is.')
  if (seen.refusal !== undefined) {
    const { reason, message, passing = false } = seen.refusal
    return (passing ? underWay : stalled)(reason, `${sentence(message)}${stillServing(view)}`)
  }
  if (rollout.candidate !== undefined) {
    const { candidate } = rollout
    const paused = spec.rollout.paused ? ' It is held by spec.rollout.paused.' : ''
    return (isOutOfRoom(candidate) ? stalled : underWay)(
      known(candidate.reason) ?? stateReason(view),
      `${sentence(candidate.message ?? stateMessage(view))}${paused}${stillServing(view)}`,
    )
  }
  if (seen.target.kind === 'Missing')
    return stalled('RollbackTargetNotFound', `${seen.target.message}${stillServing(view)}`)
  if (seen.target.hash !== rollout.stable?.hash) {
    const rejection = rejectionOf(rollout, seen.target.hash, spec)
    if (rejection !== undefined) {
      const reason = known(rejection.reason) ?? 'DeadlineExceeded'
      const again =
        rejection.retryAt !== undefined
          ? ` It is tried again by itself at ${rejection.retryAt}, or at once when spec.rollout.retryToken changes.`
          : isTriedByToken(reason)
            ? ' Once that is mended, change spec.rollout.retryToken to try the same spec again.'
            : ''
      return stalled(
        reason,
        `${rejection.revision} was rejected: ${sentence(rejection.message)}${again}${stillServing(view)}`,
      )
    }
    if (spec.rollout.paused)
      return held('Paused', `${seen.target.revision} waits for spec.rollout.paused.${stillServing(view)}`)
    if (spec.replicas === 0 && !isDirect(spec))
      return held(
        'ScaledToZero',
        `${seen.target.revision} waits: with spec.replicas 0 nothing runs that could be checked. Set it to at least 1.`,
      )
    return underWay('Resolving', `${seen.target.revision} is about to be resolved.`)
  }
  return settled(view)
}

/** The spec's version is the serving one: are all its pods there? */
const settled = (view: View): Progress => {
  const { deployment, rollout, seen } = view
  const { stable } = rollout
  if (stable === undefined) return underWay('Resolving', 'The first version is about to be resolved.')
  if (!seen.revisions.some((r) => r.name === stable.revision)) {
    return stalled(
      'RevisionMissing',
      `ModelRevision ${stable.revision} was deleted; its pods keep serving but cannot be made again. Apply a new version.`,
    )
  }
  const pods = podsOf(view, stable.revision)
  const name = `${stable.version} (${stable.revision})`
  // What the spec asks for, not what the Deployment has been told so far: a new number counts from the first status on.
  const { replicas } = deployment.spec
  if (pods === undefined || !pods.current || pods.ready !== replicas || pods.total !== replicas) {
    const trouble = seen.servingTrouble === undefined ? '' : ` ${sentence(seen.servingTrouble.message)}`
    return underWay(
      seen.servingTrouble?.reason ?? 'Scaling',
      `${name} has ${pods?.ready ?? 0} of ${replicas} pods ready.${trouble}`,
    )
  }
  const { traffic } = rollout
  if (isAtGateway(deployment) && (traffic === undefined || !isAccepted(traffic))) {
    const why = view.routing.routes?.problem ?? 'Its Gateway has not accepted the HTTPRoute yet.'
    return underWay('RouteNotAccepted', `${name} runs, and nobody gets it yet. ${sentence(why)}`)
  }
  const waiting = isHeldByRollback(view)
    ? ' spec.rollback.to holds it there; the edited spec.model waits until that is cleared.'
    : ''
  return {
    Ready: ['True', 'RolledOut', `${name} serves on ${pods.ready} of ${replicas} pods.${waiting}`],
    Reconciling: ['False', 'AsExpected', 'Nothing is under way.'],
    Stalled: ['False', 'AsExpected', 'Nothing is wrong.'],
  }
}

/** The revision that users get, or most of them. */
const servingOf = ({ deployment, rollout, seen, routing: { destination } }: View): string | undefined => {
  const isShared = isAtGateway(deployment) && (rollout.traffic?.weights.length ?? 0) > 0
  if (destination.kind === 'Routers' || isShared)
    return rollout.traffic?.weights.toSorted((a, b) => b.weight - a.weight)[0]?.revision
  return seen.service.revision ?? (destination.kind === 'Pods' ? destination.revision : undefined)
}

const availableOf = (view: View): Claim => {
  const { rollout, seen, deployment, routing } = view
  const serving = servingOf(view)
  if (serving === undefined && rollout.stable !== undefined) {
    const again = deployment.spec.suspend ? 'is made again when spec.suspend is false' : 'is being made again'
    return ['False', 'ServiceMissing', `Service ${deployment.metadata.name} was deleted; it ${again}.`]
  }
  if (serving === undefined) return ['False', 'NoVersionYet', 'No version has been rolled out yet.']
  if (routing.destination.kind === 'Routers' && routing.readyRouters === 0)
    return ['False', 'RoutersNotReady', routing.problem ?? 'The Service lists no router that is ready.']
  const { routes } = routing
  const atGateway = isAtGateway(deployment)
  if (atGateway && routes?.isUsed !== true) {
    const { reason, message } = seen.refusal ?? {}
    return reason === 'GatewayApiMissing' || reason === 'GatewayNotFound'
      ? ['False', reason, message ?? '']
      : ['False', 'RouteNotAccepted', routes?.problem ?? `HTTPRoute ${deployment.metadata.name} is being made.`]
  }
  // While the Service moves, its endpoints may still be those of the revision before: whoever is listed answers.
  const ready = Object.values(seen.service.readyEndpoints).reduce((sum, count) => sum + count, 0)
  const version = [rollout.stable, rollout.candidate].find((r) => r?.revision === serving)?.version ?? serving
  const only =
    atGateway && routes?.withoutGrpc !== undefined
      ? ` gRPC does not come through the Gateway: ${sentence(routes.withoutGrpc)}`
      : ''
  if (ready > 0) return ['True', 'Serving', `${version} (${serving}) answers.${only}`]
  if (deployment.spec.replicas === 0)
    return ['False', 'ScaledToZero', 'spec.replicas is 0: nobody answers. Set it to at least 1.']
  const trouble = serving === rollout.candidate?.revision ? seen.trouble : seen.servingTrouble
  const why = trouble === undefined ? '' : ` ${sentence(trouble.message)}`
  return ['False', 'NoReadyPods', `No pod of ${version} (${serving}) is ready.${why}`]
}

/** A reason that another release wrote into the status may not be in this table. */
const known = (reason: string | undefined): Reason | undefined =>
  reason !== undefined && isReason(reason) ? reason : undefined

const stateReason = (view: View): Reason => {
  const { candidate } = view.rollout
  if (!isDirect(view.deployment.spec)) return waiting(view)?.reason ?? 'Provisioning'
  return candidate?.state === 'Pending' ? 'Resolving' : candidate?.state === 'Promoting' ? 'Promoting' : 'Provisioning'
}

const waiting = ({ deployment, rollout, seen }: View) => waitsFor({ spec: deployment.spec, rollout, seen })

const stateMessage = (view: View): string => {
  const { candidate } = view.rollout
  if (candidate === undefined) return ''
  if (!isDirect(view.deployment.spec)) return waiting(view)?.message ?? ''
  switch (candidate.state) {
    case 'Provisioning':
      return `${candidate.version ?? ''} (${candidate.revision}) has ${candidate.readyReplicas ?? 0} of ${view.deployment.spec.replicas} pods ready.`
    case 'Promoting':
      return `The Service moves to ${candidate.version ?? ''} (${candidate.revision}).`
    default:
      return `The model of ${candidate.revision} is being fetched and read.`
  }
}

const stillServing = ({ rollout }: View): string =>
  rollout.stable === undefined ? '' : ` ${rollout.stable.version} (${rollout.stable.revision}) keeps serving.`

const isHeldByRollback = ({ deployment, seen }: View): boolean =>
  deployment.spec.rollback.to !== '' && seen.target.kind === 'Revision' && seen.target.hash !== seen.specHash

const podsOf = ({ seen }: View, revision: string | undefined) => seen.pods.find((p) => p.revision === revision)

const stalled = (reason: Reason, message: string): Progress => ({
  Ready: ['False', reason, message],
  Reconciling: ['False', 'AsExpected', 'Nothing is under way.'],
  Stalled: ['True', reason, message],
})

const underWay = (reason: Reason, message: string): Progress => ({
  Ready: ['False', reason, message],
  Reconciling: ['True', reason, message],
  Stalled: ['False', 'AsExpected', 'Nothing is wrong.'],
})

const held = (reason: Reason, message: string): Progress => ({
  Ready: ['False', reason, message],
  Reconciling: ['False', reason, message],
  Stalled: ['False', 'AsExpected', 'Nothing is wrong.'],
})
