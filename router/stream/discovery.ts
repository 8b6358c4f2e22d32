// The two messages of incremental discovery ("delta xDS"): Envoy asks, acknowledges and refuses with one, and is told
// with the other. Pure.
// @see https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#incremental-xds
import { encodeAny } from './encode.ts'
import { typeUrl, type Message } from '../xds/json.ts'
import { fieldsOf, Writer } from './wire.ts'

/** The kinds of things that Envoy is told. */
export const kinds = {
  cluster: typeUrl('envoy.config.cluster.v3.Cluster'),
  endpoints: typeUrl('envoy.config.endpoint.v3.ClusterLoadAssignment'),
  listener: typeUrl('envoy.config.listener.v3.Listener'),
  routes: typeUrl('envoy.config.route.v3.RouteConfiguration'),
} as const
export type Kind = keyof typeof kinds

/** What Envoy says: what it wants, what it has, and what it makes of what it was sent. */
export interface Request {
  /** Undefined for a type that nobody here has anything of. */
  readonly kind: Kind | undefined
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  /** Versions by name, in the first request of a kind on a stream: what an Envoy that goes on has already. */
  readonly has: ReadonlyMap<string, string>
  /** The nonce of the response that this answers; empty when it answers none. */
  readonly nonce: string
  /** Why that response is refused. */
  readonly refusal?: string
}

/** One resource, to be added or changed; or the name of one that goes; or neither, only to answer. */
export interface Response {
  readonly kind: Kind
  readonly nonce: string
  readonly resource?: { readonly name: string; readonly version: string; readonly message: Message }
  readonly removed?: string
}

/** @throws WireError */
export const decodeRequest = (bytes: Buffer): Request => {
  const [subscribe, unsubscribe]: [string[], string[]] = [[], []]
  const has = new Map<string, string>()
  let [type, nonce]: [string, string] = ['', '']
  let refusal: string | undefined
  for (const { field, value } of fieldsOf(bytes)) {
    if (typeof value === 'number') continue
    if (field === 2) type = value.toString()
    if (field === 3) subscribe.push(value.toString())
    if (field === 4) unsubscribe.push(value.toString())
    if (field === 5) has.set(textIn(value, 1), textIn(value, 2))
    if (field === 6) nonce = value.toString()
    if (field === 7) refusal = textIn(value, 2) || 'it says nothing more'
  }
  const kind = (Object.keys(kinds) as Kind[]).find((known) => kinds[known] === type)
  return { kind, subscribe, unsubscribe, has, nonce, ...(refusal !== undefined && { refusal }) }
}

export const encodeResponse = ({ kind, nonce, resource, removed }: Response): Buffer => {
  const writer = new Writer()
  if (resource !== undefined) {
    const { name, version, message } = resource
    writer.text(1, version)
    writer.bytes(2, new Writer().text(1, version).bytes(2, encodeAny(message)).text(3, name).done())
  }
  writer.text(4, kinds[kind]).text(5, nonce)
  if (removed !== undefined) writer.text(6, removed)
  return writer.done()
}

const textIn = (message: Buffer, wanted: number): string => {
  for (const { field, value } of fieldsOf(message)) if (field === wanted) return value.toString()
  return ''
}
