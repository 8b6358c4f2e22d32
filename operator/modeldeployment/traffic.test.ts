import { describe, expect, test } from '@jest/globals'
import { specOf } from '../api/fixtures.ts'
import { deploymentOf, seenOf } from './fixtures.ts'
import { sharesSeen, verifiedOf, withRouters } from './traffic.ts'

const spec = specOf('https://models.example/1.onnx')
const weights = [
  { revision: 'fraud-1', weight: 950 },
  { revision: 'fraud-2', weight: 50 },
]
const measured = (share: string, low: string, high: string) => [
  { revision: 'fraud-1', share: '0.950000', low: '0.940000', high: '0.960000' },
  { revision: 'fraud-2', share, low, high },
]
const asAsked = measured('0.050000', '0.040000', '0.060000')
const acked = { total: 2, acked: 2 }

/** Two routers that have applied these epochs. */
const seen = (...epochs: number[]) =>
  seenOf(deploymentOf(spec), { routers: epochs.map((epoch, i) => ({ name: `r${i}`, epoch })) }).observed
const routing = { destination: { kind: 'Routers' }, readyRouters: 2, port: 20_001 } as const

describe('what the rollout is told of the shares', () => {
  const setting = {
    epoch: 7,
    weights: [
      { revision: 'a', weight: 900 },
      { revision: 'b', weight: 100 },
    ],
  }
  const shareOf = (share: number, [low, high]: readonly [number, number]) => [
    { revision: 'b', share: `${share}`, low: `${low}`, high: `${high}` },
  ]
  const withStatus = (rest: Partial<typeof spec> = {}) => ({
    ...deploymentOf({ ...spec, ...rest }),
    status: { traffic: setting },
  })

  test('is that they are as asked, or the figures that say otherwise', () => {
    expect(sharesSeen(withStatus(), shareOf(0.1, [0.08, 0.12]))).toMatchObject({ epoch: 7, asAsked: true })
    expect(sharesSeen(withStatus(), shareOf(0.3, [0.25, 0.35]))).toEqual({
      epoch: 7,
      asAsked: false,
      message: 'b should get 10% and got 30% (25% to 35%).',
    })
  })

  test('is nothing while nobody can tell, and nothing of users who stay on their side', () => {
    expect(sharesSeen(withStatus(), undefined)).toBeUndefined()
    const sticky = { traffic: { mode: 'Router' as const, sticky: { header: 'x-user-id' } } }
    expect(sharesSeen(withStatus(sticky), shareOf(0.3, [0.25, 0.35]))).toBeUndefined()
  })
})

describe('the traffic in the status', () => {
  test('has the port, and how many routers have applied the epoch', () => {
    const setting = { epoch: 3, weights }
    expect(withRouters(deploymentOf(spec), setting, seen(3, 2), routing)).toEqual({
      epoch: 3,
      port: 20_001,
      weights,
      routers: { total: 2, acked: 1 },
    })
  })

  test('does not move any more once all have applied it, however many routers come and go', () => {
    const before = { epoch: 3, port: 20_001, weights, routers: acked, measured: asAsked }
    const settled = deploymentOf(spec, { traffic: before })
    for (const now of [seen(), seen(3), seen(3, 3, 3), seen(2, 1)])
      expect(withRouters(settled, { epoch: 3, weights }, now, routing)).toEqual(before)
  })

  test('forgets who had applied the epoch before, and what was measured in it', () => {
    const before = { epoch: 3, port: 20_001, weights, routers: acked, measured: asAsked }
    const moved = withRouters(deploymentOf(spec, { traffic: before }), { epoch: 4, weights }, seen(3, 3), {
      ...routing,
      measured: asAsked,
    })
    expect(moved).toEqual({ epoch: 4, port: 20_001, weights, routers: { total: 2, acked: 0 } })
  })
})

describe('TrafficVerified', () => {
  const claim = (traffic: Parameters<typeof verifiedOf>[0]) => verifiedOf(traffic)

  test('claims nothing before routers have applied the epoch, and says what stands in the way', () => {
    expect(claim(undefined).slice(0, 2)).toEqual(['Unknown', 'NotMeasured'])
    expect(verifiedOf({ epoch: 3, weights, routers: { total: 2, acked: 1 } }, 'Router r1: refused')).toEqual([
      'Unknown',
      'AwaitingRouters',
      '1 of 2 routers have applied epoch 3. Router r1: refused.',
    ])
    expect(claim({ epoch: 3, weights, routers: { total: 0, acked: 0 } })[1]).toBe('AwaitingRouters')
  })

  test('claims nothing before there are enough requests', () => {
    expect(claim({ epoch: 3, weights, routers: acked })).toEqual([
      'Unknown',
      'TooFewRequests',
      'All 2 routers have applied epoch 3; fewer than the 100 requests that a judgement needs have come since.',
    ])
  })

  test('is true when each share lies in its interval, and false with the figures when one does not', () => {
    expect(claim({ epoch: 3, weights, routers: acked, measured: asAsked })).toEqual([
      'True',
      'Verified',
      'In epoch 3 fraud-1 got 95% (94% to 96%); fraud-2 got 5% (4% to 6%), as asked.',
    ])
    expect(
      claim({ epoch: 3, weights, routers: acked, measured: measured('0.010000', '0.005000', '0.020000') }),
    ).toEqual(['False', 'SharesOff', 'In epoch 3 fraud-2 should get 5% and got 1% (0.5% to 2%).'])
  })
})
