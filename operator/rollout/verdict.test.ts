import { describe, expect, test } from '@jest/globals'
import { judge } from './verdict.ts'
import { nameOf, observe, routerSpec, serving } from './world.ts'

const spec = routerSpec()
const world = serving(spec)
const verdict = (requests: number, failures: number, stable = 1000) =>
  judge(spec, observe(world, { calls: { 1: [stable, 0], 2: [requests, failures] } }), world.rollout.traffic, nameOf(2))
    .kind

describe('the verdict of a step', () => {
  test('is Pass with enough requests and few failures, and Inconclusive with too few', () => {
    expect([verdict(200, 0), verdict(200, 1), verdict(199, 0), verdict(0, 0)]).toEqual([
      'Pass',
      'Pass',
      'Inconclusive',
      'Inconclusive',
    ])
  })

  test('is Fail after a few requests when most of them fail, and after many when it is certain', () => {
    expect([verdict(5, 4), verdict(10, 2), verdict(10_000, 100)]).toEqual(['Fail', 'Fail', 'Fail'])
  })

  test('is neither for one failure among the first requests, nor for a share that may be bad luck', () => {
    expect([verdict(1, 1), verdict(200, 2), verdict(1000, 7)]).toEqual(['Inconclusive', 'Inconclusive', 'Inconclusive'])
  })

  test('is NoTraffic only when neither side was asked', () => {
    expect([verdict(0, 0, 0), verdict(0, 0, 5)]).toEqual(['NoTraffic', 'Inconclusive'])
  })

  test('counts nothing of another epoch, and nothing that is not whole, unless it already shows harm', () => {
    const seen = observe(world, { calls: { 2: [1000, 0] }, missing: 'router-1 cannot be asked.' })
    expect(judge(spec, seen, world.rollout.traffic, nameOf(2))).toEqual({
      kind: 'NoFigures',
      message: 'router-1 cannot be asked.',
    })
    expect(judge(spec, seen, { epoch: 9, weights: [] }, nameOf(2)).kind).toBe('NoFigures')
    const harm = observe(world, { calls: { 2: [1000, 900] }, missing: 'router-1 cannot be asked.' })
    expect(judge(spec, harm, world.rollout.traffic, nameOf(2)).kind).toBe('Fail')
  })
})
