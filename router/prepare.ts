// What has to be there before Envoy starts: the folder that it shares with the agent, and its bootstrap.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { replaceFile } from './publish/memory.ts'
import { bootstrap, bootstrapFile } from './xds/bootstrap.ts'

export const prepare = async ({ folder, router, namespace, envoyMemoryBytes }: Config): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const started = bootstrap(folder, router, namespace, envoyMemoryBytes)
  await replaceFile(join(folder, bootstrapFile), `${JSON.stringify(started, null, 1)}\n`)
}
