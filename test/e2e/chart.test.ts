// The chart on a real node: its own test predicts, and neither an upgrade nor an uninstall touches a running model.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import { e2e, type E2E } from '../kit/e2e.ts'
import { installSlipway } from '../kit/install.ts'
import { applyModel, directly, getModel, serves, waitForModel } from '../kit/model.ts'
import { predict } from '../kit/predict.ts'
import { startStream } from '../kit/stream.ts'

jest.setTimeout(300_000)

const request = readFileSync('examples/silero/request.json', 'utf8')
const home = 'slipway-system'

let world: E2E
beforeAll(async () => {
  world = await e2e('chart')
  await applyModel(world.shell, world.namespace, 'vad', silero())
  await waitForModel(world.shell, world.namespace, 'vad', 'Ready with v5', serves('v5'))
})
afterAll(async () => {
  await installSlipway(world.shell, world.images)
  await world.close()
})

const silero = () =>
  directly({
    model: { uri: `${world.store}/models/silero_vad_v5.onnx`, version: 'v5' },
    resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  })

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly status: { readonly containerStatuses?: readonly { readonly restartCount: number }[] }
}

/** Which containers run the model: pods by identity, with how often each was restarted. */
const containers = async (model = 'vad'): Promise<string[]> => {
  const selector = `slipway.dev/model-deployment=${model},slipway.dev/revision,app.kubernetes.io/name=slipway-runtime`
  const pods = await world.shell.json<{ items: Pod[] }>(['get', 'pods', '-n', world.namespace, '-l', selector])
  const alive = pods.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  return alive
    .map(({ metadata, status }) => `${metadata.uid} ${status.containerStatuses?.[0]?.restartCount ?? 0}`)
    .toSorted()
}

const operatorPods = async (): Promise<Pod[]> => {
  const selector = 'app.kubernetes.io/name=slipway,app.kubernetes.io/component=operator'
  return (await world.shell.json<{ items: Pod[] }>(['get', 'pods', '-n', home, '-l', selector])).items
}

const leader = async (): Promise<string> => {
  const lease = await world.shell.json<{ spec: { holderIdentity?: string } }>([
    'get',
    'lease',
    'slipway-operator',
    '-n',
    home,
  ])
  return lease.spec.holderIdentity ?? ''
}

/** What the model says to one request; whether that is right is another test's question. */
const answer = async (): Promise<string> => {
  const { status, body } = await predict(world.shell, world.namespace, 'vad', request)
  return JSON.stringify([status, body.model_version, body.outputs])
}

describe('helm test', () => {
  const run = async (): Promise<string> => world.shell.helm(['test', 'slipway', '-n', home])
  const leftovers = async (): Promise<string> =>
    world.shell.kubectl(['get', 'mdep,configmap,service,pod', '-n', home, '-l', 'helm.sh/chart', '-o', 'name'])

  test('makes a real prediction and leaves nothing; again at once, too', async () => {
    const before = await leftovers()
    for (const _ of ['first', 'second']) {
      await expect(run()).resolves.toMatch(/Phase: +Succeeded/)
      expect(await leftovers()).toBe(before)
    }
  })
})

describe('an upgrade of the chart', () => {
  test('brings new operators and touches no pod of a model', async () => {
    const [before, models, said] = [await operatorPods(), await containers(), await answer()]
    expect(said).toContain('[200,"v5"')
    expect(models).toHaveLength(1)
    await installSlipway(world.shell, world.images, ['replicas=2', 'logLevel=debug'])
    const after = await operatorPods()
    const old = new Set(before.map(({ metadata }) => metadata.uid))
    expect(
      after.filter(({ metadata }) => metadata.deletionTimestamp === undefined && !old.has(metadata.uid)),
    ).toHaveLength(2)
    expect(await containers()).toEqual(models)
    expect(await answer()).toBe(said)
  })

  test('with two replicas the second takes over when the leader ends, and rollouts go on', async () => {
    // Right after the upgrade the lease may still be the old leader's, or nobody's.
    let first = ''
    await world.until('one of the two pods holds the lease', async () => {
      first = await leader()
      const pods = (await operatorPods()).filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      return pods.length === 2 && pods.some(({ metadata }) => metadata.name === first)
    })
    await world.shell.kubectl(['delete', 'pod', first, '-n', home, '--wait=false'])
    await world.until('another pod holds the lease', async () => {
      const holder = await leader()
      return holder !== '' && holder !== first
    })
    await world.shell.kubectl(['scale', 'modeldeployment', 'vad', '--replicas=2', '-n', world.namespace])
    await world.until('the model has two pods', async () => (await containers()).length === 2)
    await waitForModel(world.shell, world.namespace, 'vad', 'Ready with v5', serves('v5'))
  })
})

