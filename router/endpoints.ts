// From EndpointSlices to the pods of each revision. Pure.
import type { EndpointSlice } from '../operator/kube/resources.ts'
import { protocols, type Endpoint, type Endpoints, type Protocol, type RevisionEndpoints } from './model.ts'

/** Labels that a slice inherits from the headless Service of a revision. */
export const revisionLabel = 'slipway.dev/revision'
/** Slices of revisions; those of users' Services, which select the routers themselves, have no such label. */
export const sliceSelector = `app.kubernetes.io/managed-by=slipway,${revisionLabel}`

const none: RevisionEndpoints = { ready: 0, http: [], grpc: [] }

/** The pods of a revision; none where nothing is known of it. */
export const endpointsOf = (endpoints: Endpoints, revision: string): RevisionEndpoints =>
  endpoints.get(revision) ?? none

/**
 * The pods of every revision, sorted, each address once. A pod that ends or is not ready is left out at once, before
 * it stops to listen; where all of a revision's pods are ending, those that still serve are better than none.
 */
export const readEndpoints = (slices: Iterable<EndpointSlice>): Endpoints => {
  const byRevision = new Map<string, Seen[]>()
  for (const slice of slices) {
    const revision = slice.metadata.labels?.[revisionLabel]
    if (revision === undefined || slice.addressType === 'FQDN') continue
    const seen = byRevision.get(revision) ?? []
    seen.push(...seenIn(slice))
    byRevision.set(revision, seen)
  }
  return new Map([...byRevision].map(([revision, seen]) => [revision, summarize(seen)]))
}

interface Seen {
  readonly address: string
  readonly ports: Readonly<Partial<Record<Protocol, number>>>
  readonly is: 'ready' | 'ending'
}

const seenIn = (slice: EndpointSlice): Seen[] => {
  const ports: Partial<Record<Protocol, number>> = {}
  for (const { name, port } of slice.ports ?? []) {
    const protocol = protocols.find((known) => known === name)
    if (protocol !== undefined && port !== undefined) ports[protocol] = port
  }
  return (slice.endpoints ?? []).flatMap(({ addresses, conditions }): Seen[] => {
    const { ready, serving, terminating } = conditions ?? {}
    const [address] = addresses
    if (address === undefined) return []
    // The API says of all three: nil is to be read as ready, serving, and not terminating.
    if (terminating !== true) return ready === false ? [] : [{ address, ports, is: 'ready' }]
    return serving === false ? [] : [{ address, ports, is: 'ending' }]
  })
}

const summarize = (seen: readonly Seen[]): RevisionEndpoints => {
  const ready = seen.filter(({ is }) => is === 'ready')
  const used = ready.length > 0 ? ready : seen
  const [http, grpc] = [listening(used, 'http'), listening(used, 'grpc')]
  return { ready: ready.length > 0 ? Math.max(http.length, grpc.length) : 0, http, grpc }
}

/** A pod may be in two slices for a moment while the controller moves it. */
const listening = (seen: readonly Seen[], protocol: Protocol): Endpoint[] => {
  const byKey = new Map<string, Endpoint>()
  for (const { address, ports } of seen) {
    const port = ports[protocol]
    if (port === undefined) continue
    byKey.set(`${address} ${port}`, { address, port, ...(ports.http !== undefined && { healthPort: ports.http }) })
  }
  return [...byKey].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint)
}
