import { describe, expect, test } from '@jest/globals'
import type { RouterState } from '../operator/api/routerstate.ts'
import { endpoints, setting } from './fixtures.ts'
import type { Setting } from './model.ts'
import { routerState } from './state.ts'
import { RecentWeights } from './weights.ts'
import { renderModel } from './xds/render.ts'

const options = { listenAddress: '::' }
const [stable, canary, old] = setting.revisions.map(({ name }) => name)
const withCanaryAt = (weight: number): Setting => ({
  ...setting,
  revisions: setting.revisions.map((revision) => {
    if (revision.name === stable) return { ...revision, weight: 1000 - weight }
    return revision.name === canary ? { ...revision, weight } : revision
  }),
})

/** Rendered one after the other; Envoy has the routes of the one at `has`, and the first is the last that was noted. */
const stateOf = (settings: readonly Setting[], has: number): RouterState => {
  const models = settings.map((asked) => renderModel(asked, endpoints, options))
  const weights = new RecentWeights()
  for (const { routes, shares } of models) weights.note(setting.uid, routes.version, Object.fromEntries(shares.weights))
  const [first, last, applied] = [models[0], models.at(-1), models[has]]
  if (first === undefined || last === undefined || applied === undefined) throw new Error('nothing was asked for')
  return routerState({
    router: 'router-0',
    at: 0,
    draining: false,
    bootId: 'boot',
    versionOf: () => applied.routes.version,
    isReached: () => true,
    traffic: new Map(),
    endpoints,
    decisions: [{ asked: last.setting, serve: last.setting }],
    models: [last],
    weightsOf: (version) => weights.of(version),
    applied: new Map([[setting.uid, { setting, weights: Object.fromEntries(first.shares.weights) }]]),
    refusalOf: () => undefined,
    problem: undefined,
  })
}

const weightsIn = ({ models }: RouterState): Record<string, number> =>
  Object.fromEntries(models[0]?.revisions.map(({ revision, weight }) => [revision, weight]) ?? [])

describe('the shares that a router says it gives', () => {
  test('are those of the routes that Envoy has, whichever were asked for since and noted before', () => {
    const settings = [withCanaryAt(0), withCanaryAt(500), withCanaryAt(200)]
    for (const [has, weight] of [0, 500, 200].entries()) {
      expect(weightsIn(stateOf(settings, has))).toEqual({
        [stable ?? '']: 1000 - weight,
        [canary ?? '']: weight,
        [old ?? '']: 0,
      })
    }
  })

  test('go with what the applied epoch asked for, so that its number alone is not believed', () => {
    const asked = ({ revisions, mirror }: Setting) => ({
      weights: Object.fromEntries(revisions.flatMap(({ name, weight }) => (weight > 0 ? [[name, weight]] : []))),
      ...(mirror && { mirror: mirror.revision }),
    })
    const [current] = stateOf([withCanaryAt(200)], 0).models
    expect(current?.applied).toEqual(asked(withCanaryAt(200)))
    // What is wanted has another number and is on its way: what was noted as applied is told.
    const [behind] = stateOf([withCanaryAt(0), { ...withCanaryAt(500), epoch: setting.epoch + 1 }], 0).models
    expect(behind).toMatchObject({ appliedEpoch: setting.epoch, wantedEpoch: setting.epoch + 1 })
    expect(behind?.applied).toEqual(asked(setting))
  })

  test('are told with the epoch only when that is written down: an end of the pod must not take back what others act on', () => {
    const next = { ...withCanaryAt(500), epoch: setting.epoch + 1 }
    // Envoy has the next one already.
    const [ahead] = stateOf([withCanaryAt(0), next], 1).models
    expect(ahead).toMatchObject({ appliedEpoch: setting.epoch, wantedEpoch: setting.epoch + 1 })
    expect(ahead?.applied?.weights).toEqual(
      Object.fromEntries(setting.revisions.flatMap(({ name, weight }) => (weight > 0 ? [[name, weight]] : []))),
    )
  })

  test('are known of the last eight versions, and of no model that has gone', () => {
    const weights = new RecentWeights()
    for (let i = 0; i < 10; i += 1) weights.note('a', `v${i}`, { x: i })
    weights.note('b', 'w', { x: 1 })
    expect([weights.of('v1'), weights.of('v2'), weights.of('v9')]).toEqual([undefined, { x: 2 }, { x: 9 }])
    weights.keepOnly(new Set(['a']))
    expect(weights.of('w')).toBeUndefined()
  })
})
