// The operator killed at a random moment of a rollout, ten times: each rollout finishes, and users notice nothing.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { e2e, type E2E } from '../kit/e2e.ts'
import { applyModel, directly, serves, waitForModel } from '../kit/model.ts'
import { killOperator } from '../kit/kill.ts'
import { startStream } from '../kit/stream.ts'

const request = readFileSync('examples/silero/request.json', 'utf8')
const rounds = 10
/** Kills after which the kubelet starts the container again; later ones take the pod too, or its pauses would add up. */
const restartsInPlace = 2
/** A rollout takes some five to ten seconds here; the kill falls anywhere into it, or just after. */
const longestWaitMs = 8000

let world: E2E
beforeAll(async () => {
  world = await e2e('crash')
  // A pod of its own: the kubelet waits the longer, the more often a container of the pod has died before.
  await world.shell.kubectl(['rollout', 'restart', 'deployment/slipway-operator', '-n', 'slipway-system'])
  await world.shell.kubectl([
    'rollout',
    'status',
    'deployment/slipway-operator',
    '-n',
    'slipway-system',
    '--timeout=120s',
  ])
})
afterAll(() => world.close())

test(`the operator is killed at a random moment in each of ${rounds} rollouts, all finish, and no request is lost`, async () => {
  const spec = (round: number) =>
    directly({
      model: { uri: `${world.store}/models/silero_vad_${round % 2 === 0 ? 'v5' : 'v6'}.onnx`, version: `r${round}` },
      replicas: 1,
      resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
      rollout: { keepPreviousFor: '1s' },
    })
  await applyModel(world.shell, world.namespace, 'vad', spec(0))
  await waitForModel(world.shell, world.namespace, 'vad', 'Ready with r0', serves('r0'))
  const stream = await startStream(world.shell, world.namespace, 'stream', world.images.modelstore, {
    url: 'http://vad/v2/models/vad/infer',
    request,
    rate: 20,
    seconds: 900,
    keepAlive: false,
  })
  const kills: number[] = []
  for (let round = 1; round <= rounds; round++) {
    await applyModel(world.shell, world.namespace, 'vad', spec(round))
    const waitMs = Math.round(Math.random() * longestWaitMs)
    await sleep(waitMs)
    kills.push(waitMs)
    await killOperator(world.cluster, round > restartsInPlace)
    const model = await waitForModel(
      world.shell,
      world.namespace,
      'vad',
      `Ready with r${round}, operator killed after ${kills.join(', ')} ms`,
      serves(`r${round}`),
    )
    expect(model.status?.candidate).toBeUndefined()
  }
  const summary = await stream.stop()
  console.log(
    `killed after ${kills.join(', ')} ms; ${summary.sent} requests, longest gap between two answers ${summary.maxGapMs} ms`,
  )
  expect({ failed: summary.failed, failures: summary.failures }).toEqual({ failed: 0, failures: [] })
  await world.until('only the last revision has pods', async () => {
    const names = await world.shell.kubectl([
      'get',
      'deployments',
      '-n',
      world.namespace,
      '-l',
      'slipway.dev/model-deployment=vad',
      '-o',
      'name',
    ])
    return names.trim().split('\n').length === 1
  })
})
