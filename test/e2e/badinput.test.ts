// Everything a user can get wrong, on a real node, while the old version serves: each gives one sentence that says what
// was found and what to do, and an Event with the same words; no answer is lost, and no pod of the old version moves.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { e2e, type E2E } from '../kit/e2e.ts'
import {
  applyModel,
  conditionOf,
  directly,
  getModel,
  says,
  serves,
  waitForModel,
  type WrittenSpec,
} from '../kit/model.ts'
import { predict, withForward } from '../kit/predict.ts'

const request = readFileSync('examples/silero/request.json', 'utf8')

let world: E2E
beforeAll(async () => {
  world = await e2e('badinput')
  for (const name of objects) await applyModel(world.shell, world.namespace, name, good())
  for (const name of objects) await waitForModel(world.shell, world.namespace, name, 'Ready with v5', serves('v5'))
})
afterAll(() => world.close())

/** The cases take turns on these: Events about one object are held back after 25 in a short time. */
const objects = ['vad', 'vad-1', 'vad-2', 'vad-3']

const limits = { resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } } }
const good = (): WrittenSpec =>
  directly({ model: { uri: `${world.store}/models/silero_vad_v5.onnx`, version: 'v5' }, ...limits })
const bad = (uri: string, rest: WrittenSpec = {}, model: WrittenSpec = {}): WrittenSpec =>
  directly({
    ...limits,
    model: { uri: uri.startsWith('http') ? uri : `${world.store}${uri}`, version: 'v6', ...model },
    ...rest,
  })

const otherDigest = `sha256:${createHash('sha256').update('another file').digest('hex')}`
const shortDeadline = { rollout: { deadlines: { provision: '20s' } } }

interface Case {
  readonly what: string
  readonly spec: () => WrittenSpec
  readonly reason: string
  /** Words that the sentence must hold: what was found, and the fix. */
  readonly words: readonly string[]
}

const cases: readonly Case[] = [
  {
    what: 'a model URL that is not there',
    spec: () => bad('/models/nothing.onnx'),
    reason: 'ModelNotFound',
    words: ['404', 'spec.model.uri'],
  },
  {
    what: 'a store that refuses connections',
    spec: () => bad('http://127.0.0.1:9/x.onnx', shortDeadline),
    reason: 'ModelUnreachable',
    words: ['refuses the connection'],
  },
  {
    what: 'a store that hangs',
    spec: () => bad('/faults/hang', { rollout: { deadlines: { provision: '90s' } } }),
    reason: 'ModelUnreachable',
    words: ['answer'],
  },
  {
    what: 'a store that answers 500',
    spec: () => bad('/faults/500', shortDeadline),
    reason: 'ModelUnreachable',
    words: ['500'],
  },
  {
    what: 'a redirect to a file of another digest',
    spec: () => bad('/faults/redirect?to=/models/silero_vad_v6.onnx', {}, { digest: otherDigest }),
    reason: 'DigestMismatch',
    words: [otherDigest],
  },
  {
    what: 'a digest that does not match',
    spec: () => bad('/models/silero_vad_v6.onnx', {}, { digest: otherDigest }),
    reason: 'DigestMismatch',
    words: [otherDigest, 'spec.model.digest'],
  },
  { what: 'an HTML page as model', spec: () => bad('/models/page.onnx'), reason: 'ModelInvalid', words: ['web page'] },
  {
    what: 'a truncated ONNX file',
    spec: () => bad('/models/truncated.onnx'),
    reason: 'ModelInvalid',
    words: ['cut short'],
  },
  {
    what: 'a model with an output that is no tensor',
    spec: () => bad('/models/sequence.onnx'),
    reason: 'ModelUnsupported',
    words: ['seq', 'zipmap'],
  },
  {
    what: 'a model with a bfloat16 input',
    spec: () => bad('/models/bfloat16.onnx'),
    reason: 'ModelUnsupported',
    words: ['bfloat16'],
  },
  {
    what: 'a model with another contract',
    spec: () => bad('/models/add.onnx'),
    reason: 'ContractIncompatible',
    words: ['input', 'spec.model.contract'],
  },
  {
    what: 'a model larger than the memory limit',
    spec: () => bad('/models/heavy.onnx', { resources: { limits: { memory: '80Mi' } } }, { contract: 'Any' }),
    reason: 'ModelTooLarge',
    words: ['limits.memory'],
  },
  {
    what: 'an image that cannot be pulled',
    spec: () =>
      bad('/models/silero_vad_v6.onnx', { runtime: { image: 'slipway.local:5000/no-such-image:1' }, ...shortDeadline }),
    reason: 'ImagePullFailed',
    words: ['slipway.local:5000/no-such-image:1', 'spec.runtime.image'],
  },
  {
    what: 'resources that no node has',
    spec: () => bad('/models/silero_vad_v6.onnx', { resources: { requests: { cpu: '1000' } } }),
    reason: 'InsufficientCapacity',
    words: ['asks for 1000 cpu', 'Free: ', ' cpu'],
  },
  {
    what: 'a pod template that the API server refuses',
    spec: () => bad('/models/silero_vad_v6.onnx', { podTemplate: { spec: { restartPolicy: 'Sometimes' } } }),
    reason: 'InvalidPodTemplate',
    words: ['restartPolicy'],
  },
  {
    what: 'a field that this release cannot honour',
    spec: () => bad('/models/silero_vad_v6.onnx', {}, { uri: 's3://models/silero_vad_v6.onnx' }),
    reason: 'NotImplemented',
    words: ['spec.model.uri', 's3'],
  },
]

