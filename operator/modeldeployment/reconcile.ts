// The operator in one screen: observe, plan, then either write the status or act on the status that is written.
import { isDeepStrictEqual } from 'node:util'
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Consistency } from '../controller/consistency.ts'
import type { Outcome } from '../controller/controller.ts'
import { isForbidden, isNotFound } from '../kube/errors.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { Transition } from '../rollout/decision.ts'
import { act, OutdatedError, type Hands } from './act.ts'
import { observe, type Sources } from './observe.ts'
import { awaitedNow, hurryMs, type Awaited } from './patience.ts'
import { plan, type Seen } from './plan.ts'
import { isOutOfRoom } from './capacity/waits.ts'
import { isRefused } from './refused.ts'
import { isAtGateway, isRouted, isWatched } from './routing.ts'
import { modelDeployments } from './resources.ts'
import type { Watchdog } from './violations.ts'

export interface Reconciler extends Hands, Sources {
  readonly events: EventRecorder
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  readonly consistency: Consistency
  readonly watchdog: Watchdog
  /** By key: why the API server refused the last write, for the status to say. Kept only until a pass succeeds. */
  readonly refusedWrites: Map<string, string>
  /** By key: which setting the routers are waited for. Kept only while somebody waits. */
  readonly awaited: Map<string, Awaited>
}

/** While something is under way that no watch tells about (a pod that cannot pull its image), look this often. */
const lookAgainMs = 2_000
/** The same for what may last for days: a name that someone else holds, pods of the serving revision that no node takes. */
const lookAgainSlowlyMs = 15_000

/** Room that a quota leaves again is told by no watch. */
const lookForRoomMs = 5_000

/** A settled object whose shares are not verified yet, because too few requests have come. */
const measureAgainMs = 60_000

/** A plan that turned out to be made from an older state is made anew after this time. */
const outdatedMs = 100

/** One pass over one object. Safe to repeat at any time, and to cut off between any two lines. */
export const reconcile = async (context: Reconciler, key: string, signal: AbortSignal): Promise<Outcome> => {
  const { refusedWrites } = context
  const now = context.clock()
  const seen = await observe(context, key, now, refusedWrites.get(key))
  if (seen === undefined) {
    refusedWrites.delete(key)
    context.awaited.delete(key)
    return undefined
  }
  const { status, transitions, actions, violations, wakeAt } = plan(seen, now)
  context.watchdog(seen.deployment, violations, context.log)
  if (!isDeepStrictEqual(status, seen.deployment.status ?? {})) {
    await writeStatus(context, key, seen.deployment, status, transitions, signal)
    return undefined
  }
  try {
    await act(context, seen.deployment, actions, signal)
    refusedWrites.delete(key)
  } catch (error) {
    // Nothing can be made there any more, and what is there goes with the namespace.
    if (isForbidden(error) && error.causes.some((cause) => cause.reason === 'NamespaceTerminating')) return undefined
    if (isRefused(error)) refusedWrites.set(key, error.message)
    if (!(error instanceof OutdatedError)) throw error
    context.log.debug(error.message)
    return { requeueAfterMs: outdatedMs }
  }
  return requeue(
    seen,
    status,
    hurry(context.awaited, key, seen, status, now),
    wakeAt === undefined ? undefined : wakeAt - now,
  )
}

/** When to look at the routers again, where somebody waits for them and has not done so for long. */
const hurry = (
  awaited: Map<string, Awaited>,
  key: string,
  { observed: { routers }, deployment, routing }: Seen,
  status: ModelDeploymentStatus,
  now: number,
): number | undefined => {
  // What Gateways say of a route is watched: only routers have to be asked.
  const asks = !isAtGateway(deployment) || routing.port !== undefined
  const waits = asks && (isMoving(deployment, routing) || (isWatched(deployment) && isAwaitingRouters(status)))
  if (routers === undefined || routers.length === 0 || !waits) {
    awaited.delete(key)
    return undefined
  }
  const wait = awaitedNow(awaited.get(key), status.traffic?.epoch ?? 0, now)
  awaited.set(key, wait)
  return hurryMs(wait, now)
}

