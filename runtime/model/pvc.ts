/**
 * Copies a model file out of a mounted volume into a PartialFile.
 * It must never read outside the volume, whatever links the volume holds.
 */
import { open, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { codeOf, fault } from '../errors.ts'
import type { PartialFile } from './partial.ts'

/** @throws Fault `ModelNotFound`, `ModelForbidden` or `UnsupportedUri` */
export async function copyFromClaim(claim: string, path: string, root: string, part: PartialFile): Promise<void> {
  try {
    const [mount, target] = await Promise.all([realpath(root), realpath(join(root, path))])
    if (!target.startsWith(mount.endsWith(sep) ? mount : mount + sep)) throw fault('PathEscapes', { path, claim })
    await using file = await open(target, 'r')
    const info = await file.stat()
    if (!info.isFile()) throw fault('FileNotFound', { path, claim })
    await part.expect(info.size)
    for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024, autoClose: false })) {
      await part.append(chunk)
    }
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') throw fault('FileNotFound', { path, claim })
    if (code === 'EACCES' || code === 'EPERM') {
      throw fault('FileForbidden', { path, claim, uid: process.getuid?.() ?? 'unknown' })
    }
    throw error
  }
}
