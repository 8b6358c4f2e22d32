/**
 * Finds the parameters that matter before a worker looks at a request: its priority and its deadline.
 * It must cost next to nothing for requests that have none, and must never refuse one: the codec says what is wrong.
 */
import { Fault } from '../errors.ts'
import { JsonScanner } from './json/scanner.ts'

export interface Urgency {
  readonly priority?: number
  readonly timeoutMs?: number
}

/** JSON beyond this is not looked at in the HTTP thread; its `timeout` still counts, in the worker. */
const maxBytes = 65_536
/** Bytes are found in less than half of the time that a string takes. */
const keys = ['"priority"', '"timeout"'].map((key) => Buffer.from(key))

/** @param json the JSON of an Open Inference Protocol request */
export function urgencyOf(json: Uint8Array): Urgency {
  if (json.byteLength === 0 || json.byteLength > maxBytes) return {}
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.byteLength)
  if (!keys.some((key) => bytes.includes(key))) return {}
  const scanner = new JsonScanner(json)
  let priority: number | undefined
  let timeoutMs: number | undefined
  try {
    scanner.object(1, (key) => {
      if (key !== 'parameters') return scanner.skip(2, true)
      return scanner.object(2, (name) => {
        const value = scanner.value(3)
        if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) return
        if (name === 'priority') priority = value
        if (name === 'timeout' && value > 0) timeoutMs = value / 1000
      })
    })
  } catch (error) {
    if (error instanceof Fault) return {}
    throw error
  }
  return { ...(priority === undefined ? {} : { priority }), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}
