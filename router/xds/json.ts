// Envoy's messages in their JSON form; router/stream puts them into the one that Envoy takes. Pure.
import { createHash } from 'node:crypto'

/** Any message of Envoy's API as JSON; router/stream/schema.ts and Envoy itself judge its fields. */
export type Message = { readonly [field: string]: unknown }

export const typeUrl = (message: string): string => `type.googleapis.com/${message}`

/** A message inside an `Any`. */
export const any = (message: string, fields: Message): Message => ({ '@type': typeUrl(message), ...fields })

export const extension = (name: string, message: string, fields: Message = {}): Message => ({
  name,
  typed_config: any(message, fields),
})

/** Milliseconds as protobuf writes durations in JSON. */
export const duration = (ms: number): string => `${ms / 1000}s`

/** 16 hexadecimal digits that stand for a content. Remembered: the same message is compared again and again. */
export const contentHash = (message: object): string => {
  const known = hashes.get(message)
  if (known !== undefined) return known
  const hash = createHash('sha256').update(JSON.stringify(message)).digest('hex').slice(0, 16)
  hashes.set(message, hash)
  return hash
}

const hashes = new WeakMap<object, string>()

/** Envoy asks the agent, over the stream that it holds open; and it waits rather than go on with nothing. */
export const fromAgent: Message = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' }

/** What a stream of HTTP/2 may send before it is read. Envoy's own 16 MiB, of thirty streams, are all the memory there is. */
export const streamWindowBytes = 1024 * 1024
