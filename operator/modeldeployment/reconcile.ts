// The operator in one screen: observe, plan, then either write the status or act on the status that is written.
import { isDeepStrictEqual } from 'node:util'
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { Consistency } from '../controller/consistency.ts'
import type { Outcome } from '../controller/controller.ts'
import { isForbidden } from '../kube/errors.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { Transition } from '../rollout/decision.ts'
import { act, OutdatedError, type Hands } from './act.ts'
import { observe } from './observe.ts'
import { plan } from './plan.ts'
import { modelDeployments } from './resources.ts'

export interface Reconciler extends Hands {
  readonly events: EventRecorder
  /** The runtime image that new revisions get when the spec names none. */
  readonly releaseImage: string
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  readonly consistency: Consistency
}

/** While something is under way that no watch tells about (a pod that cannot pull its image), look this often. */
const lookAgainMs = 2_000
/** A name that someone else holds, or a spec that cannot be honoured, is looked at again without any event this often. */
const refusedAgainMs = 15_000

/** A plan that turned out to be made from an older state is made anew after this time. */
const outdatedMs = 100

/** One pass over one object. Safe to repeat at any time, and to cut off between any two lines. */
export const reconcile = async (context: Reconciler, key: string, signal: AbortSignal): Promise<Outcome> => {
  const seen = await observe(context.caches, context.client, context.releaseImage, key)
  if (seen === undefined) return undefined
  const now = context.clock()
  const { status, transitions, actions, wakeAt } = plan(seen, now)
  if (!isDeepStrictEqual(status, seen.deployment.status ?? {})) {
    await writeStatus(context, key, seen.deployment, status, transitions, signal)
    return undefined
  }
  try {
    await act(context, seen.deployment, actions, signal)
  } catch (error) {
    // Nothing can be made there any more, and what is there goes with the namespace.
    if (isForbidden(error) && error.causes.some((cause) => cause.reason === 'NamespaceTerminating')) return undefined
    if (!(error instanceof OutdatedError)) throw error
    context.log.debug(error.message)
    return { requeueAfterMs: outdatedMs }
  }
  return requeue(status, seen.observed.refusal !== undefined, wakeAt === undefined ? undefined : wakeAt - now)
}

const writeStatus = async (
  { client, events, consistency, log }: Reconciler,
  key: string,
  deployment: ModelDeployment,
  status: ModelDeploymentStatus,
  transitions: readonly Transition[],
  signal: AbortSignal,
): Promise<void> => {
  const written = await client.updateStatus(modelDeployments, { ...deployment, status }, { signal })
  consistency.record(key, modelDeployments, written.metadata.resourceVersion)
  for (const { from, to, reason, message, revision } of transitions) {
    log.info(`${key} ${from} → ${to}: ${message}`, { reason, revision })
    events.record(deployment, { type: to === 'Rejected' ? 'Warning' : 'Normal', reason, message })
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

const requeue = (status: ModelDeploymentStatus, refused: boolean, dueInMs: number | undefined): Outcome => {
  const waits = [
    ...(status.conditions?.some((c) => c.type === 'Reconciling' && c.status === 'True') ? [lookAgainMs] : []),
    ...(refused ? [refusedAgainMs] : []),
    ...(dueInMs === undefined ? [] : [Math.max(dueInMs, 0)]),
  ]
  return waits.length === 0 ? undefined : { requeueAfterMs: Math.min(...waits) }
}
