// The life of a model on a real node: applied, answered, changed, taken back, scaled, deleted.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { directRun, sameFloats } from '../kit/directrun.ts'
import { e2e, type E2E } from '../kit/e2e.ts'
import { applyModel, conditionOf, directly, getModel, isReady, says, serves, waitForModel } from '../kit/model.ts'
import { predict } from '../kit/predict.ts'
import { startStream } from '../kit/stream.ts'

const request = readFileSync('examples/silero/request.json', 'utf8')

let world: E2E
beforeAll(async () => {
  world = await e2e('lifecycle')
})
afterAll(() => world.close())

/** The revision of the last change that a stream printed. */
const lastRevision = (log: string): string | undefined =>
  (JSON.parse(log.trim().split('\n').at(-1) ?? '{}') as { revision?: string }).revision

const silero = (version: 'v5' | 'v6', rest: object = {}) =>
  directly({
    model: { uri: `${world.store}/models/silero_vad_${version}.onnx`, version },
    replicas: 2,
    resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    ...rest,
  })

const waitFor = (name: string, what: string, claim: Parameters<typeof waitForModel>[4]) =>
  waitForModel(world.shell, world.namespace, name, what, claim)

/** One prediction, and whether it equals a direct run of that version. */
const answers = async (name: string, version: 'v5' | 'v6') => {
  const { status, body } = await predict(world.shell, world.namespace, name, request)
  const output = body.outputs?.find((o) => o.name === 'output')?.data ?? []
  const direct = (await directRun(world.models[version], request))['output'] ?? []
  return { status, version: body.model_version, equal: direct.length > 0 && sameFloats(output, direct) }
}

