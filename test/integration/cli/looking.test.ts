import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { buildCli } from '../../../cli/build.ts'
import { loadCredentials } from '../../../operator/kube/credentials.ts'
import { resource } from '../../../operator/kube/resources.ts'
import { kubectlPath } from '../../cluster/binaries.ts'
import { kubeconfig } from '../kube/server.ts'
import { ended, type Rule } from '../operator/hands.ts'
import { openStage, plainly, revisionOf, uriOf, type Stage, type WrittenSpec } from '../operator/stage.ts'
import { give, type Printed } from './session.ts'

jest.setTimeout(300_000)

let stage: Stage
let folder: string

const one = { model: { uri: uriOf('one'), version: 'v1' }, replicas: 2 }
const [v1] = [revisionOf('fraud', one)]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-cli-'))
  stage = await openStage()
  await stage.start()
  await stage.apply('fraud', one)
  await stage.ready('fraud')
})

afterAll(async () => {
  await stage.close()
  await rm(folder, { recursive: true, force: true })
})

const look = (...argv: readonly string[]): Promise<Printed> => give([...argv, '-n', stage.namespace])

const manifest = (spec: WrittenSpec, name = 'fraud'): string =>
  JSON.stringify({
    apiVersion: 'slipway.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name },
    spec: plainly(spec),
  })

const plan = (spec: WrittenSpec, name?: string): Promise<Printed> =>
  give(['plan', '-f', '-', '--json', '-n', stage.namespace], { input: manifest(spec, name) })

/** The way back to a version that serves, so that each test begins with it. */
const back = async (): Promise<void> => {
  await stage.apply('fraud', one)
  await stage.ready('fraud')
}

describe('with the real operator', () => {
  test('status, history and why of a version that serves', async () => {
    const status = await look('status', 'fraud', '--json')
    expect(JSON.parse(status.out)).toMatchObject({
      kind: 'Status',
      outcome: 'RolledOut',
      available: true,
      versions: [{ role: 'stable', version: 'v1', revision: v1, share: 1, pods: { ready: 2, wanted: 2 } }],
    })
    expect((await look('status')).out).toContain(`stable  v1       ${v1}  100%   -         -       2 of 2`)
    expect((await look('history')).out).toContain('All 2 pods of')
    expect((await look('why')).out).toContain('nothing is wrong')
  })

  test('why of pods that crash: cause of the table, evidence of the pods, and the old version answers', async () => {
    const undo = stage.hands.rule(crashing(uriOf('crash')))
    await stage.apply('fraud', { model: { uri: uriOf('crash'), version: 'v2' }, replicas: 2 })
    await stage.until('fraud', 'has trouble', (o) => o.status?.candidate?.reason === 'PodCrashed')
    const { out, code } = await look('why', 'fraud')
    expect(code).toBe(0)
    expect(out).toContain('cause      A container keeps exiting.')
    expect(out).toMatch(/evidence {3}Container runtime of pod .* exited with code 3: cannot load/)
    expect(out).toContain('pods: 2 of 2 say PodCrashed.')
    expect(out).toContain(`users      v1 (${v1}) answers.`)
    undo()
    await back()
  })

  test('watch of a model that is not there prints what happens and ends with the exit code of a rejection', async () => {
    stage.hands.rule(missing(uriOf('gone')))
    await stage.apply('fraud', { model: { uri: uriOf('gone') }, replicas: 2 })
    const { out, code } = await look('watch', 'fraud')
    expect(code).toBe(5)
    expect(out).toContain('→ Rejected (ModelNotFound): the server answered 404')
    const planned = await plan({ model: { uri: uriOf('gone') }, replicas: 2 })
    expect(planned.code).toBe(6)
    expect(JSON.parse(planned.out)).toMatchObject({
      action: 'Nothing',
      steps: [],
      held: { outcome: 'Stalled', reason: 'ModelNotFound' },
    })
    await back()
  })

  test('in mode Direct there is nothing to promote, and the answer says so; a candidate can be aborted', async () => {
    const undo = stage.hands.rule((role) => (role.uri === uriOf('slow') ? { do: 'nothing' } : undefined))
    await stage.apply('fraud', { model: { uri: uriOf('slow') }, replicas: 2 })
    await stage.until('fraud', 'has a candidate', (o) => o.status?.candidate !== undefined)
    const { code, out } = await look('promote', 'fraud')
    expect(code).toBe(3)
    expect(out).toContain('promote fraud: Refused. In traffic.mode Direct users go over all at once')
    const aborted = await look('abort', 'fraud', '--reason', 'it is slow')
    expect([aborted.code, aborted.out]).toEqual([0, expect.stringContaining('is stopped.')])
    await stage.says('fraud', 'Stalled', 'True', 'Aborted')
    undo()
    await back()
  })
})