describe('an upgrade of the chart while a rollout is under way', () => {
  test('hands the rollout over from leader to leader: it ends as asked, once, and no pod of a model restarts', async () => {
    const { shell, namespace, store } = world
    const spec = (file: string, version: string) =>
      directly({
        model: { uri: `${store}/${file}`, version },
        resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
      })
    await applyModel(shell, namespace, 'handed', spec('models/silero_vad_v5.onnx', 'v5'))
    await waitForModel(shell, namespace, 'handed', 'Ready with v5', serves('v5'))
    const [serving, was] = [await containers('handed'), await operatorPods()]
    const stream = await startStream(shell, namespace, 'handed-stream', world.images.modelstore, {
      url: 'http://handed/v2/models/handed/infer',
      request,
      rate: 10,
      seconds: 900,
      keepAlive: false,
    })

    // Its digest is found; the pod that loads it then waits for as long as the upgrade takes.
    await applyModel(shell, namespace, 'handed', spec('faults/held/silero_vad_v6.onnx?after=1', 'v6'))
    const isHalfway = ({ status }: ModelDeployment): boolean => status?.candidate?.state === 'Provisioning'
    const halfway = await waitForModel(shell, namespace, 'handed', 'Provisioning v6', isHalfway)
    await installSlipway(shell, world.images, ['resyncInterval=2s'])
    const old = new Set(was.map(({ metadata }) => metadata.name))
    await world.until('a new pod leads', async () => {
      const holder = await leader()
      return holder !== '' && !old.has(holder)
    })
    const taken = await getModel(shell, namespace, 'handed')
    expect(taken.status?.stable).toEqual(halfway.status?.stable)
    expect(taken.status?.candidate).toMatchObject({
      revision: halfway.status?.candidate?.revision,
      state: 'Provisioning',
    })
    expect(await containers('handed')).toEqual(expect.arrayContaining(serving))

    const release =
      'fetch("http://127.0.0.1:8080/faults/release/silero_vad_v6.onnx").then((r) => process.exit(r.ok ? 0 : 1))'
    await shell.kubectl(['exec', '-n', namespace, 'deployment/model-store', '--', 'node', '-e', release])
    const { status } = await waitForModel(shell, namespace, 'handed', 'Ready with v6', serves('v6'))
    const states = status?.history?.filter(({ revision }) => revision === status.stable?.revision).map(({ to }) => to)
    expect(states?.slice(0, 3)).toEqual(['Pending', 'Provisioning', 'Promoting'])
    expect(new Set(states).size).toBe(states?.length)
    expect(status?.rejected ?? []).toEqual([])
    const after = await containers('handed')
    expect(after).toEqual(expect.arrayContaining(serving))
    expect(after.every((container) => container.endsWith(' 0'))).toBe(true)
    expect(after).toHaveLength(2)
    const { sent, failed, failures } = await stream.stop()
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] })
    expect(sent).toBeGreaterThan(0)
    await shell.kubectl(['delete', 'modeldeployment', 'handed', '-n', namespace])
  }, 900_000)
})

describe('an uninstall', () => {
  test('leaves the models answering; installed again, Slipway takes them up as they are', async () => {
    const [models, said] = [await containers(), await answer()]
    expect(models).toHaveLength(2)
    const { metadata } = await getModel(world.shell, world.namespace, 'vad')
    await world.shell.helm(['uninstall', 'slipway', '-n', home, '--wait', '--timeout=2m'])
    await world.until('no operator is left', async () => (await operatorPods()).length === 0)
    expect(await answer()).toBe(said)

    await installSlipway(world.shell, world.images)
    await world.shell.kubectl(['annotate', 'modeldeployment', 'vad', 'note=seen', '-n', world.namespace])
    await world.shell.helm(['test', 'slipway', '-n', home])
    const again = await waitForModel(world.shell, world.namespace, 'vad', 'Ready with v5', serves('v5'))
    expect(again.metadata.uid).toBe(metadata.uid)
    expect(await containers()).toEqual(models)
    expect(await answer()).toBe(said)
  })
})

describe('the operator in its container', () => {
  test('is bound by its memory limit, heap and all', async () => {
    const node = ['exec', '-n', home, 'deployment/slipway-operator', '--', 'node']
    const script = 'require("v8").getHeapStatistics().heap_size_limit'
    const heap = Number(await world.shell.kubectl([...node, '--max-old-space-size-percentage=70', '-p', script]))
    expect(heap).toBeLessThan(256 * 2 ** 20)
  })

  test('runs as nobody in particular and can write nowhere', async () => {
    const script = `try { require('fs').writeFileSync('/app/x', ''); console.log('wrote') } catch (e) { console.log(process.getuid(), e.code) }`
    const said = await world.shell.kubectl([
      'exec',
      '-n',
      home,
      'deployment/slipway-operator',
      '--',
      'node',
      '-e',
      script,
    ])
    expect(said.trim()).toBe('65532 EROFS')
  })
})
