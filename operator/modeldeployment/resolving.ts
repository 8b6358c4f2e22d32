// How far the candidate's resolve Job has come. It changes nothing: the one write-shaped call is a dry run.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { revisionHash } from '../api/identity.ts'
import type { KubeClient } from '../kube/client.ts'
import { isInvalid } from '../kube/errors.ts'
import { deployments, type Job } from '../kube/resources.ts'
import type { Observed, Trouble } from '../rollout/observed.ts'
import type { CapacityLook } from './capacity/look.ts'
import { revisionDeployment } from './desired/children.ts'
import { renderPodTemplate, reservedLabels } from './desired/podtemplate.ts'
import { resolveJobName } from './names.ts'
import type { Seen } from './plan.ts'
import { numbered, readPods } from './podtrouble.ts'
import { isRefused } from './refused.ts'
import { resolutionOf } from './resolution.ts'
import { troubleOf } from './trouble.ts'

/** The candidate's resolve Job, as far as it has come; before it starts, whether the API server would take the pods at all. */
export const resolving = async (
  client: KubeClient,
  capacity: CapacityLook,
  deployment: ModelDeployment,
  revisions: readonly ModelRevision[],
  ownJobs: readonly Job[],
  image: string,
): Promise<Pick<Seen, 'resolved'> & { resolution: Observed['resolution']; trouble?: Trouble }> => {
  const candidate = deployment.status?.candidate
  const running = { resolution: { kind: 'Running' } } as const
  if (candidate?.state !== 'Pending' || revisions.some((r) => r.metadata.name === candidate.revision)) return running
  // The spec has moved on; the next status drops this candidate.
  if (candidate.hash !== revisionHash(deployment.spec)) return running
  const job = ownJobs.find((j) => j.metadata.name === resolveJobName(candidate.revision, candidate.attempt))
  if (job === undefined) {
    const trouble = await refusedTemplate(client, deployment, candidate.revision, image)
    return { ...running, ...(trouble && { trouble }) }
  }
  // By the Job's uid, not its name: pods of a deleted Job of this name may still be there, with another outcome.
  const jobPods = await readPods(client, deployment, `batch.kubernetes.io/controller-uid=${job.metadata.uid ?? ''}`)
  const stable = revisions.find((r) => r.metadata.name === deployment.status?.stable?.revision)
  const keep = deployment.spec.model.contract === 'Any' ? undefined : stable?.spec.contract
  const { revision, hash } = candidate
  const outcome = resolutionOf({ deployment, revision, hash, image, ...(keep && { keep }) }, jobView(job), jobPods)
  // A pod that has ended is no trouble but a result, as soon as the Job's controller says so: a verdict before that
  // would take the Job away as one that still runs, and its log with it.
  const atWork = jobPods.filter((pod) => pod.status?.phase !== 'Failed')
  const trouble =
    outcome.resolution.kind === 'Running' ? await numbered(troubleOf(atWork), atWork, capacity) : undefined
  return { ...outcome, ...(trouble && { trouble }) }
}

/** A dry run of the Deployment that this spec leads to: the API server's own validation, before any pod starts. */
const refusedTemplate = async (
  client: KubeClient,
  deployment: ModelDeployment,
  revision: string,
  image: string,
): Promise<Trouble | undefined> => {
  const reserved = reservedLabels(deployment)
  if (reserved.length > 0) {
    const message = `spec.podTemplate.metadata.labels sets ${reserved.join(', ')}, which Slipway sets itself. Remove ${reserved.length === 1 ? 'it' : 'them'}.`
    return { reason: 'InvalidPodTemplate', message, fatal: true }
  }
  const template = renderPodTemplate(deployment, {
    revision,
    version: 'dry-run',
    digest: `sha256:${'0'.repeat(64)}`,
    image,
  })
  try {
    await client.apply(deployments, revisionDeployment(deployment, revision, template, deployment.spec.replicas), {
      dryRun: true,
    })
    return undefined
  } catch (error) {
    if (!isRefused(error)) throw error
    return {
      reason: 'InvalidPodTemplate',
      message: `The API server refuses the pods that this spec describes: ${error.message}`,
      fatal: isInvalid(error),
    }
  }
}

const jobView = (job: Job) => job as Parameters<typeof resolutionOf>[1]
