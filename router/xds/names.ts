// How things are called inside Envoy. Names carry no dot, because statistics are cut at dots, and no colon,
// which Envoy rewrites. Pure.
import type { Protocol } from '../model.ts'

/** `fraud/fraud-0a1b2c3d4e/http`. The name stays when a revision is promoted, so its counters go on. */
export const clusterName = (model: string, revision: string, protocol: Protocol): string =>
  `${model}/${revision}/${protocol}`

/** `fraud/fraud-0a1b2c3d4e/shadow-http`: beside the revision's own, so that copies never mix with users' figures. */
export const shadowName = (model: string, revision: string, protocol: Protocol): string =>
  `${model}/${revision}/shadow-${protocol}`

/** Statistics of requests that name a revision: they say nothing about the shares. */
export const namedStatistics = (revision: string): string => `named/${revision}`

/** `7-1a2b3c4d-9f8e7d6c`: epoch, object and content. Envoy repeats it once it has applied the routes. */
export const routesVersion = (epoch: number, uid: string, contentHash: string): string =>
  `${epoch}-${uid.replaceAll('-', '').slice(0, 8) || 'none'}-${contentHash}`

/** The epoch of routes that Envoy says it has applied, if they were of this very object. */
export const epochOf = (version: string, uid: string): number | undefined => {
  const [epoch = '', owner] = version.split('-')
  return /^[0-9]+$/.test(epoch) && owner === (uid.replaceAll('-', '').slice(0, 8) || 'none') ? Number(epoch) : undefined
}
