// What differs between two specs, field by field. Pure.
import { isDeepStrictEqual } from 'node:util'

export interface Change {
  /** The path of the field, such as spec.model.uri. */
  readonly field: string
  /** Undefined where the field is unset. */
  readonly from?: unknown
  readonly to?: unknown
}

/** Objects are compared field by field; anything else, lists too, as a whole. */
export const changesOf = (from: unknown, to: unknown, field = 'spec'): Change[] => {
  if (isDeepStrictEqual(from, to)) return []
  if (!isObject(from) || !isObject(to))
    return [{ field, ...(from !== undefined && { from }), ...(to !== undefined && { to }) }]
  const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])].toSorted()
  return keys.flatMap((key) => changesOf(from[key], to[key], `${field}.${key}`))
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
