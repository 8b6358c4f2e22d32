// The verbs of the API, typed by resource. Objects are as on the wire; list items carry apiVersion and kind as well, so
// that an object looks the same however it was read. Keeps no state and no cache.
import type {
  ApplyOptions,
  CallOptions,
  DeleteOptions,
  ListOptions,
  LogOptions,
  Page,
  WatchOptions,
  WriteOptions,
} from './calls.ts'
import { jsonIn, objectIn } from './answer.ts'
import { codeOf, ConnectionError, isNotFound, type Asked } from './errors.ts'
import { completed, endOf, listRequest, type ListBody } from './lists.ts'
import { ListScanner } from './listscanner.ts'
import { pathOf, pods, resourceName, type ResourceType } from './resources.ts'
import type { ApiRequest, Transport } from './transport.ts'
import type { Desired, KubeObject } from './types.ts'
import { readEvents, type WatchEvent } from './watchstream.ts'

/** One name for ever: fields are owned under it. */
export const defaultFieldManager = 'slipway'

export class KubeClient {
  readonly transport: Transport

  constructor(transport: Transport) {
    this.transport = transport
  }

  /** @throws StatusError; isNotFound when there is no such object */
  get<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    options: CallOptions = {},
  ): Promise<T> {
    return this.#object(type, 'get', { method: 'GET', namespace, name }, options)
  }

  /** As `get`, but undefined when there is no such object. */
  async find<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.get(type, namespace, name, options)
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  /** One page; without a limit, everything. */
  async list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Promise<Page<T>> {
    const request = listRequest(type, options)
    const body = await this.#json<Partial<ListBody> & { readonly items?: readonly object[] }>(request)
    return { items: (body.items ?? []).map(completed(type)), ...endOf(body, request.asked) }
  }

  /**
   * As `list`, for lists of any length: each object is handed on as soon as it came, in parts small enough to leave the
   * event loop to others. Its managedFields are null. Only the answer's beginning has the deadline; the signal ends the rest.
   * @param onItems called with what a part of the answer brought, empty when it was not enough for an object; the next
   * part waits until it has resolved
   * @throws as `list`; what was handed on before is then of no use
   */
  async listStreaming<T extends KubeObject>(
    type: ResourceType<T>,
    options: ListOptions,
    onItems: (items: readonly T[]) => Promise<void>,
  ): Promise<Omit<Page<T>, 'items'>> {
    const request = listRequest(type, options)
    const body = await this.transport.stream(request)
    const scanner = new ListScanner()
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) await onItems(scanner.push(chunk).map(completed(type)))
      return endOf(scanner.end(), request.asked)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (error instanceof SyntaxError) throw new ConnectionError('Malformed', request.asked, error)
      if (error instanceof ConnectionError) throw error
      throw new ConnectionError(codeOf(error), request.asked, error)
    } finally {
      body.destroy()
    }
  }

  /**
   * Events after `resourceVersion`, until the server ends the stream or the signal aborts (which ends it silently).
   * Without one: what exists as ADDED events, a bookmark with `initialEventsEnd`, then as ever; not every server can.
   * @throws StatusError (410 when the version is too old), ConnectionError, MalformedEventError
   */
  async *watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal } = options
    const asked: Asked = { verb: 'watch', resource: resourceName(type), namespace }
    const body = await this.transport.stream({
      method: 'GET',
      path: pathOf(type, namespace),
      query: {
        watch: 1,
        allowWatchBookmarks: true,
        labelSelector,
        fieldSelector,
        timeoutSeconds,
        ...(resourceVersion === undefined ? streamedList : { resourceVersion }),
      },
      asked,
      signal,
      timeoutMs: options.timeoutMs,
    })
    options.onOpen?.()
    try {
      yield* readEvents<T>(body, asked)
    } catch (error) {
      if (signal?.aborted !== true) throw error
    }
  }

  /** POST. @throws StatusError; isAlreadyExists when the name is taken */
  create<T extends KubeObject>(
    type: ResourceType<T>,
    object: Desired,
    options: WriteOptions & { readonly fieldManager?: string } = {},
  ): Promise<T> {
    const { namespace } = object.metadata
    const query = { fieldManager: options.fieldManager ?? defaultFieldManager }
    return this.#object(type, 'create', { method: 'POST', namespace, body: object, query }, options)
  }

  /**
   * Server-side apply: what `object` says becomes ours, what we said before and it no longer says is removed.
   * Creates the object where there is none.
   */
  async apply<T extends KubeObject>(type: ResourceType<T>, object: Desired, options: ApplyOptions = {}): Promise<T> {
    return (await this.applyObserved(type, object, options)).object
  }

  /** As `apply`; says as well whether the object was created by it. */
  async applyObserved<T extends KubeObject>(
    type: ResourceType<T>,
    object: Desired,
    options: ApplyOptions = {},
  ): Promise<{ readonly object: T; readonly created: boolean }> {
    const { namespace, name } = object.metadata
    const asked: Asked = { verb: 'patch', resource: resourceFor(type, options.subresource), namespace, name }
    const { status, text } = await this.transport.call({
      ...writing(options),
      method: 'PATCH',
      path: pathOf(type, namespace, name, options.subresource),
      query: {
        fieldManager: options.fieldManager ?? defaultFieldManager,
        force: options.force ?? true,
        ...dryRun(options),
      },
      contentType: 'application/apply-patch+yaml',
      body: object,
      asked,
    })
    return { object: objectIn(text, asked) as T, created: status === 201 }
  }

  /** PUT of the whole object; its resourceVersion must be the current one, or there is a conflict. */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace, name } = object.metadata
    return this.#object(type, 'update', { method: 'PUT', namespace, name, body: object }, options)
  }

  /** PUT of the status; its resourceVersion must be the current one, or there is a conflict. */
  updateStatus<T extends KubeObject>(type: ResourceType<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace, name } = object.metadata
    return this.#object(
      type,
      'update',
      { method: 'PUT', namespace, name, subresource: 'status', body: object },
      options,
    )
  }

  /** JSON merge patch: null removes a field, lists are replaced whole. */
  mergePatch<T extends KubeObject>(
    type: ResourceType<T>,
    namespace: string | undefined,
    name: string,
    patch: object,
    options: WriteOptions & { readonly subresource?: 'status' } = {},
  ): Promise<T> {
    const { subresource } = options
    const contentType = 'application/merge-patch+json'
    return this.#object(
      type,
      'patch',
      { method: 'PATCH', namespace, name, body: patch, contentType, ...(subresource && { subresource }) },
      options,
    )
  }

  /** @throws StatusError; isNotFound when it is gone already, isConflict when a precondition fails */
  async delete(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const { uid, resourceVersion, propagationPolicy } = options
    const asked: Asked = { verb: 'delete', resource: resourceName(type), namespace, name }
    const { text } = await this.transport.call({
      ...writing(options),
      method: 'DELETE',
      path: pathOf(type, namespace, name),
      query: dryRun(options),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: propagationPolicy ?? 'Background',
        ...((uid !== undefined || resourceVersion !== undefined) && {
          preconditions: {
            ...(uid !== undefined && { uid }),
            ...(resourceVersion !== undefined && { resourceVersion }),
          },
        }),
      },
      asked,
    })
    // A Status, or the object as it now goes.
    objectIn(text, asked)
  }

  /** The kinds that the server has in this version of a group; empty where it does not know the group. */
  async servedKinds(group: string, version: string, options: CallOptions = {}): Promise<readonly string[]> {
    const apiVersion = `${group}/${version}`
    try {
      const { resources = [] } = await this.#json<{ readonly resources?: readonly { readonly kind: string }[] }>({
        method: 'GET',
        path: `/apis/${apiVersion}`,
        asked: { verb: 'get', resource: apiVersion },
        signal: options.signal,
        timeoutMs: options.timeoutMs,
      })
      return resources.map(({ kind }) => kind)
    } catch (error) {
      if (isNotFound(error)) return []
      throw error
    }
  }

  /** What a container wrote. */
  async logs(namespace: string, pod: string, options: LogOptions = {}): Promise<string> {
    const { container, tailLines, previous } = options
    const { text } = await this.transport.call({
      method: 'GET',
      path: pathOf(pods, namespace, pod, 'log'),
      query: { container, tailLines, previous },
      asked: { verb: 'get', resource: 'pods/log', namespace, name: pod },
      signal: options.signal,
      timeoutMs: options.timeoutMs,
    })
    return text
  }

  async #object<T extends KubeObject>(
    type: ResourceType<T>,
    verb: string,
    what: {
      readonly method: ApiRequest['method']
      readonly namespace: string | undefined
      readonly name?: string
      readonly subresource?: 'status'
      readonly body?: unknown
      readonly contentType?: string
      readonly query?: ApiRequest['query']
    },
    options: WriteOptions,
  ): Promise<T> {
    const { method, namespace, name, subresource, body, contentType } = what
    const asked: Asked = { verb, resource: resourceFor(type, subresource), namespace, name }
    const { text } = await this.transport.call({
      ...writing(options),
      method,
      path: pathOf(type, namespace, name, subresource),
      query: { ...what.query, ...dryRun(options) },
      asked,
      ...(body !== undefined && { body }),
      ...(contentType !== undefined && { contentType }),
    })
    return objectIn(text, asked) as T
  }

  async #json<T>(request: ApiRequest): Promise<T> {
    const { text } = await this.transport.call(request)
    return jsonIn(text, request.asked) as T
  }
}

/** @see https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists */
const streamedList = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }

const resourceFor = (type: ResourceType, subresource: string | undefined): string =>
  subresource === undefined ? resourceName(type) : `${resourceName(type)}/${subresource}`

const writing = ({ signal, timeoutMs, apart, unfenced }: WriteOptions) => ({
  signal,
  timeoutMs,
  apart: apart === true,
  unfenced: unfenced === true,
})

const dryRun = (options: WriteOptions): { dryRun?: 'All' } => (options.dryRun === true ? { dryRun: 'All' } : {})
