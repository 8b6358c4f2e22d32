import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { ModelDeploymentSpec } from '../operator/api/modeldeployment.ts'
import {
  canarySteps,
  hashOf,
  nameOf,
  noon,
  objectOf,
  revisionFor,
  specFor,
  specV7,
  specV8,
  stableOf,
  at,
} from './fixtures.ts'
import { forecastOf, podsNow } from './forecast.ts'

const [v7, v8] = [nameOf(specV7), nameOf(specV8)]
const kept = [revisionFor(specV7, 'v7')]
/** v7 serves, and the spec is this one. */
const serving = (spec: ModelDeploymentSpec) =>
  objectOf(spec, {
    observedGeneration: 7,
    stable: stableOf(specV7, 'v7'),
    rollouts: 1,
    ...(spec.traffic.mode === 'Router' && { traffic: { epoch: 1, weights: [{ revision: v7, weight: 1000 }] } }),
  })
const forecast = (spec: ModelDeploymentSpec) => forecastOf(serving(spec), kept, undefined, noon)

describe('what the controller would do', () => {
  test('a canary: its steps with pods, least times and the gate, in the order of the state machine', () => {
    const { steps, held, pods } = forecast(specV8)
    expect(held).toBeUndefined()
    expect(steps.map(({ state, share, gate, atLeastMs }) => [state, share, gate, atLeastMs / 1000])).toEqual([
      ['Pending', undefined, false, 0],
      ['Provisioning', undefined, false, 0],
      ['Canary', '1%', false, 120],
      ['Canary', '5%', false, 60],
      ['Canary', '20%', true, 60],
      ['Promoting', '100%', false, 60],
      ['Observing', undefined, false, 600],
      ['Idle', undefined, false, 0],
    ])
    expect(steps.map((s) => s.pods[v8] ?? 0)).toEqual([0, 1, 1, 1, 1, 4, 4, 4])
    expect(steps.map((s) => s.pods[v7] ?? 0)).toEqual([4, 4, 4, 4, 4, 4, 4, 0])
    expect(pods).toEqual({ most: 8, last: 4 })
  })

  test('mode Gateway: nobody counts, so every step is a gate, unless time decides', () => {
    const traffic = { mode: 'Gateway' as const, gateway: { parentRefs: [{ name: 'public' }] } }
    const gatesOf = (onInconclusive: 'Hold' | 'Promote') => {
      const spec = { ...specV8, traffic, rollout: { ...specV8.rollout, onInconclusive } }
      delete spec.rollout.analysis
      const { steps, held } = forecast(spec)
      expect(held).toBeUndefined()
      return steps.flatMap(({ share, gate }) => (share === undefined ? [] : [[share, gate]]))
    }
    expect(gatesOf('Hold')).toEqual([
      ['1%', true],
      ['5%', true],
      ['20%', true],
      ['100%', true],
    ])
    expect(gatesOf('Promote')).toEqual([
      ['1%', false],
      ['5%', false],
      ['20%', true],
      ['100%', false],
    ])
  })

  test('mode Direct: pods beside the old ones, then the Service moves, then the old ones go', () => {
    const spec = specFor('v9', {}, { traffic: { mode: 'Direct' }, replicas: 2 })
    expect(forecast(spec).steps.map(({ state }) => state)).toEqual([
      'Pending',
      'Provisioning',
      'Promoting',
      'Observing',
      'Idle',
    ])
  })

  test('another number of pods, or other steps, start no rollout', () => {
    const scaled = { ...specV7, replicas: 6, rollout: { ...specV7.rollout, steps: canarySteps.slice(1) } }
    expect(forecast(scaled)).toMatchObject({ steps: [], pods: { most: 6, last: 6 }, target: { revision: v7 } })
    expect(podsNow(serving(specV7), kept)).toBe(4)
  })

  test('a rejected revision is not tried again by itself: the operator says why', () => {
    const object = serving(specV8)
    const rejection = {
      hash: hashOf(specV8),
      revision: v8,
      attempt: 1,
      class: 'Evidence' as const,
      reason: 'TooManyErrors',
      message: 'Too many failed.',
      retryToken: '',
      at: at(-5),
    }
    const rejected = { ...object, status: { ...object.status, rejected: [rejection] } }
    expect(forecastOf(rejected, kept, undefined, noon)).toMatchObject({
      steps: [],
      held: { outcome: 'Stalled', reason: 'TooManyErrors' },
    })
    const again = { ...rejected, spec: { ...specV8, rollout: { ...specV8.rollout, retryToken: 'again' } } }
    expect(forecastOf(again, kept, undefined, noon).steps.at(-1)?.state).toBe('Idle')
  })

  test('what is paused or suspended starts nothing, and says what holds it', () => {
    const paused = specFor('v9', { paused: true })
    expect(forecast(paused)).toMatchObject({ steps: [], held: { outcome: 'Held', reason: 'Paused' } })
    expect(forecast({ ...specV8, suspend: true })).toMatchObject({ steps: [], held: { reason: 'Suspended' } })
  })

  test('what this release cannot do is refused in its words, and starts nothing', () => {
    const refusal = { reason: 'NotImplemented' as const, message: 'This release cannot do: x.' }
    expect(forecastOf(serving(specV8), kept, refusal, noon)).toMatchObject({
      steps: [],
      held: { outcome: 'Stalled', reason: 'NotImplemented' },
    })
  })

  test('a rollback target that nobody keeps is no target', () => {
    const { target, held } = forecast({ ...specV7, rollback: { to: 'v3' } })
    expect(target).toBeUndefined()
    expect(held?.reason).toBe('RollbackTargetNotFound')
  })

  test('whatever the strategy, a spec that nothing stands against ends at its own size, all users on it', () => {
    const weights = fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 })
    const any = fc.record({
      replicas: fc.integer({ min: 1, max: 20 }),
      steps: weights.map((list) =>
        list
          .toSorted((a, b) => a - b)
          .map((weight, i) => ({ weight, gate: i % 2 === 0 ? ('Manual' as const) : ('Auto' as const) })),
      ),
      strategy: fc.constantFrom('Canary' as const, 'BlueGreen' as const),
      capacity: fc.constantFrom('Surge' as const, 'Borrow' as const, 'Recreate' as const),
      shadow: fc.constantFrom(undefined, { enabled: true }),
      mode: fc.constantFrom('Router' as const, 'Direct' as const),
    })
    fc.assert(
      fc.property(any, ({ replicas, steps, strategy, capacity, shadow, mode }) => {
        const canary = mode === 'Router' && strategy === 'Canary'
        const spec = specFor(
          'v9',
          {
            strategy: canary ? 'Canary' : 'BlueGreen',
            ...(canary && { steps }),
            ...(mode === 'Router' && { capacity, ...(shadow && { shadow }) }),
          },
          { replicas, traffic: { mode } },
        )
        const { steps: found, held, pods } = forecast(spec)
        expect(held).toBeUndefined()
        expect(pods.last).toBe(replicas)
        expect(found.at(-1)?.pods).toEqual({ [nameOf(spec)]: replicas })
        expect(found.map((s) => s.state)).not.toContain('Rejected')
      }),
    )
  })
})
