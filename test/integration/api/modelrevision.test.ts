// The ModelRevision on a real API server: it takes what the operator freezes and never changes afterwards.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { modelRevisionCrd } from '../../../operator/api/crds.ts'
import { revisionHash, revisionIntent, revisionName } from '../../../operator/api/identity.ts'
import type { ModelRevision } from '../../../operator/api/modelrevision.ts'
import { apiVersion } from '../../../operator/api/objectmeta.ts'
import { rulesOf } from '../../../operator/api/structural.ts'
import { connect, createNamespace, installCrds, pathOf, type Answer, type Server } from './server.ts'

let server: Server
let namespace: string

beforeAll(async () => {
  server = await connect()
  await installCrds(server)
  namespace = await createNamespace(server)
})

afterAll(async () => {
  await server.send('DELETE', `/api/v1/namespaces/${namespace}`)
  await server.close()
})

const intended = {
  model: { uri: 'https://models.example/m.onnx', version: 'v7' },
  podTemplate: { spec: { nodeSelector: { zone: 'a' } } },
}
const hash = revisionHash(intended)

const revision: ModelRevision = {
  apiVersion,
  kind: 'ModelRevision',
  metadata: { name: revisionName('fraud', hash) },
  spec: {
    modelDeployment: 'fraud',
    hash,
    intent: revisionIntent(intended),
    model: {
      name: 'fraud',
      version: 'v7',
      uri: intended.model.uri,
      digest: `sha256:${'b'.repeat(64)}`,
      sizeBytes: 30_000_000_000,
    },
    contract: {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [{ name: 'y', datatype: 'INT64', shape: [] }],
    },
    runtime: {
      image: `registry.example/runtime@sha256:${'c'.repeat(64)}`,
      device: 'GPU',
      gpuResource: 'nvidia.com/gpu',
      threads: 'Auto',
      batching: { maxSize: 8, maxDelay: '0ms' },
      queue: { maxRequests: 512, timeout: '30s' },
      warmup: { requests: 20 },
    },
    podTemplate: {
      metadata: { labels: { 'slipway.dev/model-deployment': 'fraud' } },
      spec: { containers: [{ name: 'runtime', env: [{ name: 'A', value: 'b' }] }], nodeSelector: { zone: 'a' } },
    },
  },
}

const path = () => pathOf(namespace, 'modelrevisions')
const post = (body: object, dryRun = false): Promise<Answer> =>
  server.send('POST', `${path()}?fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`, { body })
const patch = (spec: object): Promise<Answer> =>
  server.send('PATCH', `${path()}/${revision.metadata.name}`, {
    body: { spec },
    contentType: 'application/merge-patch+json',
  })

const changes: readonly [string, object][] = [
  ['its digest', { model: { digest: `sha256:${'d'.repeat(64)}` } }],
  ['its contract', { contract: { inputs: [] } }],
  ['a number of its runtime', { runtime: { queue: { maxRequests: 1 } } }],
  ['a field of its free-form pod template', { podTemplate: { spec: { nodeSelector: { zone: 'b' } } } }],
  ['a new field of its free-form pod template', { podTemplate: { spec: { hostNetwork: true } } }],
  ['a field gone from its intent', { intent: { podTemplate: null } }],
]

test('what the operator freezes is kept byte for byte, and then never changes', async () => {
  const created = await post(revision)
  expect(created.body.message).toBeUndefined()
  expect(created).toMatchObject({ status: 201, body: { spec: revision.spec } })
  expect(created.body.spec).toEqual(revision.spec)

  for (const [what, change] of changes) {
    const refused = await patch(change)
    expect({ what, status: refused.status }).toEqual({ what, status: 422 })
    expect(refused.body.message).toContain(
      'a ModelRevision never changes: change the ModelDeployment, which makes a new one',
    )
  }
  const { status } = await server.send('PATCH', `${path()}/${revision.metadata.name}`, {
    body: { metadata: { labels: { checked: 'yes' } } },
    contentType: 'application/merge-patch+json',
  })
  expect(status).toBe(200)
})

test('kubectl get shows what a revision is of, its version and its size', async () => {
  const name = 'fraud-eeeeeeeeee'
  await post({ ...revision, metadata: { name } })
  const { body } = await server.send('GET', `${path()}/${name}`, {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  })
  const shown = (body.columnDefinitions ?? []).filter(({ priority }) => priority === 0).map(({ name }) => name)
  expect(shown).toEqual(['Name', 'MODELDEPLOYMENT', 'VERSION', 'DEVICE', 'BYTES', 'AGE'])
  expect(body.rows?.[0]?.cells.slice(0, 5)).toEqual([name, 'fraud', 'v7', 'GPU', 30_000_000_000])
})

const withRuntime = (runtime: object) => ({
  ...revision,
  metadata: { name: 'fraud-ffffffffff' },
  spec: { ...revision.spec, runtime: { ...revision.spec.runtime, ...runtime } },
})

const refused: readonly [string, object, string][] = [
  [
    'spec.runtime.batching.maxDelay',
    withRuntime({ batching: { maxSize: 8, maxDelay: '5' } }),
    'write a number with its unit',
  ],
  [
    'spec.runtime.queue.timeout',
    withRuntime({ queue: { maxRequests: 1, timeout: '0s' } }),
    'write a number above zero with its unit',
  ],
]

test.each(refused)('a wrong %s is refused', async (_, body, message) => {
  expect(await post(body, true)).toMatchObject({ status: 422, body: { message: expect.stringContaining(message) } })
})

test('every rule of the schema has a bad example above', () => {
  const [version] = modelRevisionCrd.spec.versions
  const rules = rulesOf(version?.schema.openAPIV3Schema ?? {}).map(({ path }) => path)
  expect(rules).toEqual(['spec', ...refused.map(([path]) => path)])
})
