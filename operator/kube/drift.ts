// Does the live object still say what we want? Pure: desired is compared as a subset of live, because the server and
// other managers add fields of their own. The answer is the first difference in words, for the log and the Event.
import { createHash } from 'node:crypto'
import { sameQuantity } from './quantity.ts'
import type { Desired, KubeObject } from './types.ts'

/**
 * The hash of everything that we last asked for. A subset comparison cannot see a field that we stopped setting; a
 * different hash can, and the apply that follows removes it.
 */
export const intentAnnotation = 'slipway.dev/intent'

/** The object with the hash of its intent on it; the form in which it is compared and applied. */
export const withIntent = (desired: Desired): Desired => {
  const hash = createHash('sha256').update(canonical(desired)).digest('hex').slice(0, 16)
  const annotations = { ...desired.metadata.annotations, [intentAnnotation]: hash }
  return { ...desired, metadata: { ...desired.metadata, annotations } }
}

/** The intent hash on an object, if it carries one. */
export const intentOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[intentAnnotation]

/**
 * The first place where live does not say what desired says, such as `spec.replicas is 1, should be 2`; undefined when
 * there is none. Fields that only live has do not count. Status is never compared.
 */
export const firstDifference = (desired: Desired, live: KubeObject): string | undefined => {
  const { status: _, ...stated } = desired
  const [wanted, hash] = splitIntent(stated)
  const difference = compare(wanted, live, [])
  if (difference !== undefined) return difference
  return hash === undefined || hash === intentOf(live)
    ? undefined
    : `metadata.annotations.${intentAnnotation} is ${shown(intentOf(live))}: something that was set before is not any more`
}

/** The hash is compared last: any other difference says more. */
const splitIntent = (desired: KubeObject): [KubeObject, string | undefined] => {
  const hash = intentOf(desired)
  if (hash === undefined) return [desired, undefined]
  const { [intentAnnotation]: _, ...annotations } = desired.metadata.annotations ?? {}
  return [{ ...desired, metadata: { ...desired.metadata, annotations } }, hash]
}

type Path = readonly string[]

const compare = (desired: unknown, live: unknown, path: Path): string | undefined => {
  if (desired === undefined || desired === null || desired === live) return undefined
  if (Array.isArray(desired)) return compareLists(desired, live, path)
  if (isRecord(desired)) return compareObjects(desired, live, path)
  return sameScalar(desired, live, path) ? undefined : differs(path, live, desired)
}

const compareObjects = (desired: Readonly<Record<string, unknown>>, live: unknown, path: Path): string | undefined => {
  // The server drops empty maps, labels for instance; an empty struct (`emptyDir: {}`) it keeps.
  if (live === undefined && droppedWhenEmpty.has(path.at(-1) ?? '') && Object.keys(desired).length === 0)
    return undefined
  if (!isRecord(live)) return differs(path, live, desired)
  const known = agreeing.get(desired)
  if (known?.live === live && known.field === path.at(-1)) return undefined
  for (const field of Object.keys(desired)) {
    const difference = compare(desired[field], live[field], [...path, field])
    if (difference !== undefined) return difference
  }
  const field = path.at(-1)
  if (field !== undefined && Object.isFrozen(desired) && Object.isFrozen(live)) agreeing.set(desired, { live, field })
  return undefined
}

/**
 * What the caches share between objects is frozen, all the way down (sharing.ts): two such parts that once agreed agree
 * for ever, under a field of the same name, since names decide what a quantity is.
 */
const agreeing = new WeakMap<object, { readonly live: object; readonly field: string }>()

const compareLists = (desired: readonly unknown[], live: unknown, path: Path): string | undefined => {
  if (desired.length === 0 && live === undefined) return undefined
  if (!Array.isArray(live)) return differs(path, live, desired)
  const keyed = !atomicLists.has(path.at(-1) ?? '')
  if (keyed && desired.length > 0 && hasUniqueNames(desired) && hasUniqueNames(live)) {
    // Keyed by name: items of others (an injected sidecar) are theirs, and order is the server's.
    const byName = new Map(live.map((item) => [item.name, item]))
    for (const item of desired) {
      const difference = compare(item, byName.get(item.name), [...path, `[${item.name}]`])
      if (difference !== undefined) return difference
    }
    return undefined
  }
  if (desired.length !== live.length) {
    return `${wording(path)} has ${live.length} items, should have ${desired.length}`
  }
  for (const [index, item] of desired.entries()) {
    const difference = compare(item, live[index], [...path, `[${index}]`])
    if (difference !== undefined) return difference
  }
  return undefined
}

const sameScalar = (desired: unknown, live: unknown, path: Path): boolean => {
  if (!isScalar(desired) || !isScalar(live)) return false
  // IntOrString and quantities: a number and the text of the same number are one value wherever the server takes both.
  const [a, b] = [String(desired), String(live)]
  if (typeof desired !== typeof live)
    return typeof desired !== 'boolean' && typeof live !== 'boolean' && sameText(a, b, path)
  return typeof desired === 'string' && sameText(a, b, path)
}

const sameText = (a: string, b: string, path: Path): boolean => a === b || (isQuantity(path) && sameQuantity(a, b))

/** Maps whose values are quantities, and fields that are one. Text elsewhere that looks like one is just text. */
const quantityMaps = new Set(['requests', 'limits', 'capacity', 'hard', 'overhead'])
const quantityFields = new Set(['sizeLimit', 'storage', 'divisor'])
/** Free text of users, where no field name means anything. */
const textMaps = new Set(['labels', 'annotations', 'matchLabels', 'nodeSelector', 'selector', 'data'])

const isQuantity = (path: Path): boolean => {
  const [parent = '', field = ''] = path.slice(-2)
  return !textMaps.has(parent) && (quantityMaps.has(parent) || quantityFields.has(field))
}

/** Lists that are one value though their items have names: an item more changes what all the others mean. */
const atomicLists = new Set(['backendRefs', 'parentRefs'])

const droppedWhenEmpty = new Set([...textMaps, ...quantityMaps])

const hasUniqueNames = (items: readonly unknown[]): items is readonly { readonly name: string }[] =>
  items.every((item) => isRecord(item) && typeof item['name'] === 'string') &&
  new Set(items.map((item) => (item as { readonly name: string }).name)).size === items.length

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

const differs = (path: Path, live: unknown, desired: unknown): string =>
  live === undefined
    ? `${wording(path)} is missing, should be ${shown(desired)}`
    : `${wording(path)} is ${shown(live)}, should be ${shown(desired)}`

const wording = (path: Path): string => path.join('.').replaceAll('.[', '[')

/** Values are cut short: messages go to logs and Events. */
const shown = (value: unknown): string => {
  const text = value === undefined ? 'missing' : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 97)}...` : text
}

/** JSON with sorted keys and without undefined, so that equal intents have equal text. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item ?? null)).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value)
  const known = texts.get(value)
  if (known !== undefined) return known
  const fields = Object.keys(value)
    .filter((field) => value[field] !== undefined)
    .toSorted()
  const text = `{${fields.map((field) => `${JSON.stringify(field)}:${canonical(value[field])}`).join(',')}}`
  if (Object.isFrozen(value)) texts.set(value, text)
  return text
}

/** Of what the caches share: thousands of objects have the same probes, and each look at each of them needs their text. */
const texts = new WeakMap<object, string>()
