// What there is to say about one ModelDeployment right now: its versions, their shares and pods, what it waits for and
// what a person can do. Pure; `status --json` and `watch --json` print it as it is.
import { isReason, reasons } from '../operator/api/conditions.ts'
import type { Condition, ModelDeployment, ModelDeploymentStatus, TrafficSpec } from '../operator/api/modeldeployment.ts'
import type { Deployment } from '../operator/kube/resources.ts'
import { percent, stepsOf } from '../operator/rollout/steps.ts'
import { weightOf } from '../operator/rollout/traffic.ts'
import { asSentence } from './layout.ts'

export interface VersionReport {
  readonly role: 'stable' | 'candidate' | 'previous'
  readonly revision: string
  /** As people see it; unset until the model has been read. */
  readonly version?: string
  /** The share of requests that is asked for, from 0 to 1. */
  readonly share: number
  /** The share that the routers counted, with its interval, from 0 to 1. */
  readonly measured?: { readonly share: number; readonly low: number; readonly high: number }
  /** Requests of users that it was sent in this epoch, and how many of them failed, when the operator last wrote it down. */
  readonly calls?: { readonly requests: number; readonly failures: number }
  /** Pods that are ready and pods that are wanted; unset where Deployments may not be read. */
  readonly pods?: { readonly ready: number; readonly wanted: number }
  /** `previous`: when its pods go. */
  readonly until?: string
}

export interface StepReport {
  readonly weight: string
  readonly gate: 'Auto' | 'Manual'
  readonly at: 'Passed' | 'Now' | 'Ahead'
}

export interface RolloutReport {
  readonly state: string
  readonly substep?: string
  readonly attempt: number
  readonly enteredAt: string
  readonly deadlineAt?: string
  readonly pausedBy?: string
  /** Unset where the strategy has no steps. */
  readonly steps?: readonly StepReport[]
}

export interface StatusReport {
  readonly kind: 'Status'
  readonly namespace: string
  readonly name: string
  readonly phase: string
  readonly generation: number
  /** The generation that the status is about; unset before the operator has seen the object. */
  readonly observedGeneration?: number
  /** `RolledOut`: what the spec asks for serves. `UnderWay`: wait. `Held` and `Stalled`: a person has to do something. */
  readonly outcome: 'RolledOut' | 'UnderWay' | 'Held' | 'Stalled'
  readonly available: boolean
  readonly versions: readonly VersionReport[]
  readonly rollout?: RolloutReport
  /** In mode Gateway they are routes, counted once for each Gateway. */
  readonly routers?: {
    readonly mode: TrafficSpec['mode']
    readonly epoch: number
    readonly total: number
    readonly acked: number
  }
  readonly checks: readonly Check[]
  readonly conditions: readonly Pick<Condition, 'type' | 'status' | 'reason' | 'message'>[]
  /** What it waits for, or why it does not go on, in one word and in the operator's sentence. */
  readonly waitsFor?: { readonly reason: string; readonly message: string }
  /** What a person does about it, if anything. */
  readonly toDo?: string
  readonly lastCommand?: Pick<
    NonNullable<ModelDeploymentStatus['lastCommand']>,
    'id' | 'op' | 'result' | 'message' | 'at'
  >
}

type Check = NonNullable<NonNullable<ModelDeploymentStatus['analysis']>['checks']>[number]

/** @param workloads the Deployments of its revisions, where they could be read */
export const reportOf = (deployment: ModelDeployment, workloads: readonly Deployment[] | undefined): StatusReport => {
  const { metadata, status = {} } = deployment
  const { traffic, lastCommand } = status
  const conditions = (status.conditions ?? []).map(({ type, status: value, reason, message }) => ({
    type,
    status: value,
    reason,
    message,
  }))
  const outcome = outcomeOf(deployment)
  const waitsFor = waitsForOf(deployment, outcome)
  const toDo = waitsFor === undefined ? '' : fixOf(waitsFor.reason)
  const rollout = rolloutOf(deployment)
  return {
    kind: 'Status',
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    phase: status.phase ?? 'Unknown',
    generation: metadata.generation ?? 0,
    ...(status.observedGeneration !== undefined && { observedGeneration: status.observedGeneration }),
    outcome,
    available: conditionOf(deployment, 'Available')?.status === 'True',
    versions: versionsOf(status, workloads),
    ...(rollout && { rollout }),
    ...(traffic?.routers && {
      routers: { mode: deployment.spec.traffic.mode, epoch: traffic.epoch, ...traffic.routers },
    }),
    checks: status.analysis?.checks ?? [],
    conditions,
    ...(waitsFor && { waitsFor }),
    ...(toDo !== '' && { toDo }),
    ...(lastCommand && {
      lastCommand: {
        id: lastCommand.id,
        op: lastCommand.op,
        result: lastCommand.result,
        message: lastCommand.message,
        at: lastCommand.at,
      },
    }),
  }
}