describe('one model', () => {
  test('a first version serves what a direct onnxruntime run gives', async () => {
    await applyModel(world.shell, world.namespace, 'vad', silero('v5'))
    const model = await waitFor('vad', 'Ready with v5', serves('v5'))
    expect(conditionOf(model, 'Available')?.status).toBe('True')
    expect(conditionOf(model, 'Stalled')?.status).toBe('False')
    expect(model.status?.stable?.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(model.status?.stable?.image).toMatch(/@sha256:[0-9a-f]{64}$/)
    expect(await answers('vad', 'v5')).toEqual({ status: 200, version: 'v5', equal: true })
  })

  test.each([true, false])(
    'under a constant stream (keep-alive: %s), v5 → v6 → v5 loses no request and no answer comes from a revision that was not asked for',
    async (keepAlive) => {
      const rate = 50
      const stream = await startStream(world.shell, world.namespace, `stream-${keepAlive}`, world.images.modelstore, {
        url: 'http://vad/v2/models/vad/infer',
        request,
        rate,
        seconds: 300,
        keepAlive,
      })
      const began = Date.now()
      const v5 = (await getModel(world.shell, world.namespace, 'vad')).status?.stable?.revision ?? ''
      const switchTo = async (version: 'v5' | 'v6') => {
        const from = Date.now()
        await applyModel(world.shell, world.namespace, 'vad', silero(version))
        const model = await waitFor('vad', `Ready with ${version}`, serves(version))
        return { from, revision: model.status?.stable?.revision ?? '' }
      }
      const there = await switchTo('v6')
      expect(await answers('vad', 'v6')).toEqual({ status: 200, version: 'v6', equal: true })
      // A client that keeps its connections follows within their greatest age, half a minute.
      await world.until('the stream has moved to v6', async () => (await stream.changes()).includes(there.revision))
      const back = await switchTo('v5')
      if (!keepAlive)
        await world.until('the stream has moved back', async () => lastRevision(await stream.changes()) === v5)
      const streamedSeconds = (Date.now() - began) / 1000
      const summary = await stream.stop()
      expect({ failed: summary.failed, failures: summary.failures }).toEqual({ failed: 0, failures: [] })
      expect(summary.sent).toBe(summary.ok)
      // The changes take as long as they take. The client was at it all that time, or nothing is proved.
      expect(summary.sent).toBeGreaterThan((rate * streamedSeconds) / 2)
      expect(Object.keys(summary.byRevision).toSorted()).toEqual([v5, there.revision].toSorted())
      // With a connection for each request the order is strict: v5, then v6 from the switch on, then v5 again.
      const strict = keepAlive ? [] : summary.transitions
      expect(strict.map(({ to }) => to)).toEqual(keepAlive ? [] : [there.revision, v5])
      for (const { to, at } of strict) expect(Date.parse(at)).toBeGreaterThanOrEqual(to === v5 ? back.from : there.from)
    },
  )

  test('a spec edited back while the previous version is warm starts no pod', async () => {
    const before = await getModel(world.shell, world.namespace, 'vad')
    const pods = async () =>
      (
        await world.shell.kubectl([
          'get',
          'pods',
          '-n',
          world.namespace,
          '-l',
          'slipway.dev/model-deployment=vad,slipway.dev/revision',
          '-o',
          'name',
        ])
      )
        .trim()
        .split('\n')
        .toSorted()
    const warm = await pods()
    await applyModel(world.shell, world.namespace, 'vad', silero('v6'))
    await waitFor('vad', 'Ready with v6', serves('v6'))
    await applyModel(world.shell, world.namespace, 'vad', silero('v5'))
    const after = await waitFor('vad', 'Ready with v5', serves('v5'))
    expect(after.status?.stable?.digest).toBe(before.status?.stable?.digest)
    expect(await pods()).toEqual(warm)
  })

  test('rollback.to goes to a kept version, and an edited spec.model waits and says so', async () => {
    await applyModel(world.shell, world.namespace, 'vad', silero('v5', { rollback: { to: 'v6' } }))
    const model = await waitFor('vad', 'Ready with v6', serves('v6'))
    expect(conditionOf(model, 'Ready')?.message).toContain('spec.rollback.to holds it there')
    expect(await answers('vad', 'v6')).toEqual({ status: 200, version: 'v6', equal: true })
    await applyModel(world.shell, world.namespace, 'vad', silero('v5', { rollback: { to: 'v4' } }))
    const missing = await waitFor('vad', 'stalled', says('RollbackTargetNotFound'))
    expect(conditionOf(missing, 'Stalled')?.message).toContain('v6')
    expect(conditionOf(missing, 'Available')?.status).toBe('True')
    await applyModel(world.shell, world.namespace, 'vad', silero('v5'))
    await waitFor('vad', 'Ready with v5', serves('v5'))
  })

  test('kubectl scale changes the number of pods and rolls nothing', async () => {
    const before = await getModel(world.shell, world.namespace, 'vad')
    await world.shell.kubectl(['scale', 'mdep/vad', '-n', world.namespace, '--replicas=3'])
    const scaled = await waitFor('vad', 'Ready with 3 pods', (m) => isReady(m) && m.status?.readyReplicas === 3)
    expect(scaled.status?.stable?.revision).toBe(before.status?.stable?.revision)
    await world.shell.kubectl(['scale', 'mdep/vad', '-n', world.namespace, '--replicas=1'])
    await waitFor('vad', 'Ready with 1 pod', (m) => isReady(m) && m.status?.replicas === 1)
  })

  test('the previous revision’s pods go when keepPreviousFor has passed, and its record stays', async () => {
    const spec = silero('v6', { replicas: 1, rollout: { keepPreviousFor: '3s' } })
    await applyModel(world.shell, world.namespace, 'vad', spec)
    const model = await waitFor(
      'vad',
      'Ready with v6 alone',
      (m) => serves('v6')(m) && m.status?.previous === undefined,
    )
    const deployments = await world.shell.kubectl([
      'get',
      'deployments',
      '-n',
      world.namespace,
      '-l',
      'slipway.dev/model-deployment=vad',
      '-o',
      'name',
    ])
    expect(deployments.trim().split('\n')).toEqual([`deployment.apps/${model.status?.stable?.revision ?? ''}`])
    const revisions = await world.shell.kubectl(['get', 'mrev', '-n', world.namespace, '-o', 'name'])
    expect(revisions.trim().split('\n')).toHaveLength(2)
  })

  test('revisionHistoryLimit drops the records that are not in use', async () => {
    await applyModel(world.shell, world.namespace, 'vad', silero('v6', { replicas: 1, revisionHistoryLimit: 0 }))
    await world.until('one revision is left', async () => {
      const revisions = await world.shell.kubectl(['get', 'mrev', '-n', world.namespace, '-o', 'name'])
      return revisions.trim().split('\n').length === 1
    })
  })

  test('deleting the object takes everything of it away', async () => {
    await world.shell.kubectl(['delete', 'mdep', 'vad', '-n', world.namespace])
    await world.until('nothing is left', async () => {
      const left = await world.shell.kubectl([
        'get',
        'deployments,jobs,services,mrev,pods',
        '-n',
        world.namespace,
        '-l',
        'slipway.dev/model-deployment=vad',
        '-o',
        'name',
      ])
      return left.trim() === ''
    })
  })
})

test('a model of texts finds the locale that it asks for by name', async () => {
  await applyModel(world.shell, world.namespace, 'lower', {
    ...silero('v5'),
    model: { uri: `${world.store}/models/lower.onnx`, version: 'v1' },
    replicas: 1,
  })
  await waitFor('lower', 'Ready with v1', serves('v1'))
  const data = ['HÉLLO', 'ÄÖÜ', 'ПРИВЕТ', 'ΣΑΣ']
  const texts = JSON.stringify({ inputs: [{ name: 'x', datatype: 'BYTES', shape: [data.length], data }] })
  const { status, body } = await predict(world.shell, world.namespace, 'lower', texts)
  expect({ status, error: body.error }).toEqual({ status: 200, error: undefined })
  expect(body.outputs?.[0]?.data).toEqual(['héllo', 'äöü', 'привет', 'σασ'])
})

describe('a CPU limit', () => {
  /** What the runtime in a pod of the model says of itself: how it shares threads out, and what its quota did to it. */
  const inside = async (name: string) => {
    const revision = (await getModel(world.shell, world.namespace, name)).status?.stable?.revision ?? ''
    const program = `Promise.all(['state', 'metrics'].map((path) => fetch('http://127.0.0.1:9090/' + path).then((answer) => answer.text())))
      .then((texts) => console.log(JSON.stringify(texts)))`
    const pod = ['exec', '-n', world.namespace, `deployment/${revision}`, '-c', 'runtime', '--', 'node', '-e', program]
    const [state = '', metrics = ''] = JSON.parse(await world.shell.kubectl(pod)) as string[]
    const { versions } = JSON.parse(state) as { versions: { threads: { workers: number; reason: string } }[] }
    const metric = (of: string): number =>
      Number(
        metrics
          .split('\n')
          .find((line) => line.startsWith(`${of} `))
          ?.split(' ')[1],
      )
    return {
      threads: versions[0]?.threads,
      periods: metric('slipway_cpu_periods_total'),
      throttled: metric('slipway_cpu_throttled_periods_total'),
    }
  }
  const limited = (name: string, cpu: string | undefined) =>
    applyModel(world.shell, world.namespace, name, {
      ...silero('v5'),
      replicas: 1,
      resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi', ...(cpu && { cpu }) } },
    })

  test('of one and a half processors, or of half of one, is one thread of a pod’s runtime, and its periods are counted', async () => {
    await Promise.all([limited('most', '1500m'), limited('half', '500m'), limited('free', undefined)])
    for (const name of ['most', 'half', 'free']) await waitFor(name, 'Ready with v5', serves('v5'))
    const [most, half, free] = [await inside('most'), await inside('half'), await inside('free')]
    const only = { workers: 1, intraOpThreads: 1, reason: 'only one plan fits', measured: [] }
    expect(most.threads).toEqual(only)
    expect(half.threads).toEqual(only)
    expect(most.periods).toBeGreaterThan(0)
    // Node alone takes more than half a processor while it starts.
    expect(half.throttled).toBeGreaterThan(0)
    expect(half.periods).toBeGreaterThanOrEqual(half.throttled)
    // Without a limit the node's processors count: where there are several, there is a choice.
    const node = ['get', 'nodes', '-o', 'jsonpath={.items[*].status.capacity.cpu}']
    const cores = (await world.shell.kubectl(node)).trim().split(/\s+/).map(Number)
    expect(free.periods).toBe(0)
    if (Math.min(...cores) > 1) expect(free.threads?.reason).not.toBe('only one plan fits')
    for (const name of ['most', 'half', 'free'])
      await world.shell.kubectl(['delete', 'mdep', name, '-n', world.namespace, '--wait=false'])
  })
})
