// A model behind routers on a real node: real Envoys, real agents. Users lose nothing while versions change, while the
// operator is killed, and while routers come and go.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { directRun, sameFloats } from '../kit/directrun.ts'
import { e2e, type E2E } from '../kit/e2e.ts'
import { countInterval } from '../kit/binomial.ts'
import { grpcRequest, startGrpcTraffic, type GrpcTraffic } from '../kit/grpcstream.ts'
import { installSlipway } from '../kit/install.ts'
import { killOperator } from '../kit/kill.ts'
import { applyModel, conditionOf, directly, getModel, serves, waitForModel } from '../kit/model.ts'
import { predict } from '../kit/predict.ts'
import { startStream, type StreamSummary } from '../kit/stream.ts'
import type { Counted, GrpcSummary } from '../modelstore/grpcstream.ts'
import { give } from '../integration/cli/session.ts'

const request = readFileSync('examples/silero/request.json', 'utf8')
const routerPods = ['-l', 'app.kubernetes.io/name=slipway-router']

interface RouterPod {
  readonly spec: { readonly tolerations: readonly { readonly key?: string }[] }
}

let world: E2E
beforeAll(async () => {
  world = await e2e('router')
})
afterAll(() => world.close())

const silero = (version: 'v5' | 'v6', rest: object = {}) => ({
  model: { uri: `${world.store}/models/silero_vad_${version}.onnx`, version },
  resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  ...rest,
})

const waitFor = (what: string, claim: Parameters<typeof waitForModel>[4]) =>
  waitForModel(world.shell, world.namespace, 'vad', what, claim)

const stream = (name: string, keepAlive: boolean) =>
  startStream(world.shell, world.namespace, name, world.images.modelstore, {
    url: 'http://vad/v2/models/vad/infer',
    request,
    rate: 20,
    seconds: 300,
    keepAlive,
  })

/** gRPC through the Service's port for it. A stream of 10 messages lasts a second and more. */
const grpc = (name: string, rate = 20) =>
  startGrpcTraffic(world.shell, world.namespace, name, world.images.modelstore, {
    address: 'vad:9000',
    request: grpcRequest('vad', request),
    rate,
    messages: 10,
  })

/** Stops the client, and holds it to what a gRPC client may expect: all of it was answered, streams to their last message. */
const nothingLost = async (running: GrpcTraffic): Promise<GrpcSummary> => {
  const summary = await running.stop()
  console.log(JSON.stringify(summary))
  for (const counted of Object.values(summary) as Counted[]) {
    expect(lost(counted)).toEqual(none)
    expect(counted.ok).toBe(counted.sent)
    expect(counted.ok).toBeGreaterThan(0)
  }
  return summary
}

const lost = ({ failed, failures }: StreamSummary | Counted) => ({ failed, failures })
const none = { failed: 0, failures: [] }

/** What the Service points at: a revision, or routers. */
const destination = async (): Promise<string> => {
  const { spec } = await world.shell.json<{ spec: { selector: Record<string, string> } }>([
    'get',
    'service',
    'vad',
    '-n',
    world.namespace,
  ])
  return spec.selector['slipway.dev/revision'] ?? spec.selector['app.kubernetes.io/name'] ?? ''
}

