/**
 * Compressed bodies, both ways: gzip, deflate and zstd. Work is done by Node's thread pool, never in the HTTP thread.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding
 */
import { promisify } from 'node:util'
import {
  constants,
  createGunzip,
  createInflate,
  createZstdDecompress,
  deflate,
  gzip,
  zstdCompress,
  type Gunzip,
  type Inflate,
  type ZstdDecompress,
} from 'node:zlib'
import { fault, type Fault } from '../errors.ts'

export type Coding = 'gzip' | 'deflate' | 'zstd'

/** A stream that takes the compressed body and gives the plain one. */
export type Decoder = Gunzip | Inflate | ZstdDecompress

/** Answers below this many bytes are sent as they are: they fit into one packet either way. */
const minBytes = 1024

/**
 * How to read a body with this `Content-Encoding`: undefined for a plain one.
 * @returns a Fault for codings that nobody here reads, and for several on top of each other
 */
export function codingOf(contentEncoding: string | undefined): Coding | undefined | Fault {
  const found = contentEncoding?.trim().toLowerCase() ?? ''
  if (found === '' || found === 'identity') return undefined
  if (found === 'x-gzip') return 'gzip'
  return isCoding(found) ? found : fault('BodyEncoded', { encoding: found })
}

export function decoderOf(coding: Coding): Decoder {
  if (coding === 'gzip') return createGunzip()
  if (coding === 'deflate') return createInflate()
  // The window a decoder must offer (RFC 9659). More would let a few bytes ask for 128 MiB of memory.
  return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 23 } })
}

/**
 * The coding that an answer should have, by `Accept-Encoding`: the one the client likes best; of equals the cheapest.
 * Undefined when none is asked for or the answer is small.
 */
export function negotiate(acceptEncoding: string | undefined, bytes: number): Coding | undefined {
  if (acceptEncoding === undefined || bytes < minBytes) return undefined
  const weights = new Map<string, number>()
  for (const part of acceptEncoding.toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim())
    const weight = parameters.find((text) => text.startsWith('q='))?.slice(2)
    weights.set(name, weight === undefined ? 1 : Number(weight) || 0)
  }
  let best: Coding | undefined
  let bestWeight = 0
  for (const coding of codings) {
    const weight = weights.get(coding) ?? 0
    if (weight <= bestWeight) continue
    best = coding
    bestWeight = weight
  }
  // A client that would rather have the plain bytes says so by weighing `identity` higher.
  return bestWeight < (weights.get('identity') ?? 0) ? undefined : best
}

/** Compresses fast rather than well: floats hardly shrink, and an answer must not wait for it. */
export function compress(coding: Coding, body: Uint8Array): Promise<Uint8Array> {
  if (coding === 'gzip') return gzipAsync(body, { level: 1 })
  if (coding === 'deflate') return deflateAsync(body, { level: 1 })
  return zstdAsync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
}

const gzipAsync = promisify(gzip)
const deflateAsync = promisify(deflate)
const zstdAsync = promisify(zstdCompress)

const codings: readonly Coding[] = ['zstd', 'gzip', 'deflate']

function isCoding(text: string): text is Coding {
  return codings.some((coding) => coding === text)
}
