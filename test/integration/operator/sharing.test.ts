// capacity Borrow and Recreate, and strategy Recreate: pods of the new version come from those of the old one.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deployments, resourcequotas } from '../../../operator/kube/resources.ts'
import { commandAnnotation } from '../../../operator/modeldeployment/command.ts'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { eventually } from './eventually.ts'
import { ended } from './hands.ts'
import type { OperatorProcess } from './process.ts'
import { startRouters, type PlayedRouters } from './routers.ts'
import { openStage, revisionOf, uriOf, type Stage, type WrittenSpec } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage
let routers: PlayedRouters
let operator: OperatorProcess

beforeAll(async () => {
  stage = await openStage()
  routers = await startRouters(stage)
  operator = await stage.start({ environment: { SLIPWAY_RESYNC_INTERVAL: '500ms' } })
})

afterAll(async () => {
  await routers.close()
  await stage.close()
})

type Rollout = WrittenSpec['rollout']

const spec = (version: string, replicas: number, rollout: Rollout): WrittenSpec => ({
  model: { uri: uriOf(version), version },
  replicas,
  traffic: { mode: 'Router' },
  ...(rollout && { rollout }),
})

/** Pods of a revision that nobody has told to end. */
const podsOf = (revision: string) =>
  stage.hands
    .pods()
    .filter(({ metadata }) => metadata.labels?.['slipway.dev/revision'] === revision)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)

/** Notes, whenever a pod of the one is looked at, how many pods of the other there are. */
const meetings = (newer: string, older: string): { readonly noted: number[]; readonly end: () => void } => {
  const noted: number[] = []
  const end = stage.hands.rule(({ does, revision }) => {
    if (does === 'serve' && revision === newer) noted.push(podsOf(older).length)
    return undefined
  })
  return { noted, end }
}

const sizes = async (name: string) => (await stage.children(name)).deployments

const command = (op: string, candidate: string) => {
  const text = JSON.stringify({ id: `${op} ${candidate}`, op, candidate, reason: 'tested' })
  const annotations = { [commandAnnotation]: text }
  return stage.client.mergePatch(modelDeployments, stage.namespace, 'lend', { metadata: { annotations } })
}

/** What every test ends with: the engine has noticed nothing wrong. */
const nothingBroke = async () => expect(await operator.metric('slipway_rollout_violations_total')).toBe(0)

describe('capacity Borrow', () => {
  const rollout: Rollout = {
    strategy: 'Canary',
    capacity: 'Borrow',
    steps: [{ weight: 50, minDuration: '0s', gate: 'Manual' }],
  }
  const [one, two] = ['v1', 'v2'].map((version) => revisionOf('lend', spec(version, 3, rollout))) as [string, string]

  test('a canary of three pods takes two of them and leaves stable one, at its gate', async () => {
    await stage.apply('lend', spec('v1', 3, rollout))
    await stage.ready('lend')
    await stage.apply('lend', spec('v2', 3, rollout))
    await stage.until('lend', 'waits at its gate', ({ status }) => status?.candidate?.substep === 'Gate')
    await eventually('stable has lent two pods', async () => {
      const { [one]: older, [two]: newer } = await sizes('lend')
      return older === 1 && newer === 2
    })
    expect((await stage.get('lend')).status?.traffic?.weights).toEqual([
      { revision: one, weight: 500 },
      { revision: two, weight: 500 },
    ])
    await stage.says('lend', 'Available', 'True', 'Serving')
  })

  test('taken back by a person, stable gets its pods again and is the only one left', async () => {
    await command('abort', two)
    await eventually('stable has all its pods, and the candidate none', async () => {
      const { [one]: older, [two]: newer } = await sizes('lend')
      return older === 3 && newer === undefined && podsOf(one).length === 3
    })
    expect((await stage.get('lend')).status?.stable?.revision).toBe(one)
    await nothingBroke()
  })

  test('promoted, it has all pods, and nothing is kept warm that nobody has room for', async () => {
    const three = revisionOf('lend', spec('v3', 3, rollout))
    await stage.apply('lend', spec('v3', 3, rollout))
    await stage.until('lend', 'waits at its gate', ({ status }) => status?.candidate?.substep === 'Gate')
    await command('promote', three)
    const { status } = await stage.ready('lend')
    expect(status).toMatchObject({ stable: { revision: three } })
    expect(status?.previous).toBeUndefined()
    await eventually('only the new version has pods', async () => {
      const left = await sizes('lend')
      return left[three] === 3 && Object.keys(left).length === 1
    })
    await nothingBroke()
  })
})

