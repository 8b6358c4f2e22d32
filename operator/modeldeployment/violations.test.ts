import { expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { directSpecOf } from '../api/fixtures.ts'
import { silent } from '../telemetry/log.ts'
import { deploymentOf } from './fixtures.ts'
import { watchdog } from './violations.ts'

test('a broken invariant is counted by its name and told as a Warning, and every name is there from the start', async () => {
  const registry = new Registry()
  const told: string[] = []
  const watch = watchdog(registry, {
    record: (_, { type, reason, message }) => {
      told.push(`${type} ${reason} ${message}`)
    },
  })
  const counts = async () => {
    const metric = await registry.getSingleMetric('slipway_rollout_violations_total')?.get()
    return metric?.values.map(({ labels, value }) => [labels['invariant'], value])
  }
  expect(await counts()).toContainEqual(['I3', 0])
  const deployment = deploymentOf(directSpecOf('https://models.example/1.onnx'))
  watch(deployment, [{ invariant: 'I3', message: 'fraud-1 is let go.' }], silent)
  expect(await counts()).toContainEqual(['I3', 1])
  expect(told).toEqual(['Warning InvariantBroken I3: fraud-1 is let go.'])
})