const crashing =
  (uri: string): Rule =>
  (role) =>
    role.uri === uri && role.does === 'serve'
      ? { do: 'end', exitCode: 3, message: 'cannot load', restarts: 1 }
      : undefined

const missing =
  (uri: string): Rule =>
  (role) =>
    role.uri === uri
      ? ended({ ok: false, code: 'ModelNotFound', message: `the server answered 404 for ${uri}`, retryable: false })
      : undefined

describe('plan', () => {
  test('a new version: what is fetched, started and moved, and that nothing is stored by it', async () => {
    const before = await stage.get('fraud')
    const { out, code } = await plan({ model: { uri: uriOf('two') }, replicas: 3 })
    expect(code).toBe(0)
    const told = JSON.parse(out)
    expect(told).toMatchObject({
      kind: 'Plan',
      action: 'Change',
      revision: { is: 'New', name: revisionOf('fraud', { model: { uri: uriOf('two') } }) },
      contract: { known: false },
      pods: { now: 2, most: 6, last: 3 },
      refusals: [],
    })
    expect(told.changes).toEqual([
      { field: 'spec.model.uri', from: uriOf('one'), to: uriOf('two') },
      { field: 'spec.model.version', from: 'v1' },
      { field: 'spec.replicas', from: 2, to: 3 },
    ])
    expect(told.steps.map((step: { state: string }) => step.state)).toEqual([
      'Pending',
      'Provisioning',
      'Promoting',
      'Observing',
      'Idle',
    ])
    expect((await stage.get('fraud')).metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  })

  test('and the rollout that follows takes the steps that were told', async () => {
    const spec: WrittenSpec = { model: { uri: uriOf('told') }, replicas: 2 }
    const told: { state: string }[] = JSON.parse((await plan(spec)).out).steps
    await stage.apply('fraud', spec)
    const { status } = await stage.ready('fraud')
    const happened = status?.history?.filter((h) => h.revision === revisionOf('fraud', spec)).map((h) => h.to)
    expect(happened).toEqual(told.map(({ state }) => state).slice(0, -1))
    await back()
  })

  test('another number of pods is no rollout', async () => {
    await stage.apply('scaled', one)
    await stage.ready('scaled')
    const { out } = await plan({ ...one, replicas: 5 }, 'scaled')
    expect(JSON.parse(out)).toMatchObject({
      steps: [],
      revision: { is: 'Serving' },
      pods: { now: 2, most: 5, last: 5 },
    })
  })

  test('a pinned digest that is kept already tells whether clients would break', async () => {
    const { status } = await stage.get('fraud')
    const digest = status?.stable?.digest ?? ''
    const { out } = await plan({ model: { uri: uriOf('copy'), digest }, replicas: 2 })
    expect(JSON.parse(out)).toMatchObject({ contract: { known: true, message: 'Clients of v1 notice nothing.' } })
  })

  test.each<[string, WrittenSpec, RegExp]>([
    [
      'a rule of the schema',
      { model: { uri: uriOf('x') }, traffic: { mode: 'Direct' }, rollout: { strategy: 'Canary' } },
      /mode Direct cannot share/,
    ],
    [
      'a field that this release cannot do',
      { model: { uri: 's3://bucket/model.onnx' } },
      /spec\.model\.uri \(found s3/,
    ],
    [
      'pods that the API server would not take',
      {
        model: { uri: uriOf('x') },
        podTemplate: { spec: { containers: [{ name: 'runtime', imagePullPolicy: 'No' }] } },
      },
      /imagePullPolicy: Unsupported value: "No"/,
    ],
  ])('%s is refused before it is applied', async (_, spec, message) => {
    const { out, code } = await plan(spec, 'other')
    expect(code).toBe(6)
    const { refusals }: { refusals: { message: string }[] } = JSON.parse(out)
    expect(refusals[0]?.message).toMatch(message)
  })

  test('a field that kubectl apply would take away is seen to go', async () => {
    const file = join(folder, 'applied.json')
    const kubectl = await kubectlPath()
    const apply = async (spec: WrittenSpec): Promise<void> => {
      await writeFile(file, manifest(spec, 'applied'))
      await promisify(execFile)(kubectl, ['apply', '-f', file, '-n', stage.namespace, '--kubeconfig', kubeconfig()])
    }
    await apply({ ...one, rollout: { paused: true } })
    const { out } = await plan(one, 'applied')
    expect(JSON.parse(out)).toMatchObject({
      changes: [{ field: 'spec.rollout.paused', from: true, to: false }],
    })
  })

  test.each<[string, string, string]>([
    ['no YAML', 'a: [', 'stdin is no YAML'],
    ['no ModelDeployment', 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}', 'it holds v1 ConfigMap'],
    ['no name', 'kind: ModelDeployment\napiVersion: slipway.dev/v1alpha1', 'has no apiVersion, kind and metadata.name'],
  ])('a file with %s says so', async (_, input, message) => {
    const { code, note } = await give(['plan', '-f', '-', '-n', stage.namespace], { input })
    expect(code).toBe(2)
    expect(note).toContain(message)
  })
})

describe('what is asked wrongly', () => {
  test('an object that is not there: which ones there are', async () => {
    expect(await look('status', 'nobody')).toMatchObject({
      code: 1,
      note: expect.stringMatching(/has no ModelDeployment nobody; it has .*fraud/),
    })
  })

  test('a name is needed where the namespace has several', async () => {
    expect(await look('why')).toMatchObject({ code: 2, note: expect.stringContaining('several ModelDeployments') })
  })

  test('a context that the kubeconfig does not have: which it has', async () => {
    const { code, note } = await look('status', '--context', 'nowhere')
    expect(code).toBe(1)
    expect(note).toContain('has no context "nowhere"; it has:')
  })

  test('a server that cannot be reached', async () => {
    const file = join(folder, 'away')
    const clusters = [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }]
    const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }]
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'x',
      clusters,
      contexts,
      users: [{ name: 'u', user: {} }],
    }
    await writeFile(file, JSON.stringify(config))
    const { code, note } = await give(['status', '--kubeconfig', file])
    expect(code).toBe(1)
    expect(note).toContain('ECONNREFUSED')
    expect(note).toContain('Check that the API server of this context can be reached.')
  })

  test('--json prints errors as an object too', async () => {
    const { out } = await look('status', 'nobody', '--json')
    expect(JSON.parse(out)).toMatchObject({ kind: 'Error', ending: 'Failed' })
  })

  test('an unknown command, a flag without its value, a timeout that is none', async () => {
    expect((await give(['dance'])).code).toBe(2)
    expect((await give(['watch', '--timeout', 'soon'])).note).toContain('"soon" is not a duration')
  })

  test('someone without rights is told which verb is missing', async () => {
    const file = join(folder, 'nobody')
    const name = 'nobody'
    await stage.client.create(serviceaccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, namespace: stage.namespace },
    })
    const { text } = await stage.client.transport.call({
      method: 'POST',
      path: `/api/v1/namespaces/${stage.namespace}/serviceaccounts/${name}/token`,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
      asked: { verb: 'create', resource: 'serviceaccounts/token' },
    })
    const admin = await loadCredentials({ kubeconfig: kubeconfig() })
    const authority = Buffer.from((await admin.current()).tls.ca ?? '').toString('base64')
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'x',
      clusters: [{ name: 'c', cluster: { server: admin.server, 'certificate-authority-data': authority } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: stage.namespace } }],
      users: [{ name: 'u', user: { token: JSON.parse(text).status.token } }],
    }
    await writeFile(file, JSON.stringify(config))
    const { code, note } = await give(['status', 'fraud', '--kubeconfig', file])
    expect(code).toBe(1)
    expect(note).toContain('grant the verb "get" on modeldeployments.slipway.dev')
  })
})

