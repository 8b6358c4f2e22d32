// What makes two specs the same revision. Pure. Old hashes must never change: a changed hash rolls every model.
import { createHash } from 'node:crypto'
import type { ModelDeploymentSpec } from './modeldeployment.ts'

/** The fields that change pods or answers, as the user wrote them. */
export interface RevisionIntent {
  readonly model: Omit<ModelDeploymentSpec['model'], 'contract' | 'credentialsSecret'>
  readonly runtime?: NonNullable<ModelDeploymentSpec['runtime']>
  readonly resources?: NonNullable<ModelDeploymentSpec['resources']>
  readonly podTemplate?: NonNullable<ModelDeploymentSpec['podTemplate']>
}

/** The part of a spec that identity looks at; a whole ModelDeploymentSpec is one. */
export type IdentifiedSpec = Pick<ModelDeploymentSpec, 'model' | 'runtime' | 'resources' | 'podTemplate'>

/** The intent of a spec, absent parts left out. What a later release adds stays absent in old specs. */
export const revisionIntent = ({ model, runtime, resources, podTemplate }: IdentifiedSpec): RevisionIntent => {
  const { contract: _contract, credentialsSecret: _credentialsSecret, ...identified } = model
  return {
    model: identified,
    ...(runtime === undefined ? {} : { runtime }),
    ...(resources === undefined ? {} : { resources }),
    ...(podTemplate === undefined ? {} : { podTemplate }),
  }
}

/** Ten hexadecimal digits of the sha256 of the intent's canonical JSON. Replicas, traffic and rollout never matter. */
export const revisionHash = (spec: IdentifiedSpec): string =>
  createHash('sha256')
    .update(canonicalJson(revisionIntent(spec)))
    .digest('hex')
    .slice(0, 10)

/** The name of a revision, which is also the name of its Deployment: `<name>-<hash>`. */
export const revisionName = (name: string, hash: string): string => `${name}-${hash}`

/** JSON with sorted keys and without undefined, so that equal values have equal text. Lists keep their order. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`
}
