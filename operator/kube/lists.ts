// Lists: how they are asked for, and what is made of the answer. Pure.
import type { ListOptions, Page } from './calls.ts'
import { ConnectionError, type Asked } from './errors.ts'
import { apiVersionOf, pathOf, resourceName, type ResourceType } from './resources.ts'
import type { ApiRequest } from './transport.ts'
import type { KubeObject } from './types.ts'

/** What is left of a list without its items. */
export interface ListBody {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
}

export const listRequest = (type: ResourceType, options: ListOptions): ApiRequest => {
  const { namespace, labelSelector, fieldSelector, limit, resourceVersion } = options
  return {
    method: 'GET',
    path: pathOf(type, namespace),
    query: { labelSelector, fieldSelector, limit, continue: options.continue, resourceVersion },
    asked: { verb: 'list', resource: resourceName(type), namespace },
    signal: options.signal,
    timeoutMs: options.timeoutMs,
  }
}

/** Items of a list of built-in kinds do not say what they are. */
export const completed = <T extends KubeObject>(type: ResourceType<T>): ((item: object) => T) => {
  const [apiVersion, kind] = [apiVersionOf(type), type.kind]
  return (item) => ({ apiVersion, kind, ...item }) as T
}

/** @throws ConnectionError for JSON that is no list: something on the way answered */
export const endOf = ({ metadata }: Partial<ListBody>, asked: Asked): Omit<Page<never>, 'items'> => {
  if (metadata?.resourceVersion === undefined) {
    throw new ConnectionError('Malformed', asked, new TypeError('the answer is JSON, but no list'))
  }
  const { resourceVersion, continue: next } = metadata
  return { resourceVersion, ...(next !== undefined && next !== '' && { continue: next }) }
}
