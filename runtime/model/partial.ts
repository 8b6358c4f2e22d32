/**
 * A model file while it arrives: `<file>.part`, hashed as it is written, renamed only when it is what was asked for.
 * Nothing may read the model's own name before that.
 */
import { createHash, type Hash } from 'node:crypto'
import { open, rename, rm, statfs, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf, type Fault, fault, printBytes } from '../errors.ts'
import { checkDigest, type VerifiedFile } from './verify.ts'

export interface PartialOptions {
  readonly file: string
  /** How messages name where the bytes come from. */
  readonly source: string
  readonly digest: string | undefined
  readonly maxBytes: number | undefined
}

export class PartialFile {
  readonly #options: PartialOptions
  readonly #path: string
  #handle: FileHandle
  #hash: Hash = createHash('sha256')
  #size = 0
  #restarts = 0

  private constructor(options: PartialOptions, path: string, handle: FileHandle) {
    this.#options = options
    this.#path = path
    this.#handle = handle
  }

  /** Starts an empty file; what an earlier process left is thrown away, because nobody knows what it belongs to. */
  static async create(options: PartialOptions): Promise<PartialFile> {
    const path = `${options.file}.part`
    return new PartialFile(options, path, await open(path, 'w'))
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#size
  }

  /** How often everything written was thrown away. */
  get restarts(): number {
    return this.#restarts
  }

  /** Forgets everything written. */
  async restart(): Promise<void> {
    this.#restarts += 1
    await this.#handle.truncate(0)
    this.#hash = createHash('sha256')
    this.#size = 0
  }

  /** Refuses a file of `total` bytes that is too large or does not fit on the disk, before it is fetched. */
  async expect(total: number): Promise<void> {
    const { maxBytes, source, file } = this.#options
    if (maxBytes !== undefined && total > maxBytes) {
      throw fault('FileTooLarge', { source, size: printBytes(total), limit: printBytes(maxBytes) })
    }
    const { bavail, bsize } = await statfs(dirname(file))
    if (total - this.#size > bavail * bsize) throw this.#full(printBytes(total), bavail * bsize)
  }

  /** Appends a chunk. @throws Fault `ModelTooLarge` or `StorageFull` */
  async append(chunk: Uint8Array): Promise<void> {
    const { maxBytes, source } = this.#options
    if (maxBytes !== undefined && this.#size + chunk.length > maxBytes) {
      throw fault('FileTooLarge', {
        source,
        size: `more than ${printBytes(maxBytes)}`,
        limit: printBytes(maxBytes),
      })
    }
    try {
      let written = 0
      while (written < chunk.length) {
        const position = this.#size + written
        // oxlint-disable-next-line no-await-in-loop -- a short write is continued where it ended
        written += (await this.#handle.write(chunk, written, chunk.length - written, position)).bytesWritten
      }
    } catch (error) {
      if (['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '')) {
        throw this.#full(`more than ${printBytes(this.#size)}`, 0)
      }
      throw error
    }
    this.#hash.update(chunk)
    this.#size += chunk.length
  }

  /** Gives the file its name if its digest is right. @throws Fault `DigestMismatch` */
  async accept(): Promise<VerifiedFile> {
    const digest = `sha256:${this.#hash.digest('hex')}`
    checkDigest(this.#options.source, digest, this.#options.digest)
    await this.#handle.sync()
    await this.#handle.close()
    await rename(this.#path, this.#options.file)
    return { digest, sizeBytes: this.#size }
  }

  /** Removes what was written. Call it when the fetch has failed. */
  async discard(): Promise<void> {
    await this.#handle.close()
    await rm(this.#path, { force: true })
  }

  #full(size: string, free: number): Fault {
    return fault('StorageFull', { size, folder: dirname(this.#options.file), free: printBytes(free) })
  }
}