describe('a bad new version', () => {
  test.each(cases)('$what → $reason', async (each) => {
    const { spec, reason, words } = each
    const name = objects[cases.indexOf(each) % objects.length] ?? 'vad'
    const before = await getModel(world.shell, world.namespace, name)
    await applyModel(world.shell, world.namespace, name, spec())
    const model = await waitForModel(
      world.shell,
      world.namespace,
      name,
      `${reason} and stalled`,
      (m) => says(reason)(m) && conditionOf(m, 'Stalled')?.status === 'True',
    )
    const message = conditionOf(model, 'Stalled')?.message ?? ''
    for (const word of words) expect(message).toContain(word)
    expect(conditionOf(model, 'Available')?.status).toBe('True')
    expect(model.status?.stable).toEqual(before.status?.stable)
    await world.until('an Event says it', async () =>
      (await eventsOf(name)).some((e) => e.type === 'Warning' && e.reason === reason),
    )
    expect((await predict(world.shell, world.namespace, name, request)).body.model_version).toBe('v5')
    await applyModel(world.shell, world.namespace, name, good())
    await waitForModel(world.shell, world.namespace, name, 'Ready with v5', serves('v5'))
  })
})

const eventsOf = async (name: string): Promise<{ type: string; reason: string; message: string }[]> => {
  const { items } = await world.shell.json<{ items: { type: string; reason: string; message: string }[] }>([
    'get',
    'events',
    '-n',
    world.namespace,
    '--field-selector',
    `involvedObject.name=${name}`,
  ])
  return items
}

