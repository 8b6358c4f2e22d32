// The API server that is measured against: real, with thousands of ModelDeployments in it that are settled. One of them
// came about as every one does, by our operator and the controllers of Kubernetes; the others are copies of it. Once
// they are there no controller runs beside the operators that are measured.
import { randomBytes } from 'node:crypto'
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import { KubeClient } from '../../operator/kube/client.ts'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import { deployments, endpointslices, namespaces, services, type ResourceType } from '../../operator/kube/resources.ts'
import { Transport } from '../../operator/kube/transport.ts'
import type { KubeObject } from '../../operator/kube/types.ts'
import { modelDeployments, modelRevisions } from '../../operator/modeldeployment/resources.ts'
import { startControlPlane, type ControlPlane } from '../../test/cluster/controlplane.ts'
import { connect, installCrds } from '../../test/integration/api/server.ts'
import { openStage } from '../../test/integration/operator/stage.ts'
import { specOf } from '../../test/faults/scene.ts'

export interface World {
  readonly plane: ControlPlane
  readonly client: KubeClient
  readonly namespace: string
  /** Names of the ModelDeployments. */
  readonly names: readonly string[]
  /** ModelDeployments and the children of theirs that an operator caches. */
  readonly objects: number
  close(): Promise<void>
}

type Status = Readonly<Record<string, unknown>>
type Child = KubeObject & { readonly status?: Status }

/** One settled object and its children, as JSON. */
interface Prototype {
  readonly deployment: ModelDeployment
  readonly children: readonly { readonly type: ResourceType; readonly objects: readonly Child[] }[]
}

const digits = 5
const nameOf = (index: number): string => `model-${String(index).padStart(digits, '0')}`
const prototypeName = nameOf(0)
const childTypes: readonly ResourceType[] = [modelRevisions, deployments, services, endpointslices]
/** Writes at once while the world is made. */
const writers = 16

export const createWorld = async (models: number, report: (line: string) => void): Promise<World> => {
  report('a first model is rolled out by the operator and the controllers of Kubernetes')
  const prototype = await makePrototype()
  const plane = await startControlPlane({ controllers: false })
  const credentials = await loadCredentials({ kubeconfig: plane.kubeconfig })
  const client = new KubeClient(new Transport({ credentials, userAgent: 'bench' }))
  process.env['SLIPWAY_TEST_KUBECONFIG'] = plane.kubeconfig
  const plain = await connect()
  await installCrds(plain)
  await plain.close()
  const namespace = 'bench'
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const names = Array.from({ length: models }, (_, index) => nameOf(index))
  let made = 0
  const waiting = names.values()
  const write = async (): Promise<void> => {
    for (const name of waiting) {
      await copy(client, prototype, namespace, name)
      made += 1
      if (made % 500 === 0) report(`${made} of ${models} copies of it are made`)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
  return {
    plane,
    client,
    namespace,
    names,
    objects: models * prototype.children.reduce((sum, { objects }) => sum + objects.length, 1),
    close: async () => {
      await client.transport.close()
      await plane.stop()
    },
  }
}

const makePrototype = async (): Promise<Prototype> => {
  const plane = await startControlPlane()
  try {
    process.env['SLIPWAY_TEST_KUBECONFIG'] = plane.kubeconfig
    process.env['SLIPWAY_TEST_AUDIT_LOG'] = plane.auditLog
    const stage = await openStage()
    try {
      await stage.start()
      await stage.apply(prototypeName, specOf('1'))
      const deployment = await stage.ready(prototypeName)
      const children = []
      for (const type of childTypes) {
        const selection = { namespace: stage.namespace, labelSelector: 'app.kubernetes.io/managed-by=slipway' }
        children.push({ type, objects: (await stage.client.list(type, selection)).items })
      }
      return { deployment, children }
    } finally {
      await stage.close()
    }
  } finally {
    await plane.stop()
  }
}

const copy = async (client: KubeClient, prototype: Prototype, namespace: string, name: string): Promise<void> => {
  const { deployment } = prototype
  const from = deployment.metadata.namespace ?? ''
  const renamed = <T>(value: T, uid: string): T =>
    JSON.parse(
      JSON.stringify(value)
        .replaceAll(prototypeName, name)
        .replaceAll(from, namespace)
        .replaceAll(deployment.metadata.uid ?? '-', uid),
    ) as T
  const owner = await client.apply(modelDeployments, bare(renamed(deployment, '')), { fieldManager: 'kubectl' })
  const uid = owner.metadata.uid ?? ''
  await client.updateStatus(modelDeployments, {
    ...owner,
    status: { ...renamed(deployment.status ?? {}, uid), observedGeneration: owner.metadata.generation ?? 1 },
  })
  for (const { type, objects } of prototype.children) {
    for (const object of objects) {
      const child: Child = await client.apply(type, bare(renamed(object, uid)))
      if (object.status?.['observedGeneration'] === undefined) continue
      const { generation } = child.metadata
      await client.updateStatus(type, {
        ...child,
        status: { ...object.status, observedGeneration: generation },
      } as Child)
    }
  }
}

/** As somebody would write it: without what the server gives. An address is the server's choice too. */
const bare = (object: Child): Child => {
  const { name, namespace, labels, annotations, ownerReferences } = object.metadata
  const { status: _, spec, ...rest } = object as Child & { readonly spec?: Readonly<Record<string, unknown>> }
  const { clusterIP: _ip, clusterIPs: _ips, ...kept } = spec ?? {}
  // Slices are named at random, and belong to a Service whose uid nobody looks at.
  const own = object.kind === 'EndpointSlice' ? `${name.slice(0, -6)}-${randomBytes(3).toString('hex')}` : name
  return {
    ...rest,
    ...(spec && { spec: kept }),
    metadata: {
      name: own,
      ...(namespace !== undefined && { namespace }),
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(ownerReferences && { ownerReferences }),
    },
  }
}
