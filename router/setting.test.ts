import { describe, expect, test } from '@jest/globals'
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { setting } from './fixtures.ts'
import { decide, readSetting, refusal } from './setting.ts'

/** As the API server sends it; only what the router reads. */
const deployment = (status: object | undefined, spec: object = {}, name = 'fraud'): ModelDeployment =>
  ({
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, uid: `${name}-uid` },
    spec: { model: { uri: 'https://models.test/m.onnx' }, traffic: { mode: 'Router' }, ...spec },
    status,
  }) as unknown as ModelDeployment

const traffic = (epoch: number, port: number) => ({ epoch, port, weights: [{ revision: 'fraud-a', weight: 1000 }] })
const stable = { revision: 'fraud-a', version: 'v7' }

describe('a ModelDeployment', () => {
  test.each([[undefined], [{}], [{ traffic: { epoch: 1, weights: [] } }]])(
    'without a port has no listener: %j',
    (status) => {
      expect(readSetting(deployment(status))).toBeUndefined()
    },
  )

  test('is served by the name of its model, with its timeout, and every revision that its status names', () => {
    const status = { traffic: traffic(3, 20_001), stable, previous: { revision: 'fraud-p', version: 'v6' } }
    const spec = {
      model: { uri: 'x', name: 'fraud-model' },
      traffic: { timeout: '2m', sticky: { header: 'X-User-Id' } },
    }
    expect(readSetting(deployment(status, spec))).toEqual({
      setting: {
        name: 'fraud',
        uid: 'fraud-uid',
        model: 'fraud-model',
        port: 20_001,
        epoch: 3,
        timeoutMs: 120_000,
        stable: 'fraud-a',
        stickyHeader: 'x-user-id',
        revisions: [
          { name: 'fraud-a', version: 'v7', weight: 1000 },
          { name: 'fraud-p', version: 'v6', weight: 0 },
        ],
      },
    })
  })
})

describe('an epoch', () => {
  test('may rise or stay, and not fall, for one object', () => {
    expect(refusal({ ...setting, epoch: 8 }, setting)).toBeUndefined()
    expect(refusal(setting, setting)).toBeUndefined()
    expect(refusal({ ...setting, epoch: 6 }, setting)).toContain('status.traffic.epoch is 6, lower than 7')
    expect(refusal({ ...setting, epoch: 1, uid: 'another' }, setting)).toBeUndefined()
  })
})

describe('two objects with one port', () => {
  const both = [
    deployment({ traffic: traffic(1, 20_001), stable }, {}, 'a'),
    deployment({ traffic: traffic(1, 20_001), stable }, {}, 'b'),
  ]

  test('the first by name gets it while nobody has it, and the other says whose it is', () => {
    const [a, b] = decide(both, new Map())
    expect([a?.serve?.name, a?.problem]).toEqual(['a', undefined])
    expect([b?.serve, b?.problem]).toEqual([undefined, "status.traffic.port 20001 is a's on this router"])
  })

  test('the one that has it keeps it', () => {
    const applied = { ...setting, name: 'b', uid: 'b-uid', epoch: 1 }
    const [a, b] = decide(both, new Map([['b-uid', applied]]))
    expect([a?.problem, b?.problem]).toEqual(["status.traffic.port 20001 is b's on this router", undefined])
  })
})
