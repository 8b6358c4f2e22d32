/**
 * Brings a model file to where the server reads it, from wherever its address says.
 * It must never leave a file under the model's name that is not the one asked for.
 */
import { fetchHttp, type HttpOptions } from './http.ts'
import { PartialFile } from './partial.ts'
import { copyFromClaim } from './pvc.ts'
import { parseModelUri, printUrl } from './uri.ts'
import type { VerifiedFile } from './verify.ts'

export interface FetchOptions extends HttpOptions {
  readonly uri: string
  readonly file: string
  /** `sha256:…`; without it the digest found is the answer. */
  readonly digest: string | undefined
  readonly maxBytes: number | undefined
  /** Where the claim of a pvc:// address is mounted. */
  readonly pvcRoot: string
}

/** @throws Fault with a code of the fetch part of the table */
export async function fetchModel(options: FetchOptions): Promise<VerifiedFile> {
  const { uri, file, digest, maxBytes, pvcRoot } = options
  const source = parseModelUri(uri)
  const part = await PartialFile.create({
    file,
    digest,
    maxBytes,
    source: source.kind === 'http' ? printUrl(source.url) : `pvc://${source.claim}/${source.path}`,
  })
  try {
    if (source.kind === 'http') await fetchHttp(source.url, part, options)
    else await copyFromClaim(source.claim, source.path, pvcRoot, part)
    return await part.accept()
  } catch (error) {
    await part.discard()
    throw error
  }
}
