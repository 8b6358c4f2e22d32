// What became of a resolve Job, read from the Job, its pods and what its container said at its end. Pure.
import { isReason, type Reason } from '../api/conditions.ts'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelContract } from '../api/modelrevision.ts'
import type { Resolution } from '../rollout/observed.ts'
import { contractDifference } from './contract.ts'
import type { ResolvedModel } from './desired/children.ts'
import { resolveContainer } from './desired/podtemplate.ts'
import { pinnedImage } from './image.ts'
import { readTermination, type Termination } from './termination.ts'
import { troubleOf, type ContainerStatus, type PodView } from './trouble.ts'

/** The fields of a Job that tell whether it has ended. */
export interface JobView {
  readonly metadata: { readonly name: string }
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason?: string
      readonly message?: string
    }[]
  }
}

export const isFinished = (job: JobView): boolean =>
  job.status?.conditions?.some((c) => (c.type === 'Complete' || c.type === 'Failed') && c.status === 'True') ?? false

/**
 * It has failed for good, and waits only for pods that are told to end: one on a lost node never says that it has.
 * @see KEP-3939, condition FailureTarget
 */
const isLost = (job: JobView, pods: readonly PodView[]): boolean =>
  pods.every(({ metadata }) => metadata.deletionTimestamp !== undefined) &&
  (job.status?.conditions?.some((c) => c.type === 'FailureTarget' && c.status === 'True') ?? false)

/** What the resolve Job concerns: the revision, and what a new one must be compatible with. */
export interface ResolveRequest {
  readonly deployment: ModelDeployment
  readonly revision: string
  readonly hash: string
  readonly image: string
  /** The contract of the serving revision, when there is one and the spec asks to keep it. */
  readonly keep?: ModelContract
}

/** The outcome of one attempt, and what it read when it succeeded. */
export const resolutionOf = (
  request: ResolveRequest,
  job: JobView | undefined,
  pods: readonly PodView[],
): { readonly resolution: Resolution; readonly resolved?: ResolvedModel } => {
  const said = pods.flatMap((pod) => terminationOf(pod) ?? [])
  const result = said.find((t) => t.ok)
  if (result?.ok === true) return accepted(request, result, pods)
  if (job === undefined) return { resolution: { kind: 'Running' } }
  if (!isFinished(job))
    return isLost(job, pods)
      ? { resolution: failed('PodCrashed', `The pod of Job ${job.metadata.name} was lost with its node.`, true) }
      : { resolution: { kind: 'Running' } }
  const refusal = said.find((t) => !t.ok)
  if (refusal?.ok === false) {
    const { message, retryable } = refusal
    return { resolution: failed(isReason(refusal.code) ? refusal.code : 'ModelInvalid', message, retryable) }
  }
  const trouble = troubleOf(pods)
  // A Job's container runs once: running out of memory there is as final as it gets.
  if (trouble !== undefined)
    return { resolution: failed(trouble.reason, trouble.message, trouble.reason !== 'InsufficientMemory') }
  const condition = job.status?.conditions?.find((c) => c.type === 'Failed')
  const message = `Job ${job.metadata.name} ended without a result (${condition?.message ?? 'its pod is gone'}).`
  return {
    resolution: failed(condition?.reason === 'DeadlineExceeded' ? 'DeadlineExceeded' : 'PodCrashed', message, true),
  }
}

const accepted = (
  { deployment, revision, hash, image, keep }: ResolveRequest,
  result: Extract<Termination, { ok: true }>,
  pods: readonly PodView[],
): { resolution: Resolution; resolved?: ResolvedModel } => {
  const contract = { inputs: result.inputs, outputs: result.outputs }
  const difference = keep === undefined ? undefined : contractDifference(keep, contract)
  if (difference !== undefined) {
    const message = `Clients of the serving version would break: ${difference}. Keep the contract, or set spec.model.contract to Any.`
    return { resolution: failed('ContractIncompatible', message, false) }
  }
  const imageID = pods.flatMap((pod) => resolverOf(pod)?.imageID ?? []).find((id) => id !== '')
  const version = deployment.spec.model.version ?? result.digest.slice('sha256:'.length, 'sha256:'.length + 12)
  const { digest, sizeBytes } = result
  const resolved = { revision, hash, version, digest, sizeBytes, contract, image: pinnedImage(image, imageID) }
  return { resolution: { kind: 'Resolved', digest, version }, resolved }
}

/** The container that resolves: others, which an admission webhook may have added, neither tell the result nor run our image. */
const resolverOf = (pod: PodView): ContainerStatus | undefined =>
  pod.status?.containerStatuses?.find((c) => c.name === resolveContainer)

const terminationOf = (pod: PodView): Termination | undefined =>
  readTermination(resolverOf(pod)?.state?.terminated?.message)

const failed = (reason: Reason, message: string, retryable: boolean): Resolution => ({
  kind: 'Failed',
  reason,
  message,
  retryable,
})
