// The API server that is measured against: real, with thousands of ModelDeployments in it that are settled. One of them
// came about as every one does, by our operator and the controllers of Kubernetes; the others are copies of what is then
// in etcd. Once they are there no controller runs beside the operators that are measured.
import { randomUUID } from 'node:crypto'
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import type { ModelRevision } from '../../operator/api/modelrevision.ts'
import { KubeClient } from '../../operator/kube/client.ts'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import { intentOf, withIntent } from '../../operator/kube/drift.ts'
import { deployments, leases, services } from '../../operator/kube/resources.ts'
import { Transport } from '../../operator/kube/transport.ts'
import type { Desired, KubeObject } from '../../operator/kube/types.ts'
import { directService, revisionDeployment } from '../../operator/modeldeployment/desired/children.ts'
import { modelDeployments, modelRevisions } from '../../operator/modeldeployment/resources.ts'
import { startControlPlane, type ControlPlane } from '../../test/cluster/controlplane.ts'
import { stopProcesses } from '../../test/cluster/processes.ts'
import { eventually } from '../../test/integration/operator/eventually.ts'
import { openStage, type Stage } from '../../test/integration/operator/stage.ts'
import { specOf } from '../../test/faults/scene.ts'
import { addressesLike, copies } from './copies.ts'
import { Etcd } from './etcd.ts'

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

const digits = 5
const leaseName = 'slipway-operator'
const nameOf = (index: number): string => `model-${String(index).padStart(digits, '0')}`
/** What an operator caches of a model, as etcd's keys begin; `%` is the namespace. */
const cached = [
  'slipway.dev/modeldeployments/%',
  'slipway.dev/modelrevisions/%',
  'deployments/%',
  'services/specs/%',
  'endpointslices/%',
]
/** Without these the API server would find that thousands of Services have addresses that nobody gave out. */
const addresses = 'ipaddresses'

export const createWorld = async (models: number, report: (line: string) => void): Promise<World> => {
  report('a first model is rolled out by the operator and the controllers of Kubernetes')
  const plane = await startControlPlane()
  try {
    const namespace = await rollOut(plane, nameOf(0), models)
    const credentials = await loadCredentials({ kubeconfig: plane.kubeconfig })
    const client = new KubeClient(new Transport({ credentials, userAgent: 'bench' }))
    await stopProcesses(
      plane.processes.filter(({ name }) => name === 'kube-controller-manager'),
      2000,
    )
    // The operator that made it was killed; nobody is to wait for its lease.
    await client.delete(leases, namespace, leaseName)
    const etcd = new Etcd(plane.etcd)
    const prefixes = cached.map((prefix) => `/registry/${prefix.replace('%', namespace)}/`)
    const found = await Promise.all(prefixes.map((prefix) => etcd.list(prefix)))
    const prototype = found.flat().filter(({ key }) => key.includes(nameOf(0)))
    const given = (await etcd.list(`/registry/${addresses}/`)).filter(({ value }) => value.includes(nameOf(0)))
    const names = Array.from({ length: models }, (_, index) => nameOf(index))
    const first = await settled(client, namespace, nameOf(0))
    const put = etcd.puts()
    for (const [index, name] of names.entries()) {
      if (index === 0) continue
      for (const entry of copies([...prototype, ...given], wordsOf(first, name), index)) await put.add(entry)
      if ((index + 1) % 1000 === 0) report(`${index + 1} of ${models} copies of it are made`)
    }
    await put.flush()
    const served = await client.list(modelDeployments, { namespace })
    if (served.items.length !== models) throw new Error(`the API server has ${served.items.length} of ${models} models`)
    return {
      plane,
      client,
      namespace,
      names,
      objects: models * prototype.length,
      close: async () => {
        await client.transport.close()
        await plane.stop()
      },
    }
  } catch (error) {
    await plane.stop()
    throw error
  }
}

/** The model that came about by itself, as far as its copies have to differ from it. */
interface Settled {
  readonly deployment: ModelDeployment
  readonly revision: ModelRevision
}

const settled = async (client: KubeClient, namespace: string, name: string): Promise<Settled> => {
  const deployment = await client.get(modelDeployments, namespace, name)
  const revision = await client.get(modelRevisions, namespace, deployment.status?.stable?.revision ?? '')
  const first = { deployment, revision }
  for (const child of desiredOf(first)) {
    const type = child.kind === 'Service' ? services : deployments
    const { metadata } = await client.get<KubeObject>(type, namespace, child.metadata.name)
    if (intentOf({ ...child, metadata }) === intentOf(withIntent(child))) continue
    throw new Error(`the operator wants another ${child.kind} than the bench thinks; a copy would be written again`)
  }
  return first
}

/** What the operator wants to be there for it. */
const desiredOf = ({ deployment, revision: { metadata, spec } }: Settled): readonly Desired[] => [
  revisionDeployment(deployment, metadata.name, spec.podTemplate, deployment.spec.replicas),
  directService(deployment, metadata.name),
]

/** What a copy says instead: its name, its uid, and the hashes of what is wanted for it, which are made of the two. */
const wordsOf = (first: Settled, name: string): Map<string, string> => {
  const from = first.deployment.metadata
  const words = new Map([
    [from.name, name],
    [from.uid ?? '', randomUUID()],
  ])
  let text = JSON.stringify(first)
  for (const [old, other] of words) text = text.replaceAll(old, other)
  const wanted = desiredOf(JSON.parse(text) as Settled).map((child) => intentOf(withIntent(child)) ?? '')
  desiredOf(first).forEach((child, index) => words.set(intentOf(withIntent(child)) ?? '', wanted[index] ?? ''))
  return words
}

/** @returns the namespace that it lives in */
const rollOut = async (plane: ControlPlane, name: string, models: number): Promise<string> => {
  process.env['SLIPWAY_TEST_KUBECONFIG'] = plane.kubeconfig
  process.env['SLIPWAY_TEST_AUDIT_LOG'] = plane.auditLog
  const stage = await openStage()
  try {
    await stage.start()
    await stage.apply(name, specOf('1'))
    await stage.ready(name)
    await untilAddressCanBeCopied(stage, name, models)
    return stage.namespace
  } finally {
    await stage.close()
  }
}

/** One Service in forty gets an address with too few digits for thousands of others like it. The operator makes it anew. */
const untilAddressCanBeCopied = async (stage: Stage, name: string, models: number): Promise<void> => {
  const { client, namespace } = stage
  for (;;) {
    const { metadata, spec } = await client.get(services, namespace, name)
    if (addressesLike(spec?.clusterIP ?? '') >= models) return
    await client.delete(services, namespace, name, { uid: metadata.uid })
    await eventually('the operator makes the Service anew', async () => {
      const made = await client.find(services, namespace, name)
      return made !== undefined && made.metadata.uid !== metadata.uid
    })
    await stage.ready(name)
  }
}