const serviceaccounts = resource('', 'v1', 'serviceaccounts', 'ServiceAccount')

describe('as a plugin of kubectl', () => {
  test('kubectl slipway runs the bundle, and kubectl completes its words', async () => {
    const program = await buildCli(join(import.meta.dirname, '..', '..', '..'))
    await symlink(program, join(folder, 'kubectl-slipway'))
    const kubectl = await kubectlPath()
    const env = {
      PATH: [folder, dirname(process.execPath), process.env['PATH']].join(':'),
      KUBECONFIG: kubeconfig(),
      HOME: folder,
    }
    const run = async (file: string, ...args: string[]) => (await promisify(execFile)(file, args, { env })).stdout
    expect(await run(kubectl, 'plugin', 'list')).toContain(join(folder, 'kubectl-slipway'))
    expect(await run(kubectl, 'slipway', 'status', 'fraud', '-n', stage.namespace)).toContain(
      `fraud in ${stage.namespace}`,
    )
    const completer = join(folder, 'kubectl_complete-slipway')
    await writeFile(completer, await run(kubectl, 'slipway', 'completion', 'kubectl'), { mode: 0o755 })
    expect(await run(kubectl, '__complete', 'slipway', 'pro')).toBe('promote\n:4\n')
    expect(await run(kubectl, '__complete', 'slipway', 'status', '-n', stage.namespace, 'fr')).toBe('fraud\n:4\n')
    const bash = `source <(kubectl-slipway completion bash); COMP_WORDS=(kubectl-slipway roll); COMP_CWORD=1; _kubectl_slipway; echo "\${COMPREPLY[@]}"`
    expect(await run('bash', '-c', bash)).toBe('rollback\n')
  })
})
