// The files of the model store: two versions of a real model, and files that are broken in every way a user's can be.
// All are made at test time, in the cache; none is committed.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cachePath } from '../../images/paths.ts'
import { addModel, heavyModel, identityModel, lowerModel, narrowModel, sequenceModel } from '../fixtures/onnx.ts'
import { sileroModels } from '../../scripts/silero.ts'

export interface StoreFiles {
  readonly silero: { readonly v5: string; readonly v6: string }
  /** Path in the model store's image → path here. */
  readonly files: Readonly<Record<string, string>>
}

/** Size of the model that does not fit into a small memory limit, in bytes. */
const heavyBytes = 96 << 20

export const storeFiles = async (): Promise<StoreFiles> => {
  const silero = await sileroModels()
  const dir = cachePath('store-files')
  await mkdir(dir, { recursive: true })
  const made: Record<string, Uint8Array> = {
    'page.onnx': Buffer.from('<!DOCTYPE html><html><body>Sign in to download</body></html>\n'),
    'truncated.onnx': (await readFile(silero.v5)).subarray(0, 100_000),
    'bfloat16.onnx': identityModel('BFLOAT16'),
    'sequence.onnx': sequenceModel(),
    'add.onnx': addModel(),
    'narrow.onnx': narrowModel(),
    'lower.onnx': lowerModel(),
    'heavy.onnx': heavyModel(heavyBytes),
  }
  const files: Record<string, string> = {
    '/models/silero_vad_v5.onnx': silero.v5,
    '/models/silero_vad_v6.onnx': silero.v6,
  }
  for (const [name, bytes] of Object.entries(made)) {
    await writeFile(join(dir, name), bytes)
    files[`/models/${name}`] = join(dir, name)
  }
  return { silero, files }
}
