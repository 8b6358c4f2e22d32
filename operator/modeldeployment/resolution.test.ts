import { expect, test } from '@jest/globals'
import { directSpecOf } from '../api/fixtures.ts'
import { deploymentOf } from './fixtures.ts'
import { resolutionOf } from './resolution.ts'
import type { PodView } from './trouble.ts'

const digest = `sha256:${'a'.repeat(64)}`
const result = JSON.stringify({ ok: true, digest, sizeBytes: 1, inputs: [], outputs: [] })
const request = {
  deployment: deploymentOf(directSpecOf('https://models.example/1.onnx')),
  revision: 'fraud-1',
  hash: '1',
  image: 'registry.example/runtime:1',
}

test('the image is pinned and the result is read from the container that resolves, whatever else runs beside it', () => {
  const pod: PodView = {
    metadata: { name: 'p' },
    status: {
      containerStatuses: [
        {
          name: 'injected',
          imageID: `registry.example/proxy@sha256:${'c'.repeat(64)}`,
          state: { terminated: { exitCode: 0, message: 'bye' } },
        },
        {
          name: 'resolve',
          imageID: `registry.example/runtime@sha256:${'b'.repeat(64)}`,
          state: { terminated: { exitCode: 0, message: result } },
        },
      ],
    },
  }
  const { resolution, resolved } = resolutionOf(request, undefined, [pod])
  expect(resolution).toMatchObject({ kind: 'Resolved', digest })
  expect(resolved?.image).toBe(`registry.example/runtime@sha256:${'b'.repeat(64)}`)
})

test('a Job that ended without a word from its pod is tried again and says so', () => {
  const failed = { type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', message: 'limit reached' }
  const job = { metadata: { name: 'fraud-1-resolve' }, status: { conditions: [failed] } }
  expect(resolutionOf(request, job, []).resolution).toMatchObject({
    kind: 'Failed',
    retryable: true,
    message: 'Job fraud-1-resolve ended without a result (limit reached).',
  })
})

test('a Job whose pod is on a lost node is tried again, though that pod never says that it has ended', () => {
  const target = { type: 'FailureTarget', status: 'True', reason: 'BackoffLimitExceeded' }
  const job = { metadata: { name: 'fraud-1-resolve' }, status: { conditions: [target] } }
  const pod = { metadata: { name: 'p' }, status: { phase: 'Running' } }
  expect(resolutionOf(request, job, [pod]).resolution).toEqual({ kind: 'Running' })
  const going = { ...pod, metadata: { name: 'p', deletionTimestamp: '2026-01-01T00:00:00Z' } }
  expect(resolutionOf(request, job, [going]).resolution).toMatchObject({
    kind: 'Failed',
    retryable: true,
    message: 'The pod of Job fraud-1-resolve was lost with its node.',
  })
  const running = { ...job, status: {} }
  expect(resolutionOf(request, running, [going]).resolution).toEqual({ kind: 'Running' })
})
