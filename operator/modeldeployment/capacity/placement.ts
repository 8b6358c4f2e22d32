// Why a node is out of the question for a pod, whatever room it has: cordoned, tainted, or not among those that the pod
// names. Pure. What depends on other pods (spread, anti-affinity) is left to the scheduler.
// @see https://kubernetes.io/docs/concepts/scheduling-eviction/
import type { Node } from '../../kube/resources.ts'

export interface Placement {
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly tolerations?: readonly Toleration[]
  readonly affinity?: {
    readonly nodeAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: { readonly nodeSelectorTerms?: readonly Term[] }
    }
  }
}

interface Toleration {
  readonly key?: string
  readonly operator?: string
  readonly value?: string
  readonly effect?: string
}

interface Term {
  readonly matchExpressions?: readonly Expression[]
  readonly matchFields?: readonly Expression[]
}

interface Expression {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[]
}

/** Why the node takes no such pod, to be read after its name; undefined when it may. */
export const barred = (node: Node, pod: Placement): string | undefined => {
  if (node.spec?.unschedulable === true) return 'is cordoned'
  const taint = node.spec?.taints?.find(
    ({ key, value = '', effect }) =>
      effect !== 'PreferNoSchedule' && !(pod.tolerations ?? []).some((one) => tolerates(one, key, value, effect)),
  )
  if (taint !== undefined) return `has the taint ${taint.key}${taint.value ? `=${taint.value}` : ''}:${taint.effect}`
  const labels = node.metadata.labels ?? {}
  const missing = Object.entries(pod.nodeSelector ?? {}).find(([key, value]) => labels[key] !== value)
  if (missing !== undefined) return `has no label ${missing[0]}=${missing[1]}`
  const terms = pod.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  if (terms === undefined || terms.some((term) => isMet(term, labels, node.metadata.name))) return undefined
  return 'does not match the node affinity'
}

const tolerates = (toleration: Toleration, key: string, value: string, effect: string): boolean => {
  if (toleration.effect && toleration.effect !== effect) return false
  if (!toleration.key) return toleration.operator === 'Exists'
  if (toleration.key !== key) return false
  return toleration.operator === 'Exists' || (toleration.value ?? '') === value
}

/** All requirements of a term hold; an empty term matches nothing. */
const isMet = (
  { matchExpressions = [], matchFields = [] }: Term,
  labels: Readonly<Record<string, string>>,
  name: string,
): boolean =>
  matchExpressions.length + matchFields.length > 0 &&
  matchExpressions.every((one) => holds(one, labels[one.key])) &&
  matchFields.every((one) => holds(one, one.key === 'metadata.name' ? name : undefined))

const holds = ({ operator, values = [] }: Expression, found: string | undefined): boolean => {
  switch (operator) {
    case 'In':
      return found !== undefined && values.includes(found)
    case 'NotIn':
      return found === undefined || !values.includes(found)
    case 'Exists':
      return found !== undefined
    case 'DoesNotExist':
      return found === undefined
    case 'Gt':
      return found !== undefined && Number(found) > Number(values[0])
    case 'Lt':
      return found !== undefined && Number(found) < Number(values[0])
    default:
      return false
  }
}
