// Brings two versions of a real model into the cache: Silero VAD v5 and v6, same signature, different answers.
// They come out of an npm package, are checked against the digests recorded here, and are never committed.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cachePath } from '../images/paths.ts'

export interface SileroModels {
  /** Paths of the files. */
  readonly v5: string
  readonly v6: string
}

/** What the package holds. Inputs of both: input FP32 [-1,-1], state FP32 [2,-1,128], sr INT64 []. */
export const sileroDigests = {
  v5: 'sha256:2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f',
  v6: 'sha256:1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3',
} as const

const packageName = '@ricky0123/vad-web'
const packageVersion = '0.0.31'
const run = promisify(execFile)

/**
 * The model files, fetched on first use and checked on every use.
 * @throws Error when the package cannot be had or holds other files than recorded
 */
export async function sileroModels(): Promise<SileroModels> {
  const folder = cachePath('silero', packageVersion)
  const models = { v5: join(folder, fileName('v5')), v6: join(folder, fileName('v6')) }
  if ((await isGenuine(models.v5, 'v5')) && (await isGenuine(models.v6, 'v6'))) return models
  await mkdir(folder, { recursive: true })
  const work = await mkdtemp(join(folder, 'unpack-'))
  try {
    await run('npm', ['pack', `${packageName}@${packageVersion}`, '--pack-destination', work, '--silent'])
    const archive = join(work, 'ricky0123-vad-web-0.0.31.tgz')
    const wanted = (['v5', 'v6'] as const).map((version) => `package/dist/${fileName(version)}`)
    await run('tar', ['-xzf', archive, '-C', work, ...wanted])
    for (const version of ['v5', 'v6'] as const) {
      const unpacked = join(work, 'package', 'dist', fileName(version))
      if (!(await isGenuine(unpacked, version))) {
        throw new Error(
          `${packageName}@${packageVersion} holds another ${fileName(version)} than ${sileroDigests[version]}`,
        )
      }
      await rename(unpacked, models[version])
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return models
}

function fileName(version: keyof SileroModels): string {
  return `silero_vad_${version}.onnx`
}

async function isGenuine(path: string, version: keyof SileroModels): Promise<boolean> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    // Not `instanceof Error`: under jest, Node's own errors are of another realm.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` === sileroDigests[version]
}