describe('a model behind routers', () => {
  test('answers through Envoy what a direct onnxruntime run gives', async () => {
    await applyModel(world.shell, world.namespace, 'vad', silero('v5'))
    const model = await waitFor('Ready with v5', serves('v5'))
    expect(model.status?.traffic?.routers).toEqual({ total: 2, acked: 2 })
    expect(await destination()).toBe('slipway-router')
    await world.until('routers are in the way', async () => {
      return conditionOf(await getModel(world.shell, world.namespace, 'vad'), 'Available')?.status === 'True'
    })
    const { status, body } = await predict(world.shell, world.namespace, 'vad', request)
    const output = body.outputs?.find((o) => o.name === 'output')?.data ?? []
    const direct = (await directRun(world.models.v5, request))['output'] ?? []
    expect({ status, version: body.model_version, equal: sameFloats(output, direct) }).toEqual({
      status: 200,
      version: 'v5',
      equal: true,
    })
  })

  test('loses no request and no gRPC call from v5 to v6 by canary and back, with the operator killed on the way, and the shares are verified', async () => {
    const v5 = (await getModel(world.shell, world.namespace, 'vad')).status?.stable?.revision ?? ''
    const streams = await Promise.all([stream('kept', true), stream('fresh', false)])
    const calls = await grpc('calls')
    const rollout = {
      // Held there by hand, so that the shares can be looked at.
      steps: [{ weight: 20, minDuration: '1s', gate: 'Manual' }],
      analysis: { minSamples: 50 },
      keepPreviousFor: '10m',
    }
    await applyModel(world.shell, world.namespace, 'vad', silero('v6', { rollout }))
    await waitFor('sharing 20% out', ({ status }) => status?.traffic?.weights.length === 2)
    await killOperator(world.cluster, false)
    const shared = await waitFor('verified at 20%', (model) => {
      return model.status?.traffic?.weights.length === 2 && conditionOf(model, 'TrafficVerified')?.status === 'True'
    })
    console.log(conditionOf(shared, 'TrafficVerified')?.message)
    const seen = await give(['status', 'vad', '-n', world.namespace], {
      kubeconfig: world.shell.env['KUBECONFIG'] ?? '',
    })
    console.log(seen.out)
    expect(seen.out).toMatch(/stable +v5 +vad-\w+ +80% +[\d.]+% \([\d.]+% to [\d.]+%\) +0 of [1-9]/)
    expect(seen.out).toMatch(/candidate +v6 +vad-\w+ +20% +[\d.]+% \([\d.]+% to [\d.]+%\) +0 of [1-9]/)
    // Every call of this one is made at these shares.
    const atTwenty = await grpc('calls-20', 100)
    const { revision = '' } = shared.status?.candidate ?? {}
    await waitFor('waiting at its gate', ({ status }) => status?.candidate?.substep === 'Gate')
    await world.until('gRPC clients have met both', async () => {
      const seen = await atTwenty.changes()
      return seen.includes('"calls":"v5"') && seen.includes('"calls":"v6"')
    })
    const { unary } = await nothingLost(atTwenty)
    const [least, most] = countInterval(unary.sent, 0.2, 1e-6)
    expect(unary.byVersion['v6']).toBeGreaterThanOrEqual(least)
    expect(unary.byVersion['v6']).toBeLessThanOrEqual(most)
    const command = JSON.stringify({ id: 'go', op: 'promote', candidate: revision })
    await world.shell.kubectl(['annotate', 'mdep', 'vad', '-n', world.namespace, `slipway.dev/command=${command}`])
    const there = (await waitFor('Ready with v6', serves('v6'))).status?.stable?.revision ?? ''
    // A stream stays with the version that it began with: while v6 has all users, the next one to begin meets it.
    await world.until('a stream has met v6', async () => (await calls.changes()).includes('"streams":"v6"'))
    await applyModel(world.shell, world.namespace, 'vad', silero('v5', { rollout }))
    await waitFor('Ready with v5', serves('v5'))
    for (const running of streams) {
      const summary = await running.stop()
      console.log(JSON.stringify({ ...summary, transitions: summary.transitions.length }))
      expect(lost(summary)).toEqual(none)
      expect(Object.keys(summary.byRevision).toSorted()).toEqual([v5, there].toSorted())
    }
    const { messages } = await nothingLost(calls)
    expect(Object.keys(messages.byVersion).toSorted()).toEqual(['v5', 'v6'])
  })

  test('loses no request when a third version comes in the middle of a canary, and the second is dropped without blame', async () => {
    const streams = await Promise.all([stream('kept-third', true), stream('fresh-third', false)])
    const named = (version: string, rollout: object) => ({
      ...silero('v6', { rollout: { ...rollout, keepPreviousFor: '10m' } }),
      model: { uri: `${world.store}/models/silero_vad_v6.onnx`, version },
    })
    await applyModel(world.shell, world.namespace, 'vad', named('second', { steps: [{ weight: 20, gate: 'Manual' }] }))
    const second = await waitFor('sharing 20% out', ({ status }) => status?.candidate?.substep === 'Analyse')
    await applyModel(world.shell, world.namespace, 'vad', named('third', { strategy: 'BlueGreen' }))
    const { status } = await waitFor('Ready with the third', serves('third'))
    expect(status?.history).toContainEqual(
      expect.objectContaining({ revision: second.status?.candidate?.revision, to: 'Superseding' }),
    )
    expect(status?.rejected ?? []).toEqual([])
    await applyModel(world.shell, world.namespace, 'vad', silero('v5'))
    await waitFor('Ready with v5', serves('v5'))
    for (const running of streams) expect(lost(await running.stop())).toEqual(none)
  })

  test('loses no request and no gRPC call while a router pod is deleted and another takes its place', async () => {
    const streams = await Promise.all([stream('kept-2', true), stream('fresh-2', false)])
    const calls = await grpc('calls-2')
    const [first = ''] = (
      await world.shell.kubectl(['get', 'pods', '-n', world.namespace, ...routerPods, '-o', 'name'])
    ).split('\n')
    await world.shell.kubectl(['delete', first.trim(), '-n', world.namespace, '--wait', '--timeout=120s'])
    await world.shell.kubectl([
      'rollout',
      'status',
      '-n',
      world.namespace,
      'deployment/slipway-router',
      '--timeout=90s',
    ])
    for (const running of streams) expect(lost(await running.stop())).toEqual(none)
    await nothingLost(calls)
  })

  test('loses no request and no gRPC call while values of the chart change where routers run', async () => {
    const streams = await Promise.all([stream('kept-values', true), stream('fresh-values', false)])
    const calls = await grpc('calls-values')
    const values = ['router.tolerations[0].key=edge', 'router.tolerations[0].operator=Exists']
    await installSlipway(world.shell, world.images, ['resyncInterval=1s', ...values])
    const areNew = async (): Promise<boolean> => {
      const pods = ['get', 'pods', '-n', world.namespace, ...routerPods]
      const { items } = await world.shell.json<{ items: RouterPod[] }>(pods)
      return items.length === 2 && items.every(({ spec }) => spec.tolerations.some(({ key }) => key === 'edge'))
    }
    // Each new one has to start and to stay ready, and each old one may drain for most of a minute.
    await world.until('new routers have taken the place of all old ones', areNew, 300_000)
    await waitFor('Ready with v5', serves('v5'))
    for (const running of streams) expect(lost(await running.stop())).toEqual(none)
    await nothingLost(calls)
  })

  test('loses no request on its way to mode Direct and back to the routers', async () => {
    const streams = await Promise.all([stream('kept-3', true), stream('fresh-3', false)])
    await applyModel(world.shell, world.namespace, 'vad', directly(silero('v5')))
    await world.until('the Service points at pods', async () => (await destination()).startsWith('vad-'))
    await applyModel(world.shell, world.namespace, 'vad', silero('v5'))
    await world.until('the Service points at routers', async () => (await destination()) === 'slipway-router')
    await waitFor('Ready with v5', serves('v5'))
    for (const running of streams) expect(lost(await running.stop())).toEqual(none)
  })

  test('takes its routers along when it is the last that needs them', async () => {
    await world.shell.kubectl(['delete', 'mdep', 'vad', '-n', world.namespace, '--wait', '--timeout=60s'])
    await world.until('no router is left', async () => {
      const left = await world.shell.kubectl([
        'get',
        'deployments,serviceaccounts,roles,rolebindings,services,pdb',
        '-n',
        world.namespace,
        ...routerPods,
        '-o',
        'name',
      ])
      return left.trim() === ''
    })
  })
})
