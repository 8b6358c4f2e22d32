// Gives a command: writes the annotation slipway.dev/command, and waits until the operator answers it in
// status.lastCommand. It decides nothing: whether a command makes sense is the operator's to say. What is refused here is
// only what has no revision that it could be about.
import { randomUUID } from 'node:crypto'
import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { revisionHash } from '../operator/api/identity.ts'
import type { ModelDeployment, ModelDeploymentStatus } from '../operator/api/modeldeployment.ts'
import { isConflict, isForbidden, isNotFound } from '../operator/kube/errors.ts'
import type { KubeClient } from '../operator/kube/client.ts'
import { commandAnnotation, commandOf } from '../operator/modeldeployment/command.ts'
import { modelDeployments } from '../operator/modeldeployment/resources.ts'
import type { Cluster } from './cluster.ts'
import { CliError } from './failure.ts'

export const operations = {
  promote: 'let a rollout go on that waits at a gate or for evidence',
  pause: 'hold a rollout where it is; it is still taken back when it fails',
  resume: 'let a rollout go on that a pause command holds',
  abort: 'take the candidate back and remember it as rejected',
  retry: 'try a rejected revision again',
  rollback: 'send users back to the previous revision, or abort a rollout',
} as const
export type Operation = keyof typeof operations

export interface Order {
  readonly op: Operation
  /** The revision that the command is about; the one that the status names unless given. */
  readonly candidate?: string
  /** Why, for the history. */
  readonly reason: string
  /** How long to wait for the answer. */
  readonly timeoutMs: number
}

export interface CommandReport {
  readonly kind: 'Command'
  readonly namespace: string
  readonly name: string
  readonly id: string
  readonly op: Operation
  readonly candidate: string
  readonly by: string
  /** The operator's own word, `Done` or `Refused`. */
  readonly result: string
  readonly message: string
}

/** How often the answer is looked for. */
const lookMs = 200

/**
 * @throws CliError `Refused` where there is nothing to give the command to, `NoAnswer` after `timeoutMs`
 */
export const giveCommand = async (
  cluster: Cluster,
  deployment: ModelDeployment,
  order: Order,
  signal: AbortSignal,
): Promise<CommandReport> => {
  const { client, namespace } = cluster
  const { name } = deployment.metadata
  const candidate = order.candidate ?? aboutWhat(deployment, order.op)
  const by = await whoAmI(client)
  const id = `${order.op}-${randomUUID()}`
  const deadline = performance.now() + order.timeoutMs
  const wait = { client, namespace, name, deadline, timeoutMs: order.timeoutMs, signal }
  // The annotation holds one command. Writing over one that nobody has answered would lose it without a trace.
  const before = unanswered(deployment)
  if (before !== undefined) await answerTo(wait, before)
  await write(client, namespace, name, { id, op: order.op, candidate, reason: order.reason, by })
  const { result, message } = await answerTo(wait, { id, op: order.op })
  return { kind: 'Command', namespace, name, id, op: order.op, candidate, by, result, message }
}

/** The revision that a command is about when none is named. */
const aboutWhat = (deployment: ModelDeployment, op: Operation): string => {
  const { metadata, spec, status = {} } = deployment
  const { candidate, stable, rejected = [] } = status
  if (op === 'retry') {
    const hash = revisionHash(spec)
    const found = rejected.find((r) => r.hash === hash) ?? rejected.at(-1)
    if (found !== undefined) return found.revision
    throw new CliError('Refused', `No revision of ${metadata.name} was rejected.`, 'There is nothing to try again.')
  }
  const about = candidate ?? (op === 'rollback' ? stable : undefined)
  if (about !== undefined) return about.revision
  const serving =
    stable === undefined ? 'no version serves yet' : `${stable.version} (${stable.revision}) serves all users`
  throw new CliError(
    'Refused',
    `No rollout of ${metadata.name} is under way, so there is nothing to ${op}: ${serving}.`,
    op === 'rollback'
      ? 'Apply a first version.'
      : 'Apply a new version to start one; kubectl slipway rollback takes the serving one back.',
  )
}

interface CommandId {
  readonly id: string
  readonly op: string
}

/** The command on the object that the operator has not answered, if there is one. */
const unanswered = (deployment: ModelDeployment): CommandId | undefined => {
  const command = commandOf(deployment)
  if (command === undefined || command.kind === 'Malformed') return undefined
  return answerIn(deployment.status, command) === undefined ? command : undefined
}

type Answer = Pick<NonNullable<ModelDeploymentStatus['lastCommand']>, 'result' | 'message'>

const answerIn = (status: ModelDeploymentStatus | undefined, { id }: CommandId): Answer | undefined => {
  const last = status?.lastCommand
  if (last?.id === id) return last
  if (last?.earlier?.includes(id) !== true) return undefined
  const message = `It was answered, but ${last.op} was given since and the status keeps the last answer only; kubectl slipway history shows what happened.`
  return { result: 'Answered', message }
}

interface Wait {
  readonly client: KubeClient
  readonly namespace: string
  readonly name: string
  /** By performance.now(). */
  readonly deadline: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

const answerTo = async (wait: Wait, command: CommandId): Promise<Answer> => {
  const { client, namespace, name, deadline, timeoutMs, signal } = wait
  for (;;) {
    const now = await client.find(modelDeployments, namespace, name, { signal })
    if (now === undefined)
      throw new CliError('Failed', `ModelDeployment ${name} was deleted meanwhile.`, 'Apply it again.')
    const answer = answerIn(now.status, command)
    if (answer !== undefined) return answer
    if (performance.now() > deadline)
      throw new CliError(
        'NoAnswer',
        `The operator has not answered ${command.op} (${command.id}) within ${timeoutMs / 1000} s; it carries it out when it comes to it.`,
        `Check that the operator runs and watches namespace ${namespace}, and look at kubectl slipway status ${name}.`,
      )
    await sleep(lookMs, undefined, { signal })
  }
}

const write = async (client: KubeClient, namespace: string, name: string, command: object): Promise<void> => {
  const patch = { metadata: { annotations: { [commandAnnotation]: JSON.stringify(command) } } }
  try {
    await client.mergePatch(modelDeployments, namespace, name, patch)
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
    throw new CliError('Failed', `ModelDeployment ${name} was deleted or changed meanwhile.`, 'Give the command again.')
  }
}

/** Who gives the command: the user as the API server knows it, else the one of this machine. */
const whoAmI = async (client: KubeClient): Promise<string> => {
  try {
    const { text } = await client.transport.call({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
      asked: { verb: 'create', resource: 'selfsubjectreviews.authentication.k8s.io' },
    })
    const { status } = JSON.parse(text) as { status?: { userInfo?: { username?: string } } }
    return status?.userInfo?.username ?? userInfo().username
  } catch (error) {
    // Older than 1.28, or not granted: a name for the history is no reason to fail.
    if (isNotFound(error) || isForbidden(error)) return userInfo().username
    throw error
  }
}
