// The slipway.dev/command annotation: read, and answered in status.lastCommand once for each id. Pure.
// This release carries out no command; to leave one without an answer would be to ignore it.
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import { cut } from '../rollout/text.ts'

type Answer = NonNullable<ModelDeploymentStatus['lastCommand']>

export const commandAnnotation = 'slipway.dev/command'

/** The answer to the command on the object; the one in its status when that is to the same command. */
export const answerTo = (deployment: ModelDeployment, now: number): Answer | undefined => {
  const before = deployment.status?.lastCommand
  const text = deployment.metadata.annotations?.[commandAnnotation]
  if (text === undefined) return before
  const { id, op } = read(text)
  if (before !== undefined && before.id === id && before.op === op) return before
  const message =
    id === '' || op === ''
      ? `The annotation ${commandAnnotation} is not a command; write {"id": "...", "op": "..."}, each a string.`
      : `This release carries out no commands: edit spec.model, spec.rollback.to, spec.rollout.paused or spec.rollout.retryToken instead.`
  return { id, op, result: 'Refused', message, at: new Date(now).toISOString() }
}

const read = (text: string): { id: string; op: string } => {
  try {
    const value: unknown = JSON.parse(text)
    const field = (name: string): string => {
      const found = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
      return typeof found === 'string' ? found : ''
    }
    return { id: cut(field('id'), 128), op: cut(field('op'), 32) }
  } catch {
    // Not JSON; the answer says what would be a command.
    return { id: '', op: '' }
  }
}