describe('awkward moments', () => {
  test('a spec changed five times within one second ends with the last one, and each of the others is superseded, not served', async () => {
    const versions = ['a', 'b', 'c', 'd', 'e']
    for (const version of versions) {
      await applyModel(world.shell, world.namespace, 'hasty', {
        ...good(),
        model: { uri: `${world.store}/models/silero_vad_v6.onnx`, version },
      })
    }
    const model = await waitForModel(world.shell, world.namespace, 'hasty', 'Ready with e', serves('e'))
    expect(model.status?.history?.filter((h) => h.reason === 'RolledOut').map((h) => h.revision)).toEqual([
      model.status?.stable?.revision,
    ])
    await world.shell.kubectl(['delete', 'mdep', 'hasty', '-n', world.namespace])
  })

  test('an object deleted while its Job runs leaves nothing behind', async () => {
    await applyModel(world.shell, world.namespace, 'gone', bad('/faults/hang'))
    await world.until('the Job runs', async () => (await children('gone')).includes('job.batch'))
    await world.shell.kubectl(['delete', 'mdep', 'gone', '-n', world.namespace])
    await world.until('nothing is left', async () => (await children('gone')) === '')
  })

  test('a name that someone else holds is never adopted, and the rollout goes on when it is free', async () => {
    await world.shell.kubectl(['create', 'service', 'clusterip', 'taken', '--tcp=80:80', '-n', world.namespace])
    await applyModel(world.shell, world.namespace, 'taken', good())
    const model = await waitForModel(world.shell, world.namespace, 'taken', 'stalled by the name', says('NameConflict'))
    expect(conditionOf(model, 'Stalled')?.message).toContain('Service taken')
    const service = await world.shell.json<{ metadata: { ownerReferences?: unknown }; spec: { selector: object } }>([
      'get',
      'service',
      'taken',
      '-n',
      world.namespace,
    ])
    expect(service.metadata.ownerReferences).toBeUndefined()
    expect(service.spec.selector).toEqual({ app: 'taken' })
    await world.shell.kubectl(['delete', 'service', 'taken', '-n', world.namespace])
    await waitForModel(world.shell, world.namespace, 'taken', 'Ready', serves('v5'))
    await world.shell.kubectl(['delete', 'mdep', 'taken', '-n', world.namespace])
  })

  test('a rejected version is tried again when retryToken changes', async () => {
    await applyModel(world.shell, world.namespace, 'again', bad('/models/nothing.onnx'))
    const first = await waitForModel(world.shell, world.namespace, 'again', 'rejected', says('ModelNotFound'))
    await applyModel(
      world.shell,
      world.namespace,
      'again',
      bad('/models/nothing.onnx', { rollout: { retryToken: '2' } }),
    )
    const second = await waitForModel(
      world.shell,
      world.namespace,
      'again',
      'rejected again',
      (m) => m.status?.rejected?.[0]?.attempt === 2,
    )
    expect(first.status?.rejected?.[0]?.attempt).toBe(1)
    expect(conditionOf(second, 'Available')?.status).toBe('False')
    await world.shell.kubectl(['delete', 'mdep', 'again', '-n', world.namespace])
  })
})

/** The status that a server answers while a body of this size is still being sent. */
const statusWhileSending = (url: string, bytes: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const sending = httpRequest(url, { method: 'POST', headers: { 'content-length': bytes } })
    sending.on('response', (answer) => {
      resolve(answer.statusCode)
      sending.destroy()
    })
    sending.on('error', reject)
    sending.write(Buffer.alloc(64 << 10))
  })

const children = async (name: string): Promise<string> =>
  (
    await world.shell.kubectl([
      'get',
      'deployments,jobs,services,mrev,pods',
      '-n',
      world.namespace,
      '-l',
      `slipway.dev/model-deployment=${name}`,
      '-o',
      'name',
    ])
  ).trim()

describe('a bad request', () => {
  const input = { name: 'input', shape: [1, 512], datatype: 'FP32', data: Array.from({ length: 512 }, () => 0) }
  const rest = () => (JSON.parse(request) as { inputs: { name: string }[] }).inputs.filter((i) => i.name !== 'input')
  const withInput = (changed: object): string => JSON.stringify({ inputs: [{ ...input, ...changed }, ...rest()] })

  test.each<[string, () => string, number, string]>([
    ['a wrong name', () => withInput({ name: 'inputs' }), 400, 'inputs'],
    ['a wrong datatype', () => withInput({ datatype: 'FP64' }), 400, 'FP64'],
    ['a wrong rank', () => withInput({ shape: [512] }), 400, '[512]'],
    ['a count that does not fit the shape', () => withInput({ data: [1, 2, 3] }), 400, '512'],
    ['a missing input', () => JSON.stringify({ inputs: rest() }), 400, 'input'],
    ['invalid JSON', () => '{"inputs": [', 400, 'JSON'],
  ])('%s is answered with the field’s name', async (_, body, status, word) => {
    const answer = await predict(world.shell, world.namespace, 'vad', body())
    expect(answer.status).toBe(status)
    expect(answer.body.error).toContain(word)
  })

  test('an unknown model is a 404 that names the live one, and a body of 100 MB a 413', async () => {
    const { unknown, huge } = await withForward<{
      unknown: { status: number; text: string }
      huge: number | undefined
    }>(world.shell, world.namespace, 'vad', async (url) => {
      const missing: Response = await fetch(`${url}/v2/models/fraud/infer`, { method: 'POST', body: request })
      return {
        unknown: { status: missing.status, text: await missing.text() },
        huge: await statusWhileSending(`${url}/v2/models/vad/infer`, 100 << 20),
      }
    })
    expect(unknown.status).toBe(404)
    expect(unknown.text).toContain('vad')
    expect(huge).toBe(413)
    expect((await predict(world.shell, world.namespace, 'vad', request)).status).toBe(200)
  })
})
