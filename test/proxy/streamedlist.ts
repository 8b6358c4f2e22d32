// A watch that begins with everything there is, made from a list and a watch of a server that has no such thing: etcd 3.4,
// which the tests run on, is too old for it.
import type { Writable } from 'node:stream'

/** @see https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists */
const endOfInitialEvents = { 'k8s.io/initial-events-end': 'true' }

interface List {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly resourceVersion: string }
  readonly items: readonly object[]
}

/** The paths to ask instead: the list, and the watch that goes on from the list's version. */
export const splitStreamedList = (url: string) => {
  const without = (...names: readonly string[]): URL => {
    const copy = new URL(url, 'http://any')
    for (const name of ['sendInitialEvents', 'resourceVersionMatch', ...names]) copy.searchParams.delete(name)
    return copy
  }
  const text = ({ pathname, search }: URL): string => `${pathname}${search}`
  return {
    list: text(without('watch', 'allowWatchBookmarks', 'timeoutSeconds')),
    watchFrom: (resourceVersion: string): string => {
      const watch = without()
      watch.searchParams.set('resourceVersion', resourceVersion)
      return text(watch)
    },
  }
}

/** Writes a list as the beginning of a watch. @returns the version to watch from */
export const writeInitialEvents = (text: string, to: Writable): string => {
  const { apiVersion, kind, metadata, items } = JSON.parse(text) as List
  const type = { apiVersion, kind: kind.replace(/List$/, '') }
  const line = (event: object): boolean => to.write(`${JSON.stringify(event)}\n`)
  for (const item of items) line({ type: 'ADDED', object: { ...type, ...item } })
  const { resourceVersion } = metadata
  line({ type: 'BOOKMARK', object: { ...type, metadata: { resourceVersion, annotations: endOfInitialEvents } } })
  return resourceVersion
}
