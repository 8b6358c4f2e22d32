// Pods that answer for somebody, by the EndpointSlices that the operator follows: where each stands, on which node, and who
// could answer in its place. Pure.
import { keyFor } from '../kube/key.ts'
import type { EndpointSlice } from '../kube/resources.ts'

/** A pod that is ready, as its EndpointSlices list it. */
export interface Place {
  readonly namespace: string
  /** The pod's name. */
  readonly pod: string
  readonly uid: string
  readonly node: string
  /** IPv4 or IPv6. */
  readonly address: string
  /** One that it listens on. */
  readonly port: number
  /** The Services that send to it, by `namespace/name`. */
  readonly services: readonly string[]
}

/** Every ready pod once. */
export interface Places {
  readonly byUid: ReadonlyMap<string, Place>
  readonly byNode: ReadonlyMap<string, readonly Place[]>
}

export const placesIn = (slices: Iterable<EndpointSlice>): Places => {
  const places = new Map<string, Place>()
  for (const slice of slices) {
    const service = slice.metadata.labels?.['kubernetes.io/service-name']
    const port = slice.ports?.find(({ protocol = 'TCP' }) => protocol === 'TCP')?.port
    const namespace = slice.metadata.namespace ?? ''
    if (service === undefined || port === undefined || slice.addressType === 'FQDN') continue
    for (const { addresses, nodeName: node, targetRef, conditions } of slice.endpoints ?? []) {
      const [address] = addresses
      const { name: pod, uid = '' } = targetRef ?? {}
      // What is on its way out, or out already, needs nobody to take it out.
      if (conditions?.ready === false || conditions?.terminating === true) continue
      if (address === undefined || node === undefined || pod === undefined) continue
      const known = places.get(uid)
      const services = [...(known?.services ?? []), keyFor(namespace, service)]
      places.set(uid, { namespace, pod, uid, node, address, port, ...known, services })
    }
  }
  return { byUid: places, byNode: Map.groupBy(places.values(), ({ node }) => node) }
}
