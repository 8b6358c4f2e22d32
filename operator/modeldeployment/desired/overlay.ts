// spec.podTemplate laid over the pod template that Slipway renders, by Kubernetes' own strategic-merge keys. Pure.

/** Lists that Kubernetes merges by a key of their items; any other list is replaced as a whole. */
const mergeKeys: ReadonlyMap<string, string> = new Map([
  ['containers', 'name'],
  ['initContainers', 'name'],
  ['volumes', 'name'],
  ['env', 'name'],
  ['imagePullSecrets', 'name'],
  ['volumeMounts', 'mountPath'],
  ['ports', 'containerPort'],
  ['hostAliases', 'ip'],
])

/**
 * Lays `over` on `base` and returns a new value: objects are merged, keyed lists are merged by their key
 * (new items go to the end), everything else is replaced. `null` removes a field.
 *
 * @see https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */
export const overlay = (base: unknown, over: unknown, field = ''): unknown => {
  if (over === undefined) return base
  if (isObject(over)) return overlayObject(isObject(base) ? base : {}, over)
  const key = mergeKeys.get(field)
  if (Array.isArray(base) && Array.isArray(over) && key !== undefined) return overlayList(base, over, key)
  return over
}

const overlayObject = (base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> => {
  // A field may have any name, valueOf and __proto__ too.
  const merged = new Map(Object.entries(base))
  for (const [field, value] of Object.entries(over)) {
    if (value === null) merged.delete(field)
    else merged.set(field, overlay(merged.get(field), value, field))
  }
  return Object.fromEntries(merged)
}

const overlayList = (base: readonly unknown[], over: readonly unknown[], key: string): unknown[] => {
  const merged = [...base]
  for (const item of over) {
    const place = merged.findIndex((b) => isObject(b) && isObject(item) && b[key] !== undefined && b[key] === item[key])
    if (place === -1) merged.push(overlay(undefined, item))
    else merged[place] = overlay(merged[place], item)
  }
  return merged
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
