/**
 * Proves that a file is the one that was asked for, before anything reads it.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { codeOf, fault } from '../errors.ts'

export interface VerifiedFile {
  /** `sha256:` and 64 hex digits. */
  readonly digest: string
  readonly sizeBytes: number
}

/**
 * Hashes a file. Without an expected digest it only says what is there.
 * @throws Fault `ModelNotFound`, or `DigestMismatch` when it is another file
 */
export async function verifyFile(path: string, expected: string | undefined): Promise<VerifiedFile> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        sizeBytes += chunk.length
        hash.update(chunk)
      }
    })
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw fault('ModelFileNotFound', { path })
    if (codeOf(error) === 'EISDIR') throw fault('ModelFileIsFolder', { path })
    throw error
  }
  const digest = `sha256:${hash.digest('hex')}`
  checkDigest(path, digest, expected)
  return { digest, sizeBytes }
}

/** @throws Fault `DigestMismatch` naming both */
export function checkDigest(source: string, actual: string, expected: string | undefined): void {
  if (expected !== undefined && expected !== actual) throw fault('DigestMismatch', { source, actual, expected })
}
