// The ModelDeployment as an API, on a real API server: accepted as a structural schema, columns for people, status and
// scale apart from spec.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { crds } from '../../../operator/api/crds.ts'
import type { ModelDeploymentStatus } from '../../../operator/api/modeldeployment.ts'
import { connect, createNamespace, installCrds, modelDeployment, pathOf, type Server } from './server.ts'

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

const at = '2026-01-02T03:04:05Z'
const hash = '0123456789'
const digest = `sha256:${'a'.repeat(64)}`
const pointer = {
  revision: `fraud-${hash}`,
  hash,
  version: 'v7',
  digest,
  image: 'registry.example/runtime:1',
  promotedAt: at,
  rollout: 1,
}
const claim = (type: string, status: 'True' | 'False') => ({
  type,
  status,
  observedGeneration: 1,
  lastTransitionTime: at,
  reason: 'Serving',
  message: 'Users are being answered.',
})

/** Every field of a status, so that none of them is dropped or refused. */
const fullStatus: Required<ModelDeploymentStatus> = {
  observedGeneration: 1,
  phase: 'Canary',
  conditions: [claim('Ready', 'False'), claim('Available', 'True')],
  stable: pointer,
  previous: { ...pointer, revision: 'fraud-1111111111', hash: '1111111111', version: 'v6', expiresAt: at },
  candidate: {
    revision: 'fraud-2222222222',
    hash: '2222222222',
    version: 'v8',
    digest,
    image: 'registry.example/runtime:2',
    readyReplicas: 2,
    attempt: 1,
    state: 'Canary',
    step: 1,
    weight: '0.5%',
    enteredAt: at,
    deadlineAt: at,
    progressAt: at,
    retryAt: at,
    message: 'Waiting for evidence.',
    reason: 'Analysing',
    retryToken: 'again',
    rollout: 2,
    substep: 'Analyse',
    stepWeight: 250,
    replicas: 1,
    stableReplicas: 3,
    ackedAt: at,
    endsBy: at,
    stableDownAt: at,
    back: true,
    pausedBy: 'kubectl',
    outcome: { rejected: true, reason: 'Aborted', message: 'Not today.', class: 'User', by: 'kubectl' },
  },
  rollouts: 2,
  rejected: [
    {
      hash: '3333333333',
      revision: 'fraud-3333333333',
      version: 'v5',
      attempt: 2,
      class: 'Invalid',
      reason: 'ModelNotFound',
      message: 'Nothing is there.',
      retryToken: '',
      at,
      rearmed: true,
    },
  ],
  traffic: {
    epoch: 4,
    weights: [
      { revision: `fraud-${hash}`, weight: 995 },
      { revision: 'fraud-2222222222', weight: 5 },
    ],
    mirror: { revision: 'fraud-2222222222', perMille: 100 },
    routers: { total: 2, acked: 2 },
    measured: [{ revision: 'fraud-2222222222', share: '0.0049', low: '0.0041', high: '0.0058' }],
  },
  analysis: {
    attempt: 1,
    sinceEpoch: 4,
    checks: [{ name: 'Errors', n: 100_000_000_000, x: 3, y: 2, logE: '-1.25', verdict: 'Inconclusive' }],
  },
  lastCommand: { id: 'a1', op: 'pause', result: 'Done', message: 'Paused.', at, earlier: ['a0'] },
  history: [
    {
      at,
      from: 'Shadowing',
      to: 'Canary',
      revision: 'fraud-2222222222',
      reason: 'ShadowPassed',
      message: '1000 pairs agree.',
      by: 'kubectl',
      epoch: 3,
    },
  ],
  replicas: 3,
  readyReplicas: 2,
  selector: 'slipway.dev/model-deployment=fraud',
}

const path = (name = '') => pathOf(namespace, 'modeldeployments', name)
const spec = { model: { uri: 'https://models.example/m.onnx' } }
const mergePatch = 'application/merge-patch+json'

const create = async (name: string): Promise<void> => {
  const { status, body } = await server.send('POST', path(), { body: modelDeployment(name, spec) })
  expect(body.message).toBeUndefined()
  expect(status).toBe(201)
}

