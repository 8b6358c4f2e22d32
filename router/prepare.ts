// What has to be there before Envoy starts: its bootstrap, and the files that it ends without. What an earlier start
// has left stays, so that an Envoy that is started again serves what it served before.
import { mkdir } from 'node:fs/promises'
import type { Config } from './config.ts'
import { XdsFolder } from './publish/disk.ts'
import { bootstrap, bootstrapFile } from './xds/bootstrap.ts'
import { clustersFile, listenersFile } from './xds/names.ts'

export const prepare = async ({ folder, router, namespace }: Config): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const disk = await XdsFolder.open(folder)
  await disk.put(bootstrapFile, `${JSON.stringify(bootstrap(folder, router, namespace), null, 1)}\n`)
  for (const path of [clustersFile, listenersFile] as const) {
    if (!disk.files.has(path)) await disk.writeResources(path, new Map())
  }
}
