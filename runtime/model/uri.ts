/**
 * Where a model file is to be had. Pure; it must refuse every address that it cannot honour completely.
 */
import { join, normalize } from 'node:path'
import { fault } from '../errors.ts'

export type ModelSource =
  | { readonly kind: 'http'; readonly url: URL }
  | {
      readonly kind: 'pvc'
      readonly claim: string
      /** Inside the volume, without a leading slash. */
      readonly path: string
    }

/** @throws Fault `UnsupportedUri` saying what is wrong with it */
export function parseModelUri(uri: string): ModelSource {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase()
  if (scheme === undefined) throw fault('UriInvalid', { uri, reason: 'it has no scheme' })
  if (scheme === 'pvc') return parsePvc(uri)
  if (scheme !== 'http' && scheme !== 'https') throw fault('UriUnsupported', { uri, scheme })
  if (!URL.canParse(uri)) throw fault('UriInvalid', { uri, reason: 'it is no URL' })
  const url = new URL(uri)
  if (url.username !== '' || url.password !== '') throw fault('UriCredentials', { uri: printUrl(url) })
  return { kind: 'http', url }
}

/** A URL as messages may show it: without user, password and the query, which often holds a signature. */
export function printUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}${url.search === '' ? '' : '?…'}`
}

function parsePvc(uri: string): ModelSource {
  const [, claim = '', encoded = ''] = /^pvc:\/\/([^/?#]+)\/([^?#]+)$/i.exec(uri) ?? []
  if (claim === '') throw fault('UriInvalid', { uri, reason: 'it does not name a claim and a path' })
  let path: string
  try {
    path = decodeURIComponent(encoded)
  } catch {
    throw fault('UriInvalid', { uri, reason: 'it holds a broken percent escape' })
  }
  // Joined to a root, `..` cannot climb above it; a difference means that the path tried.
  const climbs = path.split('/').includes('..') || path.includes('\0')
  if (climbs) throw fault('PathEscapes', { path: path.replaceAll('\0', '\\0'), claim })
  return { kind: 'pvc', claim, path: normalize(join('/', path)).slice(1) }
}
