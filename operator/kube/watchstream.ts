// The body of a watch as events: one JSON object a line. Anything else is an error, never skipped: after it nobody knows
// what was missed.
import type { Readable } from 'node:stream'
import { codeOf, ConnectionError, MalformedEventError, StatusError, type Asked, type StatusBody } from './errors.ts'
import type { KubeObject } from './types.ts'

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  /** `initialEventsEnd`: everything that existed when the watch began has been sent. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }

/** @see https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists */
const initialEventsEnd = 'k8s.io/initial-events-end'

/**
 * Reads a watch to its end and closes it.
 * @throws StatusError for an ERROR event, MalformedEventError, ConnectionError when the stream breaks
 */
export async function* readEvents<T extends KubeObject>(body: Readable, asked: Asked): AsyncGenerator<WatchEvent<T>> {
  try {
    for await (const line of lines(body)) yield parseEvent<T>(line, asked)
  } catch (error) {
    if (error instanceof StatusError || error instanceof MalformedEventError) throw error
    throw new ConnectionError(codeOf(error), asked, error)
  } finally {
    body.destroy()
  }
}

/** Whole lines of a stream. What follows the last line end was cut off and is an error. */
async function* lines(body: Readable): AsyncGenerator<string> {
  let rest = ''
  body.setEncoding('utf8')
  for await (const chunk of body as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
  if (rest.trim() !== '') throw new MalformedEventError(`the watch ended inside an event: ${rest.slice(0, 100)}`)
}

const parseEvent = <T extends KubeObject>(line: string, asked: Asked): WatchEvent<T> => {
  const event = parseLine(line)
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (event.object?.metadata?.resourceVersion === undefined) break
      return { type: event.type, object: event.object as T }
    case 'BOOKMARK':
      if (event.object?.metadata?.resourceVersion === undefined) break
      return {
        type: 'BOOKMARK',
        resourceVersion: event.object.metadata.resourceVersion,
        initialEventsEnd: event.object.metadata.annotations?.[initialEventsEnd] === 'true',
      }
    case 'ERROR': {
      const status = (event.object ?? {}) as StatusBody
      throw new StatusError(status.code ?? 500, status, asked)
    }
    default:
  }
  throw new MalformedEventError(`not a watch event: ${line.slice(0, 100)}`)
}

interface RawEvent {
  readonly type?: string
  readonly object?: Partial<KubeObject>
}

const parseLine = (line: string): RawEvent => {
  try {
    const event: unknown = JSON.parse(line)
    return typeof event === 'object' && event !== null ? event : {}
  } catch {
    throw new MalformedEventError(`not JSON in a watch: ${line.slice(0, 100)}`)
  }
}
