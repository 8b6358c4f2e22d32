// Random lives of a rollout: everything of research/rollouts.md 6.6 that can happen, in any order, for player.ts to
// play. Test-only.
import fc from 'fast-check'
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { operations } from './commands.ts'
import { type Event, versions } from './events.ts'

const second = 1000
const minute = 60 * second

const version = fc.constantFrom(...versions)
const router = fc.integer({ min: 0, max: 2 })
const controller = fc.integer({ min: 0, max: 1 })

type Policy = Partial<ModelDeploymentSpec['rollout']>

/** One field of spec.rollout at a time, so that most of them keep what lets a rollout get far. */
const policies = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Policy>({ paused: true }, { paused: false }, { retryToken: 'again' }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom<Policy>(
      { steps: [{ weight: 1, minDuration: '1m' }, { weight: 50 }] },
      {
        steps: [
          { weight: 20, gate: 'Manual' },
          { weight: 100, gate: 'Manual' },
        ],
      },
      { steps: [{ weight: 5, minDuration: '0s' }] },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Policy>(
      { onInconclusive: 'Rollback' },
      { onInconclusive: 'Promote' },
      { onNoTraffic: 'Hold' },
      { onMetricsError: 'Rollback' },
      { onStableUnhealthy: 'Hold' },
      { keepPreviousFor: '0s' },
      { keepPreviousFor: '10m' },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Policy>(
      { capacity: 'Borrow' },
      { capacity: 'Recreate' },
      { capacity: 'Surge' },
      { strategy: 'Canary' },
      { strategy: 'BlueGreen' },
      { strategy: 'Recreate' },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Policy>(
      { golden: { configMap: 'golden' } },
      { shadow: {} },
      { shadow: { enabled: false } },
    ),
  },
)

export const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('rounds' as const),
      count: fc.integer({ min: 1, max: 6 }),
      lucky: fc.constantFrom(true, true, true, false),
    }),
  },
  { weight: 14, arbitrary: fc.record({ do: fc.constant('plan' as const), controller }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('perform' as const), controller }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('die' as const), controller }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('ready' as const), version }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pull' as const), router }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('stale' as const, 'replace' as const, 'cut' as const), router }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('edit' as const), version }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('policy' as const), rollout: policies }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replicas' as const), count: fc.integer({ min: 0, max: 4 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('command' as const),
      op: fc.constantFrom(...operations, 'explode'),
      version: fc.oneof(version, fc.constant('candidate' as const)),
      id: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('malformed' as const), id: fc.constantFrom('', 'x') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), version }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pods' as const), version, ready: fc.integer({ min: 0, max: 2 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('trouble' as const), fatal: fc.constantFrom(true, false, undefined) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'servingTrouble' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('routers' as const), count: fc.integer({ min: 0, max: 5 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('figures' as const),
      kind: fc.constantFrom(
        'good' as const,
        'good' as const,
        'bad' as const,
        'few' as const,
        'none' as const,
        'missing' as const,
        'astray' as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('golden' as const, 'shadow' as const),
      verdict: fc.constantFrom(
        'Pass' as const,
        'Fail' as const,
        'Inconclusive' as const,
        'NoTraffic' as const,
        'Error' as const,
      ),
      late: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('clock' as const),
      ms: fc.constantFrom(second, minute, 2 * minute, 16 * minute, 60 * minute, 300 * minute, -60 * minute),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('lose' as const),
      what: fc.constantFrom('revision' as const, 'workload' as const),
      version,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), on: fc.boolean() }) },
)

/** A life with its beginning: something serves already, or nothing does. */
export const lives = fc.record({
  first: fc.boolean(),
  replicas: fc.integer({ min: 1, max: 3 }),
  rollout: policies,
  events: fc.array(events, { maxLength: 60, size: 'max' }),
})
export type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never
