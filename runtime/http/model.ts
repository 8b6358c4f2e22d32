/**
 * The one model this server answers for, and whether a request means it.
 */
import { fault, type Fault } from '../errors.ts'

export interface ServedModel {
  readonly name: string
  readonly version: string
}

/** The Fault of a request for a model or version that is not served here. */
export function checkModel({ name, version }: ServedModel, found: string, foundVersion?: string): Fault | undefined {
  if (found !== name) return fault('UnknownModel', { found, model: name })
  if (foundVersion === undefined || foundVersion === version) return undefined
  return fault('UnknownVersion', { model: name, found: foundVersion, live: version })
}
