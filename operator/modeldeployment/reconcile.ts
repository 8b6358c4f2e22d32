// The operator in one screen: observe, plan, then either write the status or act on the status that is written.
import { isDeepStrictEqual } from 'node:util'
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { Transition } from '../rollout/next.ts'
import { act, type Hands } from './act.ts'
import { observe } from './observe.ts'
import { plan } from './plan.ts'
import { modelDeployments } from './resources.ts'

export interface Reconciler extends Hands {
  readonly events: EventRecorder
  /** The runtime image that new revisions get when the spec names none. */
  readonly releaseImage: string
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Told of our own status writes, so that the key waits until the cache has seen them. */
  readonly onStatusWritten: (key: string, written: ModelDeployment) => void
}

/** While something is under way that no watch tells about (a pod that cannot pull its image), look this often. */
const lookAgainMs = 2_000
/** A name that someone else holds, or a spec that cannot be honoured, is looked at again without any event this often. */
const refusedAgainMs = 15_000

/** One pass over one object. Safe to repeat at any time, and to cut off between any two lines. */
export const reconcile = async (
  context: Reconciler,
  key: string,
  signal: AbortSignal,
): Promise<{ requeueAfterMs?: number }> => {
  const seen = await observe(context.caches, context.client, context.releaseImage, key)
  if (seen === undefined) return {}
  const now = context.clock()
  const { status, transitions, actions, wakeAt } = plan(seen, now)
  if (!isDeepStrictEqual(status, seen.deployment.status ?? {})) {
    await writeStatus(context, key, seen.deployment, status, transitions, signal)
    return {}
  }
  await act(context, seen.deployment, actions, signal)
  return requeue(status, seen.observed.refusal !== undefined, wakeAt === undefined ? undefined : wakeAt - now)
}

const writeStatus = async (
  { client, events, onStatusWritten, log }: Reconciler,
  key: string,
  deployment: ModelDeployment,
  status: ModelDeploymentStatus,
  transitions: readonly Transition[],
  signal: AbortSignal,
): Promise<void> => {
  const written = await client.updateStatus(modelDeployments, { ...deployment, status }, { signal })
  onStatusWritten(key, written)
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

const requeue = (
  status: ModelDeploymentStatus,
  refused: boolean,
  dueInMs: number | undefined,
): { requeueAfterMs?: number } => {
  const waits = [
    ...(status.conditions?.some((c) => c.type === 'Reconciling' && c.status === 'True') ? [lookAgainMs] : []),
    ...(refused ? [refusedAgainMs] : []),
    ...(dueInMs === undefined ? [] : [Math.max(dueInMs, 0)]),
  ]
  return waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) }
}
