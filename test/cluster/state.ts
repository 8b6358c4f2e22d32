// What is known about each cluster, in one folder a cluster: a file that is written before anything is started, so
// that whatever happens next can be cleaned up.
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDir } from './cache.ts'

export interface ClusterState {
  readonly name: string
  readonly kind: 'control-plane' | 'nodes'
  /** `starting` also describes one that was interrupted on its way up. */
  readonly stage: 'starting' | 'up'
  readonly kubernetesVersion: string
  readonly server: string
  /** Of a node cluster: what its addresses derive from. */
  readonly index: number
  readonly nodes: number
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/

/** The folder of the cluster of this name, existing or not. */
export function clusterDir(name: string): string {
  if (!NAME.test(name)) throw new Error(`"${name}" is no cluster name: use at most 20 of a-z, 0-9 and inner dashes`)
  return join(clustersDir(), name)
}

/** The lock to hold while a cluster goes up or down. */
export const clusterLock = (name: string): string => `${clusterDir(name)}.lock`

/** The lock to hold while an index is chosen, so that no two clusters get the same addresses. */
export const indexLock = (): string => join(clustersDir(), 'index.lock')

export async function readState(name: string): Promise<ClusterState | undefined> {
  const file = join(clusterDir(name), 'cluster.json')
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as ClusterState) : undefined
}

export async function writeState(state: ClusterState): Promise<void> {
  const dir = clusterDir(state.name)
  await mkdir(dir, { recursive: true })
  const file = join(dir, 'cluster.json')
  await writeFile(`${file}.new`, JSON.stringify(state, null, 2))
  await rename(`${file}.new`, file)
}

/** Names of all clusters that have a folder, up or not. */
export async function clusterNames(): Promise<string[]> {
  await mkdir(clustersDir(), { recursive: true })
  const entries = await readdir(clustersDir(), { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

function clustersDir(): string {
  return join(cacheDir(), 'clusters')
}