describe('the CRDs', () => {
  test.each(crds.map((crd) => [crd.metadata.name, crd] as const))(
    '%s is structural, served and stored',
    async (name) => {
      const { body } = await server.send('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)
      expect(body.status?.['conditions']).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ type: 'NamesAccepted', status: 'True' }),
          expect.objectContaining({ type: 'Established', status: 'True' }),
        ]),
      )
      expect(body.status?.['conditions']).not.toContainEqual(expect.objectContaining({ type: 'NonStructuralSchema' }))
      expect(body.status?.['storedVersions']).toEqual(['v1alpha1'])
    },
  )

  // An update may keep rules that are too costly, a creation may not: so each is created anew, in a group of no one.
  test.each(crds.map((crd) => [crd.metadata.name, crd] as const))(
    '%s could be created on a new cluster',
    async (_, crd) => {
      const group = 'costs.slipway.dev'
      const body = { ...crd, metadata: { name: `${crd.spec.names.plural}.${group}` }, spec: { ...crd.spec, group } }
      const collection = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
      const answer = await server.send('POST', `${collection}?dryRun=All&fieldValidation=Strict`, { body })
      expect(answer.body.message).toBeUndefined()
      expect(answer.status).toBe(201)
      expect(Buffer.byteLength(JSON.stringify(answer.body))).toBeLessThan(200 * 1024)
    },
  )

  test('the short name and the category are announced', async () => {
    const { body } = await server.send('GET', '/apis/slipway.dev/v1alpha1')
    expect(body['resources']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          name: 'modeldeployments',
          shortNames: ['mdep'],
          categories: ['slipway'],
          namespaced: true,
        }),
        expect.objectContaining({ name: 'modeldeployments/status' }),
        expect.objectContaining({ name: 'modeldeployments/scale', kind: 'Scale' }),
        expect.objectContaining({
          name: 'modelrevisions',
          shortNames: ['mrev'],
          categories: ['slipway'],
          namespaced: true,
        }),
      ]),
    )
  })
})

describe('status', () => {
  test('takes every field and gives it back', async () => {
    await create('every-field')
    const sent = { body: { status: fullStatus }, contentType: mergePatch }
    const { status, body } = await server.send('PATCH', `${path('every-field')}/status?fieldValidation=Strict`, sent)
    expect(body.message).toBeUndefined()
    expect(status).toBe(200)
    expect(body.status).toEqual(fullStatus)
  })

  test('is written through its subresource only, and never moves the generation', async () => {
    await create('apart')
    const status = { phase: 'Idle' }
    const other = { ...spec, replicas: 5 }
    const bySpec = await server.send('PATCH', path('apart'), { body: { status }, contentType: mergePatch })
    expect(bySpec).toMatchObject({ status: 200, body: { metadata: { generation: 1 } } })
    expect(bySpec.body.status).toBeUndefined()
    const byStatus = await server.send('PATCH', `${path('apart')}/status`, {
      body: { status, spec: other },
      contentType: mergePatch,
    })
    expect(byStatus).toMatchObject({
      status: 200,
      body: { status, spec: { replicas: 1 }, metadata: { generation: 1 } },
    })
  })

  test('of a wrong shape is refused', async () => {
    await create('wrong')
    const stale = { ...pointer, promotedAt: 'yesterday' }
    const sent = { body: { status: { stable: stale, phase: 7 } }, contentType: mergePatch }
    const { status, body } = await server.send('PATCH', `${path('wrong')}/status`, sent)
    expect(status).toBe(422)
    expect(body.details?.causes?.map(({ field }) => field)).toEqual(
      expect.arrayContaining(['status.phase', 'status.stable.promotedAt']),
    )
  })
})

describe('scale', () => {
  test('sets spec.replicas and reads replicas and selector from status', async () => {
    await create('scaled')
    const status = { replicas: 2, selector: 'slipway.dev/model-deployment=scaled' }
    await server.send('PATCH', `${path('scaled')}/status`, { body: { status }, contentType: mergePatch })
    const scale = await server.send('GET', `${path('scaled')}/scale`)
    expect(scale.body).toMatchObject({ kind: 'Scale', spec: { replicas: 1 }, status })
    const scaled = await server.send('PATCH', `${path('scaled')}/scale`, {
      body: { spec: { replicas: 3 } },
      contentType: mergePatch,
    })
    expect(scaled).toMatchObject({ status: 200, body: { spec: { replicas: 3 }, status } })
    const { body } = await server.send('GET', path('scaled'))
    expect(body).toMatchObject({ spec: { ...spec, replicas: 3 }, status, metadata: { generation: 2 } })
  })

  test('cannot set what the spec refuses', async () => {
    await create('overscaled')
    const sent = { body: { spec: { replicas: 10_001 } }, contentType: mergePatch }
    expect(await server.send('PATCH', `${path('overscaled')}/scale`, sent)).toMatchObject({ status: 422 })
  })
})

test('kubectl get shows version, candidate, phase, weight, ready, available and age', async () => {
  await create('shown')
  await server.send('PATCH', `${path('shown')}/status`, { body: { status: fullStatus }, contentType: mergePatch })
  const { body } = await server.send('GET', path('shown'), {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  })
  const shown = (body.columnDefinitions ?? []).filter(({ priority }) => priority === 0).map(({ name }) => name)
  expect(shown).toEqual(['Name', 'VERSION', 'CANDIDATE', 'PHASE', 'WEIGHT', 'READY', 'AVAILABLE', 'AGE'])
  expect(body.rows?.[0]?.cells.slice(0, -1)).toEqual(['shown', 'v7', 'v8', 'Canary', '0.5%', 'False', 'True'])
})
