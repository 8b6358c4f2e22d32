// Where routers run and what pulls their images, as whoever installs Slipway says it. Pure.
import { isAnObject, isListOf, isNamed, isStrings, isText, readSettings } from '../settings.ts'

/** Fields of a pod's spec that routers take as they are given. What is empty is not set at all. */
export interface RouterPlacement {
  /** Secrets of the routers' own namespaces. */
  readonly imagePullSecrets?: readonly { readonly name: string }[]
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly tolerations?: readonly object[]
  readonly affinity?: object
  readonly priorityClassName?: string
}

const fields = {
  imagePullSecrets: isListOf(isNamed),
  nodeSelector: isStrings,
  tolerations: isListOf(isAnObject),
  affinity: isAnObject,
  priorityClassName: isText,
}

/** Reads it from JSON. What Kubernetes alone can judge, such as an operator of an affinity, its API server judges. */
export const readPlacement = (
  text: string,
): { readonly placement: RouterPlacement } | { readonly problems: readonly string[] } => {
  const read = readSettings(text, fields)
  if ('problems' in read) return read
  return { placement: Object.fromEntries(Object.entries(read.settings).filter(([, value]) => !isEmpty(value))) }
}

const isEmpty = (value: unknown): boolean =>
  value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