/** The Service is to point at routers and does not yet. */
const isMoving = (deployment: ModelDeployment, routing: Seen['routing']): boolean =>
  !deployment.spec.suspend && isRouted(deployment) && routing.destination.kind === 'Pods'

const writeStatus = async (
  { client, events, consistency, log }: Reconciler,
  key: string,
  deployment: ModelDeployment,
  status: ModelDeploymentStatus,
  transitions: readonly Transition[],
  signal: AbortSignal,
): Promise<void> => {
  const written = await client
    .updateStatus(modelDeployments, { ...deployment, status }, { signal })
    .catch((error: unknown) => {
      if (!isNotFound(error)) throw error
      return undefined
    })
  // The object was deleted since it was read: nobody is left to be told.
  if (written === undefined) return
  consistency.record(key, modelDeployments, written.metadata.resourceVersion)
  for (const { from, to, reason, message, revision } of transitions) {
    log.info(`${key} ${from} → ${to}: ${message}`, { reason, revision })
    events.record(deployment, {
      type: to === 'Rejected' || to === 'RollingBack' ? 'Warning' : 'Normal',
      reason,
      message,
    })
  }
  const trouble = troubleWords(status)
  if (trouble !== undefined && trouble.message !== troubleWords(deployment.status)?.message) {
    log.warn(`${key}: ${trouble.message}`, { reason: trouble.reason })
    events.record(deployment, { type: 'Warning', ...trouble })
  }
}

/** What stands in the way right now, when it is not a transition: it becomes an Event once, when its words change. */
const troubleWords = (status: ModelDeploymentStatus | undefined): { reason: string; message: string } | undefined => {
  const { candidate } = status ?? {}
  if (candidate?.reason !== undefined && candidate.message !== undefined)
    return { reason: candidate.reason, message: candidate.message }
  const stalled = status?.conditions?.find((c) => c.type === 'Stalled')
  const rejected = status?.rejected?.some((r) => stalled?.message.includes(r.message)) ?? false
  if (stalled?.status !== 'True' || rejected) return undefined
  return { reason: stalled.reason, message: stalled.message }
}

/** What ends without any object of ours changing. */
const isMendedElsewhere: ReadonlySet<string> = new Set(['NameConflict', 'GatewayNotFound'])

const requeue = (
  { observed, deployment, routing }: Seen,
  status: ModelDeploymentStatus,
  routersInMs: number | undefined,
  dueInMs: number | undefined,
): Outcome => {
  const { refusal, routers } = observed
  const underWay = status.conditions?.some((c) => c.type === 'Reconciling' && c.status === 'True') ?? false
  const soon = underWay && (status.candidate !== undefined || refusal?.passing === true)
  const asked = routers !== undefined && isWatched(deployment)
  const moves = isMoving(deployment, routing)
  const waits = [
    ...(routersInMs === undefined ? [] : [routersInMs]),
    ...(soon ? [lookAgainMs] : []),
    ...(refusal?.reason === 'InsufficientCapacity' || isOutOfRoom(status.candidate) ? [lookForRoomMs] : []),
    ...(underWay || (refusal !== undefined && isMendedElsewhere.has(refusal.reason)) ? [lookAgainSlowlyMs] : []),
    ...(asked || moves
      ? [isAwaitingRouters(status) || moves || status.previous !== undefined ? lookAgainSlowlyMs : measureAgainMs]
      : []),
    ...(dueInMs === undefined ? [] : [Math.max(dueInMs, 0)]),
  ]
  return waits.length === 0 ? undefined : { requeueAfterMs: Math.min(...waits) }
}

/** Somebody waits for the routers to apply the newest setting, or to take over the Service. */
const isAwaitingRouters = ({ traffic }: ModelDeploymentStatus): boolean =>
  traffic?.routers !== undefined && (traffic.routers.total === 0 || traffic.routers.acked < traffic.routers.total)
