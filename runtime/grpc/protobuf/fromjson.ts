/**
 * Messages from plain JSON data of the same names, as REST answers with: one description, two forms.
 * It must never leave a value out silently: what a message has no field for is a bug, unless it is empty anyway.
 */
import type { Field, MessageType, PartOf } from './message.ts'

/** @throws Error for a value that the message cannot hold */
export function fromJson<M extends MessageType>(type: M, json: object): PartOf<M> {
  return messageOf(type, json) as PartOf<M>
}

function messageOf(type: MessageType, json: object): Record<string, unknown> {
  const message: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(json) as [string, unknown][]) {
    const field = type.fields[key]
    if (field !== undefined) message[key] = fieldOf(field, value)
    else if (!isEmpty(value)) throw new Error(`${type.name} has no field ${key} for ${JSON.stringify(value)}`)
  }
  return message
}

function fieldOf(field: Field, value: unknown): unknown {
  if (field.label === 'many') return (value as readonly unknown[]).map((one) => valueOf(field, one))
  if (field.label === 'map') {
    return new Map(Object.entries(value as object).map(([key, one]) => [key, valueOf(field, one)]))
  }
  return valueOf(field, value)
}

function valueOf({ type }: Field, value: unknown): unknown {
  if (type === 'int64' || type === 'uint64') return BigInt(value as number)
  if (typeof type === 'string') return value
  if (type.kind === 'message') return messageOf(type, value as object)
  const number = type.values.indexOf(value as string)
  if (number === -1) throw new Error(`${type.name} has no value ${String(value)}`)
  return number
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0
  return value === '' || value === 0 || value === false
}
