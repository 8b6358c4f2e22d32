// The two objects that a router reads, as the API server would send them.
import type { ModelDeployment } from '../../../operator/api/modeldeployment.ts'
import type { EndpointSlice } from '../../../operator/kube/resources.ts'
import type { Pod } from './upstream.ts'

export interface Traffic {
  readonly name?: string
  readonly uid?: string
  readonly port: number
  readonly epoch: number
  /** Thousandths by revision. */
  readonly weights: Readonly<Record<string, number>>
  readonly stable?: string
  readonly candidate?: string
  readonly versions?: Readonly<Record<string, string>>
  readonly mirror?: { readonly revision: string; readonly perMille: number }
  readonly timeout?: string
  readonly sticky?: string
  readonly model?: string
}

/** What the operator would have written into the status. */
export const statusOf = ({ epoch, port, weights, stable, candidate, versions = {}, mirror }: Traffic): object => {
  const pointer = (revision: string): object => ({
    revision,
    hash: '0a1b2c3d4e',
    version: versions[revision] ?? revision,
    digest: `sha256:${'0'.repeat(64)}`,
    image: 'registry.test/runtime@sha256:0',
    promotedAt: '2026-11-26T00:00:00Z',
  })
  return {
    traffic: {
      epoch,
      port,
      weights: Object.entries(weights).map(([revision, weight]) => ({ revision, weight })),
      ...(mirror && { mirror }),
    },
    ...(stable !== undefined && { stable: pointer(stable) }),
    ...(candidate !== undefined && {
      candidate: {
        revision: candidate,
        hash: '0a1b2c3d4f',
        version: versions[candidate] ?? candidate,
        attempt: 1,
        state: 'Canary',
        enteredAt: '2026-11-26T00:00:00Z',
      },
    }),
  }
}

export const specOf = ({ timeout, sticky, model }: Traffic): object => ({
  model: { uri: 'https://models.test/m.onnx', ...(model !== undefined && { name: model }) },
  replicas: 1,
  traffic: {
    mode: 'Router',
    ...(timeout !== undefined && { timeout }),
    ...(sticky !== undefined && { sticky: { header: sticky } }),
  },
})

let written = 0

export const deploymentOf = (traffic: Traffic): ModelDeployment => {
  const { name = 'fraud', uid = `${name}-uid` } = traffic
  return {
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace: 'shop', uid, resourceVersion: String((written += 1)) },
    spec: specOf(traffic),
    status: statusOf(traffic),
  } as ModelDeployment
}

export type Condition = 'ready' | 'unready' | 'ending' | 'ended'

const conditions: Readonly<Record<Condition, object>> = {
  ready: { ready: true, serving: true, terminating: false },
  unready: { ready: false, serving: false, terminating: false },
  ending: { ready: false, serving: true, terminating: true },
  ended: { ready: false, serving: false, terminating: true },
}

/** One slice a pod: on loopback every pod has ports of its own, and ports belong to a slice. */
export const sliceOf = (pod: Pod, condition: Condition = 'ready', labels: object = {}): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: `${pod.revision}-${pod.http}`,
    namespace: 'shop',
    resourceVersion: String((written += 1)),
    labels: {
      'app.kubernetes.io/managed-by': 'slipway',
      'slipway.dev/model-deployment': 'fraud',
      'slipway.dev/revision': pod.revision,
      ...labels,
    },
  },
  addressType: pod.address.includes(':') ? 'IPv6' : 'IPv4',
  ports: [
    { name: 'http', port: pod.http, protocol: 'TCP' },
    { name: 'grpc', port: pod.grpc, protocol: 'TCP' },
  ],
  endpoints: [{ addresses: [pod.address], conditions: conditions[condition] }],
})
