// The cluster that the demo and the e2e tests use: the one that KUBECONFIG names, else one of our own.
import { buildImages, type BuiltImage } from '../../images/build.ts'
import { helmPath, kubectlPath } from '../cluster/binaries.ts'
import { DEFAULT_CLUSTER, down, kubeconfigOf } from '../cluster/lifecycle.ts'
import { toStderr } from '../cluster/report.ts'
import { resolveCluster, type ResolvedCluster } from '../cluster/resolve.ts'
import type { Images } from './install.ts'
import { shellFor, type Shell } from './shell.ts'

export interface Cluster {
  /** True when the cluster is one that this project brought up. */
  readonly owned: boolean
  /** The folder of a cluster of ours, in which its nodes live. */
  readonly dir?: string
  readonly shell: Shell
  /** Builds the images, puts them where the cluster's nodes find them, and names them by digest. `files` go into the model store. */
  images(files: Readonly<Record<string, string>>, log?: (line: string) => void): Promise<Images>
}

/** Opens the cluster, bringing one up when KUBECONFIG names none. */
export const openCluster = async (): Promise<Cluster> => clusterOf(await resolveCluster())

/** Takes our own cluster down, unless KUBECONFIG names somebody else's, which is never touched here. */
export const takeDownOwn = async (): Promise<'taken down' | 'none up' | 'not ours'> => {
  const given = process.env['KUBECONFIG']
  if (given !== undefined && given !== '' && given !== kubeconfigOf(DEFAULT_CLUSTER)) return 'not ours'
  return (await down(DEFAULT_CLUSTER, toStderr)) ? 'taken down' : 'none up'
}

const clusterOf = async (cluster: ResolvedCluster): Promise<Cluster> => ({
  owned: cluster.owned,
  ...(cluster.dir !== undefined && { dir: cluster.dir }),
  shell: shellFor(cluster.kubeconfig, await kubectlPath(), await helmPath()),
  images: async (files, log = console.log) => {
    const { push, pull } = registryOf(cluster)
    const built = await buildImages(['operator', 'runtime', 'envoy', 'modelstore'], {
      push,
      pullFrom: pull,
      files: { modelstore: files },
      log,
    })
    return {
      operator: byDigest(built['operator']),
      runtime: byDigest(built['runtime']),
      envoy: byDigest(built['envoy']),
      modelstore: byDigest(built['modelstore']),
    }
  },
})

/** A cluster of one's own pulls from a registry that only its owner knows. */
const registryOf = (cluster: ResolvedCluster): { push: string; pull: string } => {
  if (cluster.registry !== undefined) return cluster.registry
  const push = process.env['SLIPWAY_REGISTRY']
  if (push === undefined || push === '') {
    throw new Error(
      'KUBECONFIG names a cluster, but SLIPWAY_REGISTRY does not say where its images go. ' +
        'Set SLIPWAY_REGISTRY to a registry that you may push to and that its nodes pull from, for example registry.example/team.',
    )
  }
  return { push, pull: process.env['SLIPWAY_PULL_REGISTRY'] ?? push }
}

const byDigest = (image: BuiltImage | undefined): string => {
  if (image === undefined) throw new Error('the image was not built')
  return `${image.repository}@${image.digest}`
}
