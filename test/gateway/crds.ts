// The CRDs of the Gateway API, out of its Go module: fetched once through the Go module proxy, checked against go.sum.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { load } from 'js-yaml'
import type { KubeClient } from '../../operator/kube/client.ts'
import { isNotFound } from '../../operator/kube/errors.ts'
import {
  customresourcedefinitions,
  type CustomResourceDefinition,
  type ResourceType,
} from '../../operator/kube/resources.ts'
import { run } from '../cluster/commands.ts'
import { findGo } from '../cluster/go.ts'
import { eventually } from '../integration/operator/eventually.ts'

const crdModule = join(import.meta.dirname, 'crds')

/** The folder of the module `sigs.k8s.io/gateway-api`, in the version that crds/go.mod names. */
export const gatewayApiFolder = async (): Promise<string> => {
  const go = await findGo(() => {})
  // Without a go.work or a module cache of the user's in the way; the checksum in go.sum is verified.
  const environment = { ...go.environment, GOFLAGS: '-mod=readonly', GOWORK: 'off' }
  const said = await run(go.program, ['mod', 'download', '-json', 'sigs.k8s.io/gateway-api'], {
    cwd: crdModule,
    environment,
    timeoutMs: 300_000,
  })
  const { Dir: folder } = JSON.parse(said) as { readonly Dir: string }
  return folder
}

/** Those that mode Gateway and a Gateway's controller need. */
const standard = ['gatewayclasses', 'gateways', 'httproutes', 'grpcroutes', 'referencegrants'] as const

export const gatewayCrds = async (): Promise<readonly CustomResourceDefinition[]> => {
  const folder = join(await gatewayApiFolder(), 'config/crd/standard')
  return Promise.all(
    standard.map(async (plural) => {
      const text = await readFile(join(folder, `gateway.networking.k8s.io_${plural}.yaml`), 'utf8')
      return load(text) as CustomResourceDefinition
    }),
  )
}

/** Installs them and waits until they are served. */
export const installGatewayApi = async (client: KubeClient): Promise<void> => {
  for (const crd of await gatewayCrds()) await client.apply(customresourcedefinitions, crd, { fieldManager: 'test' })
  await eventually('the Gateway API is served', async () => {
    const kinds = await client.servedKinds('gateway.networking.k8s.io', 'v1')
    return ['Gateway', 'HTTPRoute', 'GRPCRoute'].every((kind) => kinds.includes(kind))
  })
}

/** Removes them, with all objects, and waits until they are gone. */
export const removeGatewayApi = async (client: KubeClient): Promise<void> => {
  for (const { metadata } of await gatewayCrds()) await gone(client, customresourcedefinitions, metadata.name)
  await eventually('the Gateway API is gone', async () => {
    const kinds = await client.servedKinds('gateway.networking.k8s.io', 'v1')
    return kinds.length === 0
  })
}

const gone = async (client: KubeClient, type: ResourceType, name: string): Promise<void> => {
  try {
    await client.delete(type, undefined, name)
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
