// The form in which Envoy reads dynamic configuration from a file. Pure.
import { createHash } from 'node:crypto'

/** Any message of Envoy's API as JSON; Envoy itself is the judge of its fields (it refuses unknown ones). */
export type Message = { readonly [field: string]: unknown }

/** A file of one kind of resources, with the version that Envoy will report once it has applied it. */
export interface XdsFile {
  readonly version: string
  readonly text: string
}

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

/**
 * A DiscoveryResponse. Envoy compares no versions, it repeats the one it applied, so each content has one of its own.
 * @param version made from the hash of the content; the hash itself unless given
 */
export const xdsFile = (resources: readonly Message[], version: (hash: string) => string = (hash) => hash): XdsFile => {
  const versionInfo = version(contentHash(resources))
  return { version: versionInfo, text: `${JSON.stringify({ version_info: versionInfo, resources }, null, 1)}\n` }
}

/** Where Envoy finds a file: it sees a change when another file is renamed to this path, and only then. */
export const fileSource = (path: string): Message => ({
  path_config_source: { path },
  resource_api_version: 'V3',
})
