// The slipway.dev/command annotation: read for the rollout, which answers it in status.lastCommand. Pure.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { Command } from '../rollout/observed.ts'
import { cut } from '../rollout/text.ts'

export const commandAnnotation = 'slipway.dev/command'

/** The command on the object, as far as it is one. */
export const commandOf = ({ metadata }: ModelDeployment): Command | undefined => {
  const text = metadata.annotations?.[commandAnnotation]
  if (text === undefined) return undefined
  const { id, op, candidate, reason, by } = read(text)
  return id === '' || op === ''
    ? { kind: 'Malformed', id, op, message: malformed }
    : { kind: 'Order', id, op, candidate, reason, by }
}

const malformed = `The annotation ${commandAnnotation} is not a command; write {"id": "...", "op": "..."}, each a string.`

type Fields = Record<'id' | 'op' | 'candidate' | 'reason' | 'by', string>

const read = (text: string): Fields => {
  try {
    const value: unknown = JSON.parse(text)
    const field = (name: string): string => {
      const found = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
      return typeof found === 'string' ? found : ''
    }
    return {
      id: cut(field('id'), 128),
      op: cut(field('op'), 32),
      candidate: cut(field('candidate'), 63),
      reason: cut(field('reason'), 512),
      by: cut(field('by'), 256),
    }
  } catch {
    // Not JSON; the answer says what would be a command.
    return { id: '', op: '', candidate: '', reason: '', by: '' }
  }
}
