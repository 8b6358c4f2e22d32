// What a router costs: with one model, and with two hundred. The others are objects without an operator, whose status
// and EndpointSlices are written here; their pods are those of the first.
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import { endpointslices, type EndpointSlice } from '../../operator/kube/resources.ts'
import { modelDeployments } from '../../operator/modeldeployment/resources.ts'
import type { World } from './world.ts'

export interface RouterCost {
  readonly models: number
  readonly agentRssMib: number
  readonly envoyRssMib: number
  readonly stateBytes: number
  /** From the write of one model's status until every router has applied it. */
  readonly writeMs: readonly number[]
  /** From the first of the new objects until every router had the last. */
  readonly addedMs: number
}

/** Above those that the operator gave out. */
const firstPort = 25_000
const writes = 5

export const routerCosts = async (
  world: World,
  counts: readonly number[],
): Promise<{ readonly costs: readonly RouterCost[]; readonly refused?: string }> => {
  const [pod] = await world.podsOf(world.stable)
  const costs: RouterCost[] = []
  let made = 1
  for (const models of counts) {
    const startedAt = performance.now()
    const added = Array.from({ length: models - made }, (_, i) => made + i)
    for (let first = 0; first < added.length; first += 10)
      await Promise.all(added.slice(first, first + 10).map((index) => addModel(world, index, pod?.address ?? '')))
    const last = added.at(-1)
    if (last !== undefined) {
      const refused = await world.acknowledged(1, nameOf(last)).then(() => undefined, String)
      if (refused !== undefined) return { costs, refused: `${models} models: ${refused}` }
    }
    const addedMs = performance.now() - startedAt
    made = models
    const writeMs: number[] = []
    for (let n = 0; n < writes; n += 1) writeMs.push(await world.apply({ candidate: n % 2 === 0 ? 10 : 0 }))
    const [router] = await world.routers()
    const rss = async (container: string): Promise<number> => {
      const status = await world.read(router?.name ?? '', container, '/proc/1/status')
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
    }
    costs.push({
      models,
      agentRssMib: await rss('agent'),
      envoyRssMib: await rss('envoy'),
      stateBytes: await world.stateSize(router?.name ?? ''),
      writeMs,
      addedMs,
    })
  }
  return { costs }
}

const nameOf = (index: number): string => `many-${String(index).padStart(3, '0')}`

const addModel = async ({ client, namespace, store }: World, index: number, address: string): Promise<void> => {
  const name = nameOf(index)
  const [stable, candidate] = [`${name}-a`, `${name}-b`]
  const object = {
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace },
    spec: { model: { uri: `${store}/models/add.onnx` }, traffic: { mode: 'Router' } },
  }
  await client.apply(modelDeployments, object)
  for (const revision of [stable, candidate])
    await client.apply(endpointslices, sliceOf(namespace, name, revision, address))
  const status = {
    stable: {
      revision: stable,
      hash: '0a1b2c3d4e',
      version: 'a',
      digest: `sha256:${'0'.repeat(64)}`,
      image: 'registry.test/runtime@sha256:0',
      promotedAt: '2026-11-26T00:00:00Z',
    },
    traffic: {
      epoch: 1,
      port: firstPort + index,
      weights: [
        { revision: stable, weight: 900 },
        { revision: candidate, weight: 100 },
      ],
    },
  }
  await client.mergePatch<ModelDeployment>(modelDeployments, namespace, name, { status }, { subresource: 'status' })
}

const sliceOf = (namespace: string, name: string, revision: string, address: string): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: revision,
    namespace,
    labels: {
      'app.kubernetes.io/managed-by': 'slipway',
      'slipway.dev/model-deployment': name,
      'slipway.dev/revision': revision,
    },
  },
  addressType: 'IPv4',
  ports: [
    { name: 'http', port: 8080, protocol: 'TCP' },
    { name: 'grpc', port: 9000, protocol: 'TCP' },
  ],
  endpoints: [{ addresses: [address], conditions: { ready: true, serving: true, terminating: false } }],
})

/** How much more a figure grew over the second half than over the first; 1 is a straight line. */
export const bend = (costs: readonly RouterCost[], figure: (cost: RouterCost) => number): number => {
  const [first, middle, last] = [costs[0], costs[Math.floor(costs.length / 2)], costs.at(-1)]
  if (first === undefined || middle === undefined || last === undefined) return NaN
  const slope = (a: RouterCost, b: RouterCost): number => (figure(b) - figure(a)) / (b.models - a.models)
  return slope(middle, last) / slope(first, middle)
}
