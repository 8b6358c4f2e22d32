// The examples that people copy, on a real API server: seven lines get every default, and the full one is accepted
// and shows every field that there is.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { load } from 'js-yaml'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { modelDeploymentCrd } from '../../../operator/api/crds.ts'
import { revisionHash, type IdentifiedSpec } from '../../../operator/api/identity.ts'
import type { StructuralSchema } from '../../../operator/api/structural.ts'
import { connect, createNamespace, installCrds, modelDeployment, pathOf, type Answer, type Server } from './server.ts'

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

const dryRun = (body: object): Promise<Answer> =>
  server.send('POST', `${pathOf(namespace, 'modeldeployments')}?dryRun=All&fieldValidation=Strict`, { body })

const example = async (name: string): Promise<Record<string, unknown>> => {
  const path = join(import.meta.dirname, '../../../examples', name)
  return load(await readFile(path, 'utf8')) as Record<string, unknown>
}

const defaults = {
  replicas: 1,
  traffic: { mode: 'Router' },
  rollout: {
    strategy: 'Canary',
    deadlines: { provision: '15m', step: '30m', total: '4h' },
    capacity: 'Surge',
    onInconclusive: 'Hold',
    onNoTraffic: 'Proceed',
    onMetricsError: 'Hold',
    onStableUnhealthy: 'PreferHealthy',
    keepPreviousFor: '10m',
    paused: false,
    retryToken: '',
  },
  rollback: { to: '' },
  revisionHistoryLimit: 10,
  suspend: false,
}

test('seven lines are enough, and every default is filled in', async () => {
  const minimal = await example('minimal.yaml')
  const { status, body } = await dryRun(minimal)
  expect(status).toBe(201)
  expect(body.spec).toEqual({ ...Object(minimal['spec']), ...defaults })
})

test('empty sections get the defaults of their fields', async () => {
  const empty = { traffic: {}, rollout: { deadlines: {} }, rollback: {} }
  const { status, body } = await dryRun(modelDeployment('fraud', { model: { uri: 'https://host/m.onnx' }, ...empty }))
  expect(status).toBe(201)
  expect(body.spec).toEqual({ model: { uri: 'https://host/m.onnx' }, ...defaults })
})

test('nothing is filled into the identity, so a hash is that of what the user wrote', async () => {
  const identity: IdentifiedSpec = {
    model: { uri: 'https://host/m.onnx' },
    runtime: { batching: {}, queue: {}, warmup: {} },
    resources: {},
    podTemplate: { metadata: {}, spec: { containers: [{ name: 'runtime', env: [{ name: 'A', value: 'b' }] }] } },
  }
  const { status, body } = await dryRun(modelDeployment('fraud', identity))
  expect(status).toBe(201)
  expect(body.spec).toEqual({ ...identity, ...defaults })
  expect(revisionHash({ ...identity, ...body.spec })).toBe(revisionHash(identity))
})

test('the full example is accepted as it is written', async () => {
  const full = await example('full.yaml')
  const { status, body } = await dryRun(full)
  expect(body.message).toBeUndefined()
  expect(status).toBe(201)
  expect(body.spec).toEqual(full['spec'])
})

test('the example of mode Gateway is accepted, with nothing but defaults filled in', async () => {
  const { status, body } = await dryRun(await example('gateway.yaml'))
  expect(body.message).toBeUndefined()
  expect(status).toBe(201)
  expect(body.spec?.['traffic']).toEqual(Object((await example('gateway.yaml'))['spec'])['traffic'])
})

test('the full example shows every field of the spec, but for what only mode Gateway takes', async () => {
  const [version] = modelDeploymentCrd.spec.versions
  const spec = version?.schema.openAPIV3Schema.properties?.['spec'] ?? {}
  expect(missingIn((await example('full.yaml'))['spec'], spec, 'spec')).toEqual(['spec.traffic.gateway'])
  const { gateway } = Object(Object((await example('gateway.yaml'))['spec'])['traffic'])
  const schema = spec.properties?.['traffic']?.properties?.['gateway'] ?? {}
  expect(missingIn(gateway, schema, 'spec.traffic.gateway')).toEqual([])
})

/** Paths of the schema that the value does not show; a field of any item of a list counts. */
const missingIn = (value: unknown, schema: StructuralSchema, path: string): string[] => {
  if (value === undefined) return [path]
  if (Array.isArray(value)) {
    const items: unknown = Object.assign({}, ...value.map((item: unknown) => item))
    return schema.items?.properties === undefined ? [] : missingIn(items, schema.items, `${path}[]`)
  }
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    missingIn(Object(value)[name], field, `${path}.${name}`),
  )
}
