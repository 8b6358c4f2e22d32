// Whether the quotas of a namespace leave room for more pods of a template, before the first of them is made. Pure.
// A quota that depends on more than the pod's resources (a priority class, say) is left to the API server.
import type { ResourceQuota } from '../../kube/resources.ts'
import { amountsOf, inWords, read, times, type Amounts, type PodResources } from './amounts.ts'

/** What stands in the way, in one sentence with the numbers; undefined when nothing does. @param pods how many more */
export const quotaShortage = (
  quotas: readonly ResourceQuota[],
  pod: PodResources,
  pods: number,
): string | undefined => {
  if (pods <= 0) return undefined
  const asked = times(countedOf(pod), pods)
  for (const { metadata, status, spec } of quotas.toSorted((a, b) => byName(a.metadata.name, b.metadata.name))) {
    if (!isAbout(pod, spec?.scopes ?? [], spec?.scopeSelector !== undefined)) continue
    const [hard, used] = [read(status?.hard ?? {}), read(status?.used ?? {})]
    const short = Object.entries(asked).filter(
      ([name, amount]) => hard[name] !== undefined && amount > 0n && (used[name] ?? 0n) + amount > hard[name],
    )
    if (short.length === 0) continue
    const words = short.map(([name, amount]) => {
      const free = (hard[name] ?? 0n) - (used[name] ?? 0n)
      return `${inWords(name, amount)} ${name}, and ${inWords(name, free < 0n ? 0n : free)} of ${inWords(name, hard[name] ?? 0n)} are left`
    })
    return `ResourceQuota ${metadata.name} leaves no room for ${pods === 1 ? '1 more pod' : `${pods} more pods`}: asked ${words.join('; ')}.`
  }
  return undefined
}

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** One pod by the names that quotas count it under. @see https://kubernetes.io/docs/concepts/policy/resource-quotas/ */
const countedOf = (pod: PodResources): Amounts => {
  const [requests, limits] = [amountsOf(pod), amountsOf(pod, 'limits')]
  const prefixed = (amounts: Amounts, prefix: string): [string, bigint][] =>
    Object.entries(amounts).map(([name, value]) => [`${prefix}.${name}`, value])
  return {
    ...requests,
    ...Object.fromEntries([...prefixed(requests, 'requests'), ...prefixed(limits, 'limits')]),
    pods: 1000n,
    'count/pods': 1000n,
  }
}

/** Whether a quota of these scopes counts the pod. Serving pods have no deadline. */
const isAbout = (pod: PodResources, scopes: readonly string[], hasSelector: boolean): boolean => {
  if (hasSelector) return false
  const bestEffort = isBestEffort(pod)
  return scopes.every((scope) => {
    switch (scope) {
      case 'NotTerminating':
        return true
      case 'BestEffort':
        return bestEffort
      case 'NotBestEffort':
        return !bestEffort
      default:
        return false
    }
  })
}

const isBestEffort = (pod: PodResources): boolean => {
  const all = { ...amountsOf(pod), ...amountsOf(pod, 'limits') }
  return (all['cpu'] ?? 0n) === 0n && (all['memory'] ?? 0n) === 0n
}
