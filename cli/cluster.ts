// The cluster as kubectl would find it, and the objects that commands read from it. It reads; only command.ts writes.
import { group, version } from '../operator/api/objectmeta.ts'
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import type { ModelRevision } from '../operator/api/modelrevision.ts'
import { KubeClient } from '../operator/kube/client.ts'
import { loadCredentials } from '../operator/kube/credentials.ts'
import { ConnectionError, isForbidden, isNotFound, isUnauthorized } from '../operator/kube/errors.ts'
import {
  deployments,
  events,
  pods,
  type Deployment,
  type KubeEvent,
  type Pod,
  type ResourceType,
} from '../operator/kube/resources.ts'
import { Transport } from '../operator/kube/transport.ts'
import type { KubeObject } from '../operator/kube/types.ts'
import { labelKeys } from '../operator/modeldeployment/names.ts'
import { modelDeployments, modelRevisions } from '../operator/modeldeployment/resources.ts'
import { CliError } from './failure.ts'
import { closed } from './layout.ts'
import type { Terminal } from './terminal.ts'

/** kubectl's own flags. */
export interface ClusterFlags {
  readonly kubeconfig?: string
  readonly context?: string
  readonly namespace?: string
}

export interface Cluster {
  readonly client: KubeClient
  readonly namespace: string
  close(): Promise<void>
}

/**
 * @param timeoutMs of each call; 30 s unless given
 * @throws CliError that names the file or the context which is missing
 */
export const connect = async (flags: ClusterFlags, { env }: Terminal, timeoutMs?: number): Promise<Cluster> => {
  const credentials = await loadCredentials({
    kubeconfig: flags.kubeconfig ?? env['KUBECONFIG'],
    context: flags.context,
    serviceHost: env['KUBERNETES_SERVICE_HOST'],
    servicePort: env['KUBERNETES_SERVICE_PORT'],
  }).catch((error: unknown) => {
    throw new CliError(
      'Failed',
      closed(error instanceof Error ? error.message : String(error)),
      'Name a kubeconfig with --kubeconfig or KUBECONFIG, and a context of it with --context.',
    )
  })
  const transport = new Transport({
    credentials,
    connections: 4,
    userAgent: 'kubectl-slipway',
    ...(timeoutMs !== undefined && { timeoutMs }),
  })
  return {
    client: new KubeClient(transport),
    namespace: flags.namespace ?? credentials.namespace ?? 'default',
    close: () => transport.close(),
  }
}

/** The named object; without a name, the only one of the namespace. @throws CliError that says which there are */
export const findModelDeployment = async (
  { client, namespace }: Cluster,
  name: string | undefined,
): Promise<ModelDeployment> => {
  if (name !== undefined) {
    const found = await client.find(modelDeployments, namespace, name)
    if (found !== undefined) return found
  }
  const all = await listModelDeployments({ client, namespace })
  const names = all.map((o) => o.metadata.name).join(', ')
  const [only] = all
  if (name === undefined && only !== undefined && all.length === 1) return only
  if (name === undefined && all.length > 1)
    throw new CliError('Usage', `Namespace ${namespace} has several ModelDeployments: ${names}.`, 'Name one of them.')
  const asked = name === undefined ? 'no ModelDeployment' : `no ModelDeployment ${name}`
  throw new CliError(
    'Failed',
    `Namespace ${namespace} has ${asked}${all.length === 0 ? '' : `; it has ${names}`}.`,
    'Correct the name, or name its namespace with -n.',
  )
}

export const listModelDeployments = async ({
  client,
  namespace,
}: Pick<Cluster, 'client' | 'namespace'>): Promise<readonly ModelDeployment[]> => {
  try {
    const { items } = await client.list(modelDeployments, { namespace })
    return items.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
  } catch (error) {
    if (!isNotFound(error)) throw error
    throw new CliError(
      'Failed',
      `The cluster does not know modeldeployments.${group}/${version}.`,
      'Install Slipway, or choose another cluster with --context.',
    )
  }
}

const childrenOf = (name: string): string => `${labelKeys.modelDeployment}=${name}`

export const revisionsOf = (cluster: Cluster, name: string): Promise<readonly ModelRevision[]> =>
  listAll(cluster, modelRevisions, childrenOf(name))

/** The Deployments of its revisions; undefined where reading them is not granted, which a status survives. */
export const workloadsOf = async (cluster: Cluster, name: string): Promise<readonly Deployment[] | undefined> => {
  try {
    return await listAll(cluster, deployments, childrenOf(name))
  } catch (error) {
    if (isForbidden(error)) return undefined
    throw error
  }
}

/** All its pods: those that serve, and those that fetch and read a model. */
export const podsOf = (cluster: Cluster, name: string): Promise<readonly Pod[]> =>
  listAll(cluster, pods, childrenOf(name))

/** Events about it and about what belongs to it (children begin with its name and a dash), oldest first. */
export const eventsOf = async (cluster: Cluster, name: string): Promise<readonly KubeEvent[]> => {
  const all = await listAll(cluster, events)
  return all.filter((event) => isAbout(event, name)).toSorted((a, b) => timeOf(a).localeCompare(timeOf(b)))
}

const isAbout = ({ involvedObject: { kind, name: about = '' } }: KubeEvent, name: string): boolean =>
  about === name ? kind === 'ModelDeployment' || kind === 'Service' : about.startsWith(`${name}-`)

/** When it last happened. */
export const timeOf = (event: KubeEvent): string =>
  event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? ''

/** Pages of a list, so that a namespace of thousands of Events is read whole. */
const pageSize = 500

const listAll = async <T extends KubeObject>(
  { client, namespace }: Cluster,
  type: ResourceType<T>,
  labelSelector?: string,
): Promise<T[]> => {
  const items: T[] = []
  let next: string | undefined
  do {
    const page = await client.list(type, { namespace, labelSelector, limit: pageSize, continue: next })
    items.push(...page.items)
    next = page.continue
  } while (next !== undefined)
  return items
}

/** What went wrong with a call, as a failure with its fix. */
export const explained = (error: unknown): CliError | undefined => {
  if (error instanceof CliError) return error
  if (error instanceof ConnectionError)
    return new CliError('Failed', `${error.message}.`, 'Check that the API server of this context can be reached.')
  if (isUnauthorized(error)) return new CliError('Failed', `${error.message}.`, 'Sign in to the cluster again.')
  if (isForbidden(error)) return new CliError('Failed', `${error.message}.`, 'Ask whoever manages the cluster for it.')
  if (isNotFound(error))
    return new CliError('Failed', `${error.message}.`, 'Correct the name, or the namespace with -n.')
  return undefined
}
