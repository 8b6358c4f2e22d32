// The API server that is measured against: real, with thousands of ModelDeployments in it that are settled. One of them
// came about as every one does, by our operator and the controllers of Kubernetes; the others are copies of what is then
// in etcd. Once they are there no controller runs beside the operators that are measured.
import { KubeClient } from '../../operator/kube/client.ts'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import { Transport } from '../../operator/kube/transport.ts'
import { modelDeployments } from '../../operator/modeldeployment/resources.ts'
import { startControlPlane, type ControlPlane } from '../../test/cluster/controlplane.ts'
import { stopProcesses } from '../../test/cluster/processes.ts'
import { openStage } from '../../test/integration/operator/stage.ts'
import { specOf } from '../../test/faults/scene.ts'
import { copies } from './copies.ts'
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
    const namespace = await rollOut(plane, nameOf(0))
    await stopProcesses(
      plane.processes.filter(({ name }) => name === 'kube-controller-manager'),
      2000,
    )
    const etcd = new Etcd(plane.etcd)
    const prefixes = cached.map((prefix) => `/registry/${prefix.replace('%', namespace)}/`)
    const found = await Promise.all(prefixes.map((prefix) => etcd.list(prefix)))
    const prototype = found.flat().filter(({ key }) => key.includes(nameOf(0)))
    const given = (await etcd.list(`/registry/${addresses}/`)).filter(({ value }) => value.includes(nameOf(0)))
    const names = Array.from({ length: models }, (_, index) => nameOf(index))
    const put = etcd.puts()
    for (const [index, name] of names.entries()) {
      if (index === 0) continue
      for (const entry of copies([...prototype, ...given], nameOf(0), name, index)) await put.add(entry)
      if ((index + 1) % 1000 === 0) report(`${index + 1} of ${models} copies of it are made`)
    }
    await put.flush()
    const credentials = await loadCredentials({ kubeconfig: plane.kubeconfig })
    const client = new KubeClient(new Transport({ credentials, userAgent: 'bench' }))
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

/** @returns the namespace that it lives in */
const rollOut = async (plane: ControlPlane, name: string): Promise<string> => {
  process.env['SLIPWAY_TEST_KUBECONFIG'] = plane.kubeconfig
  process.env['SLIPWAY_TEST_AUDIT_LOG'] = plane.auditLog
  const stage = await openStage()
  try {
    await stage.start()
    await stage.apply(name, specOf('1'))
    await stage.ready(name)
    return stage.namespace
  } finally {
    await stage.close()
  }
}
