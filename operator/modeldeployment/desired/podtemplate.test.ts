import { expect, test } from '@jest/globals'
import type { ModelDeploymentSpec } from '../../api/modeldeployment.ts'
import { directSpecOf } from '../../api/fixtures.ts'
import { deploymentOf, resolvedOf } from '../fixtures.ts'
import { notImplemented } from '../notimplemented.ts'
import { modelRevision } from './children.ts'
import { renderPodTemplate } from './podtemplate.ts'

test.each<[ModelDeploymentSpec['runtime'], object, string, string]>([
  [undefined, { maxSize: 'Auto', maxDelay: '0ms' }, 'Auto', '0'],
  [{ batching: { maxSize: 8 } }, { maxSize: 8, maxDelay: '0ms' }, '8', '0'],
  [{ batching: { maxDelay: '1s5ms' } }, { maxSize: 'Auto', maxDelay: '1s5ms' }, 'Auto', '1005'],
])('runtime %j is frozen as %j, and the pods are told %s and %s ms', (runtime, frozen, maxSize, maxDelayMs) => {
  const deployment = deploymentOf(directSpecOf('https://models.example/1.onnx', runtime && { runtime }))
  expect(notImplemented(deployment.spec)).toBeUndefined()
  expect(modelRevision(deployment, resolvedOf(deployment, 'v1')).spec.runtime.batching).toEqual(frozen)
  const { containers } = renderPodTemplate(deployment, resolvedOf(deployment, 'v1')).spec as {
    containers: { env: { name: string; value: string }[] }[]
  }
  const env = Object.fromEntries(containers[0]?.env.map(({ name, value }) => [name, value]) ?? [])
  expect(env).toMatchObject({ SLIPWAY_BATCH_MAX_SIZE: maxSize, SLIPWAY_BATCH_MAX_DELAY_MS: maxDelayMs })
})