describe.each([
  ['strategy Recreate', { strategy: 'Recreate' }],
  ['capacity Recreate of a canary', { strategy: 'Canary', capacity: 'Recreate' }],
  ['capacity Recreate of a swap', { strategy: 'BlueGreen', capacity: 'Recreate' }],
] as const)('%s', (_words, plain) => {
  const steps = plain.strategy === 'Canary' ? { steps: [{ weight: 50, minDuration: '0s' }] } : {}
  const rollout: Rollout = { ...plain, ...steps }
  const name = `swap-${Object.values(plain).join('-').toLowerCase()}`
  const [one, two, bad] = ['v1', 'v2', 'bad'].map((version) => revisionOf(name, spec(version, 2, rollout))) as [
    string,
    string,
    string,
  ]

  test('stops the old pods only when every router sends them nobody, and starts the new ones after that', async () => {
    await stage.apply(name, spec('v1', 2, rollout))
    await stage.ready(name)
    const met = meetings(two, one)
    const [held = ''] = routers.pods()
    const go = routers.hold(held)
    await stage.apply(name, spec('v2', 2, rollout))
    await stage.until(name, 'waits for a router', ({ status }) => {
      const { weights, routers: told } = status?.traffic ?? {}
      return status?.candidate?.state === 'Provisioning' && weights?.length === 0 && told?.acked === 1
    })
    const looks = await operator.metric('controller_runtime_reconcile_total', { controller: 'modeldeployment' })
    await eventually('it is looked at some more', async () => {
      return (
        (await operator.metric('controller_runtime_reconcile_total', { controller: 'modeldeployment' })) > looks + 4
      )
    })
    expect((await sizes(name))[one]).toBe(2)
    expect(met.noted).toEqual([])
    go()
    const { status } = await stage.ready(name)
    met.end()
    expect(status).toMatchObject({ stable: { revision: two }, traffic: { weights: [{ revision: two, weight: 1000 }] } })
    expect(met.noted.length).toBeGreaterThan(0)
    expect(met.noted.filter((count) => count > 0)).toEqual([])
    await nothingBroke()
  })

  test('brings the old version back when the new one does not start', async () => {
    const mend = stage.hands.rule(({ does, revision }) =>
      does === 'serve' && revision === bad
        ? ended({ ok: false, code: 'ModelInvalid', message: 'not an ONNX model', retryable: false })
        : undefined,
    )
    await stage.apply(name, spec('bad', 2, rollout))
    const { status } = await stage.until(name, 'is taken back', ({ status: now }) => {
      const [only, ...others] = now?.traffic?.weights ?? []
      return (
        now?.candidate === undefined &&
        only?.revision === two &&
        others.length === 0 &&
        (now?.rejected?.length ?? 0) > 0
      )
    })
    mend()
    expect(status?.stable?.revision).toBe(two)
    await eventually('the old version answers with all its pods', async () => {
      const workload = await stage.client.find(deployments, stage.namespace, two)
      return workload?.status?.readyReplicas === 2
    })
    await stage.says(name, 'Available', 'True', 'Serving')
    await eventually('nothing of the failed one is left', async () => (await sizes(name))[bad] === undefined)
    await nothingBroke()
  })
})

test('strategy Recreate needs no room for both: a quota that stable fills lets it through', async () => {
  const rollout: Rollout = { strategy: 'Recreate' }
  const name = 'tight'
  await stage.apply(name, spec('v1', 2, rollout))
  await stage.ready(name)
  const alive = stage.hands.pods().filter(({ status }) => status?.phase === 'Running' || status?.phase === 'Pending')
  // One more for the Job that reads the model; pods that have ended count for nothing.
  const hard = { pods: String(alive.length + 1) }
  await stage.client.create(resourcequotas, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'tight', namespace: stage.namespace },
    spec: { hard },
  })
  await eventually('the quota is counted', async () => {
    const quota = await stage.client.get(resourcequotas, stage.namespace, 'tight')
    return quota.status?.used?.['pods'] !== undefined
  })
  await stage.apply(name, spec('v2', 2, rollout))
  expect((await stage.ready(name)).status?.stable?.version).toBe('v2')
  await stage.client.delete(resourcequotas, stage.namespace, 'tight')
  await nothingBroke()
})
