// Which cluster demo and e2e tests run against: the one that KUBECONFIG names, else our own, which is brought up.
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { type ClusterAddresses, clusterAddresses, REGISTRY_NAME } from './addresses.ts'
import { DEFAULT_CLUSTER, kubeconfigOf, up } from './lifecycle.ts'
import { type Report, toStderr } from './report.ts'
import { clusterDir, clusterNames, readState } from './state.ts'

export interface ResolvedCluster {
  readonly kubeconfig: string
  /** True for our own cluster, which may be taken down again; somebody else's never is. */
  readonly owned: boolean
  /** The folder of our own cluster. */
  readonly dir?: string
  /** Where to push images and how pods then name them. Absent for a cluster of one's own, which knows where. */
  readonly registry?: { readonly push: string; readonly pull: string }
}

/** Finds the cluster to use, and brings our own up when KUBECONFIG names no other. */
export async function resolveCluster(
  environment: NodeJS.ProcessEnv = process.env,
  report: Report = toStderr,
): Promise<ResolvedCluster> {
  const given = environment['KUBECONFIG']
  if (given && !isSameFile(given, kubeconfigOf(DEFAULT_CLUSTER))) return (await ownCluster(given)) ?? theirs(given)
  await up({ name: DEFAULT_CLUSTER, kind: 'nodes', nodes: 1, report })
  return ours(DEFAULT_CLUSTER, clusterAddresses(DEFAULT_CLUSTER, 0, 1))
}

/** One that `npm run cluster -- up --name X` has brought up, with as many nodes as it has. */
async function ownCluster(kubeconfig: string): Promise<ResolvedCluster | undefined> {
  const states = await Promise.all((await clusterNames()).map(readState))
  const state = states.find((one) => one?.kind === 'nodes' && isSameFile(kubeconfig, kubeconfigOf(one.name)))
  return state && ours(state.name, clusterAddresses(state.name, state.index, state.nodes))
}

const theirs = (kubeconfig: string): ResolvedCluster => ({ kubeconfig, owned: false })

const ours = (name: string, { registry }: ClusterAddresses): ResolvedCluster => ({
  kubeconfig: kubeconfigOf(name),
  owned: true,
  dir: clusterDir(name),
  registry: { push: registry, pull: REGISTRY_NAME },
})

function isSameFile(one: string, other: string): boolean {
  return real(one) === real(other)
}

function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}
