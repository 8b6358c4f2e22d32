import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Histogram, Registry } from 'prom-client'
import { Distribution } from './distribution.ts'

const buckets = [0.001, 0.01, 0.1, 1]
const about = { name: 'a_seconds', help: 'Time', buckets }

test('it prints what a histogram of prom-client prints for the same numbers', async () => {
  const value = fc.oneof(fc.double({ min: 0, max: 2, noNaN: true }), fc.constantFrom(...buckets, 0))
  await fc.assert(
    fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 50 }), async (values) => {
      const [ours, theirs] = [new Registry(), new Registry()]
      const distribution = new Distribution(ours, { ...about, labels: { model_name: 'm' } })
      const histogram = new Histogram({ ...about, labelNames: ['model_name'], registers: [theirs] }).labels('m')
      for (const each of values) {
        distribution.observe(each)
        histogram.observe(each)
      }
      expect(await ours.metrics()).toBe(await theirs.metrics())
    }),
  )
})

test('without a number it prints zeros, and without labels none', async () => {
  const [ours, theirs] = [new Registry(), new Registry()]
  const distribution = new Distribution(ours, about)
  const histogram = new Histogram({ ...about, registers: [theirs] })
  expect(await ours.metrics()).toBe(await theirs.metrics())
  distribution.observe(0.5)
  histogram.observe(0.5)
  expect(await ours.metrics()).toBe(await theirs.metrics())
  ours.resetMetrics()
  const fresh = new Registry()
  expect(new Histogram({ ...about, registers: [fresh] })).toBeDefined()
  expect(await ours.metrics()).toBe(await fresh.metrics())
})

test('a name is given once', () => {
  const registry = new Registry()
  const first = new Distribution(registry, about)
  expect(first.name).toBe('a_seconds')
  expect(() => new Distribution(registry, about)).toThrow('already been registered')
})