export const conditionOf = ({ status }: ModelDeployment, type: string): Condition | undefined =>
  status?.conditions?.find((c) => c.type === type)

/** Whether the status is about the latest spec. */
export const isObserved = ({ metadata, status }: ModelDeployment): boolean =>
  status?.observedGeneration !== undefined && status.observedGeneration >= (metadata.generation ?? 0)

/** What a person does about a reason, from the table of reasons; empty where nothing is to be done. */
export const fixOf = (reason: string): string => (isReason(reason) ? asSentence(reasons[reason].fix) : '')

/** What a reason means, from the same table; of a reason that this release does not know, the word itself. */
export const meaningOf = (reason: string): string => (isReason(reason) ? reasons[reason].meaning : `${reason}.`)

const outcomeOf = (deployment: ModelDeployment): StatusReport['outcome'] => {
  const is = (type: string): boolean => conditionOf(deployment, type)?.status === 'True'
  if (!isObserved(deployment)) return 'UnderWay'
  if (is('Ready')) return 'RolledOut'
  if (is('Stalled')) return 'Stalled'
  return is('Reconciling') ? 'UnderWay' : 'Held'
}

const waitsForOf = (deployment: ModelDeployment, outcome: StatusReport['outcome']): StatusReport['waitsFor'] => {
  if (!isObserved(deployment)) return { reason: 'NotObserved', message: notObserved(deployment) }
  const type = { RolledOut: undefined, UnderWay: 'Reconciling', Held: 'Ready', Stalled: 'Stalled' }[outcome]
  const condition = type === undefined ? undefined : conditionOf(deployment, type)
  return condition && { reason: condition.reason, message: condition.message }
}

/** The one thing that the operator cannot say itself. */
const notObserved = ({ metadata, status }: ModelDeployment): string =>
  status?.observedGeneration === undefined
    ? 'The operator has not looked at this object yet: it is new, or no operator watches its namespace.'
    : `The operator has not looked at generation ${metadata.generation ?? 0} yet; its status is about ${status.observedGeneration}.`

const versionsOf = (
  { stable, candidate, previous, traffic, analysis }: ModelDeploymentStatus,
  workloads: readonly Deployment[] | undefined,
): VersionReport[] => {
  const rows = [
    { role: 'stable' as const, pointer: stable },
    { role: 'candidate' as const, pointer: candidate },
    { role: 'previous' as const, pointer: previous },
  ]
  return rows.flatMap(({ role, pointer }): VersionReport[] => {
    if (pointer === undefined) return []
    const { revision, version } = pointer
    const measured = traffic?.measured?.find((m) => m.revision === revision)
    const counts = analysis?.calls?.find((c) => c.revision === revision)
    const workload = workloads?.find((w) => w.metadata.name === revision)
    return [
      {
        role,
        revision,
        ...(version !== undefined && { version }),
        share: weightOf(traffic, revision) / 1000,
        ...(counts && { calls: { requests: counts.requests, failures: counts.failures } }),
        ...(measured && {
          measured: { share: Number(measured.share), low: Number(measured.low), high: Number(measured.high) },
        }),
        ...(workloads && {
          pods: { ready: workload?.status?.readyReplicas ?? 0, wanted: workload?.spec?.replicas ?? 0 },
        }),
        ...(role === 'previous' && previous && { until: previous.expiresAt }),
      },
    ]
  })
}

const rolloutOf = ({ spec, status }: ModelDeployment): RolloutReport | undefined => {
  const candidate = status?.candidate
  if (candidate === undefined) return undefined
  const { state, substep, attempt, enteredAt, deadlineAt, pausedBy, stepWeight } = candidate
  const steps = stepsOf(spec).map(({ weight, gate }): StepReport => ({
    weight: percent(weight),
    gate,
    at: stepWeight === undefined || weight > stepWeight ? 'Ahead' : weight === stepWeight ? 'Now' : 'Passed',
  }))
  return {
    state,
    ...(substep !== undefined && { substep }),
    attempt,
    enteredAt,
    ...(deadlineAt !== undefined && { deadlineAt }),
    ...(pausedBy !== undefined && { pausedBy }),
    ...(steps.length > 1 && { steps }),
  }
}
