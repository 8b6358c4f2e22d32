// The operator's identity and rights as the chart gives them: the ServiceAccount, Roles and RoleBindings that helm
// renders for one watched namespace, and a token of that account. Nothing is granted here that the chart does not grant.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import { loadCredentials } from '../../../operator/kube/credentials.ts'
import type { KubeClient } from '../../../operator/kube/client.ts'
import { pathOf, resource, serviceaccounts, type ResourceType } from '../../../operator/kube/resources.ts'
import { chart, helm, type Rendered } from '../../chart/helm.ts'
import { kubeconfig as adminKubeconfig } from '../kube/server.ts'

export const serviceAccount = 'slipway-operator'
export const roles = resource('rbac.authorization.k8s.io', 'v1', 'roles', 'Role')
const rolebindings = resource('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding')
const kinds: Readonly<Record<string, ResourceType>> = {
  ServiceAccount: serviceaccounts,
  Role: roles,
  RoleBinding: rolebindings,
}

/** As the API server names the operator of this namespace. */
export const userOf = (namespace: string): string => `system:serviceaccount:${namespace}:${serviceAccount}`

/** The chart's objects that make up the operator's rights in one namespace. */
export const renderRights = async (namespace: string): Promise<Rendered[]> => {
  const text = await helm([
    'template',
    'slipway',
    chart,
    '--namespace',
    namespace,
    '--set',
    `watchNamespaces={${namespace}}`,
  ])
  const objects = loadAll(text) as (Rendered | null)[]
  return objects.filter(
    (object) => object !== null && object.kind in kinds && object.metadata.namespace === namespace,
  ) as Rendered[]
}

/** Gives the chart's rights to the namespace's operator. */
export const grant = async (client: KubeClient, rights: readonly Rendered[]): Promise<void> => {
  for (const object of rights) {
    const type = kinds[object.kind]
    if (type !== undefined) await client.apply(type, object, { fieldManager: 'helm' })
  }
}

export interface Identity {
  readonly kubeconfig: string
  remove(): Promise<void>
}

/** A kubeconfig with a fresh token of the operator's account. @param server a plain-HTTP address of the same API server */
export const identify = async (client: KubeClient, namespace: string, server?: string): Promise<Identity> => {
  const { text } = await client.transport.call({
    method: 'POST',
    path: `${pathOf(serviceaccounts, namespace, serviceAccount)}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: { expirationSeconds: 3600 },
    },
    asked: { verb: 'create', resource: 'serviceaccounts/token', namespace, name: serviceAccount },
  })
  const { status } = JSON.parse(text) as { status: { token: string } }
  const admin = await loadCredentials({ kubeconfig: adminKubeconfig() })
  const { ca = '' } = (await admin.current()).tls
  const folder = await mkdtemp(join(tmpdir(), 'slipway-operator-'))
  const kubeconfig = join(folder, 'kubeconfig')
  const authority = { 'certificate-authority-data': Buffer.from(ca).toString('base64') }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'operator',
    contexts: [{ name: 'operator', context: { cluster: 'test', user: 'operator', namespace } }],
    clusters: [
      {
        name: 'test',
        cluster:
          server === undefined ? { server: admin.server, ...authority } : { server, 'insecure-skip-tls-verify': true },
      },
    ],
    users: [{ name: 'operator', user: { token: status.token } }],
  }
  // JSON is YAML.
  await writeFile(kubeconfig, JSON.stringify(config), { mode: 0o600 })
  return { kubeconfig, remove: () => rm(folder, { recursive: true, force: true }) }
}
