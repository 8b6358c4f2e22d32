// Amounts of resources: what a pod asks for, added up and put into words. Pure.
import { milliOf } from '../../kube/quantity.ts'

/** By resource name, in thousandths of its unit: cores, bytes, devices. */
export type Amounts = Readonly<Record<string, bigint>>

interface ContainerResources {
  readonly restartPolicy?: string
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string | number>>
    readonly limits?: Readonly<Record<string, string | number>>
  }
}

/** What the scheduler reads of a pod. */
export interface PodResources {
  readonly containers?: readonly ContainerResources[]
  readonly initContainers?: readonly ContainerResources[]
  readonly overhead?: Readonly<Record<string, string | number>>
}

type Side = 'requests' | 'limits'

/**
 * What a pod takes of a node (`requests`), or may use at most (`limits`).
 * @see https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
 */
export const amountsOf = (pod: PodResources, side: Side = 'requests'): Amounts => {
  const init = pod.initContainers ?? []
  const sidecars = init.filter(({ restartPolicy }) => restartPolicy === 'Always')
  const running = total([...(pod.containers ?? []), ...sidecars].map((container) => amountsIn(container, side)))
  // One init container runs after the other, beside those sidecars that were started before it.
  const starting = init.map((container, index) => {
    const before = init.slice(0, index).filter(({ restartPolicy }) => restartPolicy === 'Always')
    return total([...before, container].map((one) => amountsIn(one, side)))
  })
  return total([starting.reduce(greatest, running), read(pod.overhead ?? {})])
}

/** A request that is not written is the limit. @see the defaults of v1.ResourceRequirements */
const amountsIn = ({ resources }: ContainerResources, side: Side): Amounts =>
  side === 'limits'
    ? read(resources?.limits ?? {})
    : { ...read(resources?.limits ?? {}), ...read(resources?.requests ?? {}) }

export const read = (quantities: Readonly<Record<string, string | number>>): Amounts =>
  Object.fromEntries(Object.entries(quantities).map(([name, text]) => [name, milliOf(text) ?? 0n]))

export const total = (all: readonly Amounts[]): Amounts => {
  const sums: Record<string, bigint> = {}
  for (const amounts of all)
    for (const [name, value] of Object.entries(amounts)) sums[name] = (sums[name] ?? 0n) + value
  return sums
}

export const times = (amounts: Amounts, factor: number): Amounts =>
  Object.fromEntries(Object.entries(amounts).map(([name, value]) => [name, value * BigInt(factor)]))

const greatest = (a: Amounts, b: Amounts): Amounts => {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])]
  return Object.fromEntries(names.map((name) => [name, max(a[name] ?? 0n, b[name] ?? 0n)]))
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)

const units = [
  ['Gi', 30n],
  ['Mi', 20n],
  ['Ki', 10n],
] as const

/** An amount as people write it: `0.5`, `512Mi`, `2`. Rounded down: nobody is promised what is not there. */
export const inWords = (name: string, milli: bigint): string => {
  const sign = milli < 0n ? '-' : ''
  const value = milli < 0n ? -milli : milli
  if (!isBytes(name)) return `${sign}${decimal(value)}`
  const bytes = value / 1000n
  for (const [unit, shift] of units) {
    const one = 1n << shift
    if (bytes >= one) return `${sign}${decimal((bytes * 1000n) / one, 1)}${unit}`
  }
  return `${sign}${bytes}`
}

const isBytes = (name: string): boolean =>
  /(^|\.)(memory|ephemeral-storage|storage)$/.test(name) || name.startsWith('hugepages-')

/** Thousandths with at most so many digits after the point. */
const decimal = (milli: bigint, digits = 3): string => {
  const [whole, rest] = [milli / 1000n, milli % 1000n]
  const fraction = String(rest).padStart(3, '0').slice(0, digits).replace(/0+$/, '')
  return fraction === '' ? String(whole) : `${whole}.${fraction}`
}

/** Devices first, then by name: the API server keeps no order, and the same shortage is to be told in the same words. */
export const sorted = (amounts: Amounts): readonly (readonly [name: string, amount: bigint])[] =>
  Object.entries(amounts).toSorted(([a], [b]) => Number(b.includes('/')) - Number(a.includes('/')) || (a < b ? -1 : 1))

/** `1 nvidia.com/gpu, 0.5 cpu and 2Gi memory`. */
export const listed = (amounts: Amounts): string => {
  const words = sorted(amounts)
    .filter(([, value]) => value > 0n)
    .map(([name, value]) => `${inWords(name, value)} ${name}`)
  const last = words.pop()
  return last === undefined ? 'nothing' : words.length === 0 ? last : `${words.join(', ')} and ${last}`
}
