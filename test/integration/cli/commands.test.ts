import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import type { ModelDeployment } from '../../../operator/api/modeldeployment.ts'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { installCrds, connect as connectPlainly } from '../api/server.ts'
import { connect, createNamespace, until, type Connected } from '../kube/server.ts'
import { revisionOf, uriOf, type WrittenSpec } from '../operator/stage.ts'
import { give, type Printed } from './session.ts'
import { statusWriter, type StatusWriter } from './statuswriter.ts'

jest.setTimeout(300_000)

let server: Connected
let namespace: string
let writer: StatusWriter
let commands: AbortController
/** As the API server knows whoever gives the commands. */
let me: string

beforeAll(async () => {
  const plain = await connectPlainly()
  await installCrds(plain)
  await plain.close()
  server = await connect()
  const { text } = await server.client.transport.call({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    asked: { verb: 'create', resource: 'selfsubjectreviews.authentication.k8s.io' },
  })
  me = JSON.parse(text).status.userInfo.username
})

afterAll(async () => server.close())

const specOf = (model: string): WrittenSpec => ({
  model: { uri: uriOf(model), version: model },
  replicas: 2,
  traffic: { mode: 'Router' },
  rollout: {
    strategy: 'Canary',
    steps: [
      { weight: 10, minDuration: '0s', gate: 'Manual' },
      { weight: 50, minDuration: '0s', gate: 'Manual' },
    ],
  },
})
const v7 = revisionOf('fraud', specOf('v7'))
const v8 = revisionOf('fraud', specOf('v8'))

const apply = (spec: WrittenSpec): Promise<ModelDeployment> =>
  server.client.apply(
    modelDeployments,
    { apiVersion: 'slipway.dev/v1alpha1', kind: 'ModelDeployment', metadata: { name: 'fraud', namespace }, spec },
    { fieldManager: 'kubectl' },
  )

/** One line, answered while the status goes on being written. */
const answered = async (...argv: readonly string[]): Promise<Printed> => {
  const over = new AbortController()
  const writing = (async () => {
    while (!over.signal.aborted) await writer.settle()
  })()
  const printed = await give([...argv, '-n', namespace]).finally(() => over.abort())
  await writing
  return printed
}

/** Nobody answers. */
const unanswered = (...argv: readonly string[]): Promise<Printed> => give([...argv, '-n', namespace])

beforeEach(async () => {
  namespace = await createNamespace(server.client)
  writer = statusWriter(server.client, namespace, 'fraud')
  commands = new AbortController()
  await apply(specOf('v7'))
  await writer.settle()
  await apply(specOf('v8'))
  await writer.settle()
})

const commandOn = async (): Promise<Record<string, string>> => {
  const { metadata } = await server.client.get(modelDeployments, namespace, 'fraud')
  return JSON.parse(metadata.annotations?.['slipway.dev/command'] ?? '{}')
}

describe('a rollout that waits at a gate', () => {
  test('is shown as waiting for a person, with what to do', async () => {
    const { out } = await unanswered('status', 'fraud', '--json')
    expect(JSON.parse(out)).toMatchObject({
      outcome: 'UnderWay',
      rollout: { state: 'Canary', substep: 'Gate' },
      versions: [
        { role: 'stable', revision: v7, share: 0.9 },
        { role: 'candidate', revision: v8, share: 0.1 },
      ],
      toDo: 'Give the command promote, or abort.',
    })
  })

  test('promote lets it go on, gate by gate, to everybody', async () => {
    const first = await answered('promote', 'fraud', '--reason', 'looks good')
    expect(first).toMatchObject({ code: 0, out: `promote fraud: Done. ${v8} goes on from Canary.Gate.\n` })
    expect(await commandOn()).toMatchObject({ op: 'promote', candidate: v8, reason: 'looks good', by: me })
    expect((await writer.settle()).status?.candidate).toMatchObject({ stepWeight: 500, substep: 'Gate' })
    expect((await answered('promote', 'fraud')).code).toBe(0)
    const { status } = await writer.settle()
    expect(status?.stable?.revision).toBe(v8)
    const { out } = await unanswered('history', 'fraud')
    expect(out).toContain(`Promoted in Canary.Gate by ${me}, because: looks good`)
  })

  test('pause holds it, resume lets it go, and what is not held is not resumed', async () => {
    expect(await answered('pause', 'fraud')).toMatchObject({ code: 0 })
    expect((await unanswered('status', 'fraud')).out).toContain(`paused     By ${me}.`)
    const held = await answered('promote', 'fraud')
    expect(held).toMatchObject({ code: 3 })
    expect(held.out).toContain('Refused. The rollout is held: resume it first')
    expect(await answered('resume', 'fraud')).toMatchObject({ code: 0 })
    expect(await answered('resume', 'fraud')).toMatchObject({
      code: 3,
      out: 'resume fraud: Refused. Nothing holds the rollout.\n',
    })
  })

  test('abort takes it back and remembers it; why says who; retry tries it again', async () => {
    expect(await answered('abort', 'fraud', '--reason', 'odd scores')).toMatchObject({ code: 0 })
    await writer.settle()
    const why = await unanswered('why', 'fraud')
    expect(why.out).toContain('cause      A person stopped the rollout.')
    expect(why.out).toContain(`Stopped in Canary.Gate by ${me}, because: odd scores.`)
    expect(why.out).toContain(
      'fix        When it may go on, give the command retry, or change spec.rollout.retryToken.',
    )
    expect(await answered('retry', 'fraud')).toMatchObject({
      code: 0,
      out: `retry fraud: Done. ${v8} is tried again.\n`,
    })
    expect((await writer.settle()).status?.candidate).toMatchObject({ revision: v8, attempt: 2 })
  })

  test('rollback takes the candidate back while there is one, and the serving version otherwise', async () => {
    expect(await answered('rollback', 'fraud')).toMatchObject({
      code: 0,
      out: `rollback fraud: Done. ${v8} is taken back.\n`,
    })
    await writer.settle()
    await answered('retry', 'fraud')
    await writer.settle()
    await answered('promote', 'fraud')
    await writer.settle()
    await answered('promote', 'fraud')
    expect((await writer.settle()).status).toMatchObject({ stable: { revision: v8 }, previous: { revision: v7 } })
    const back = await answered('rollback', 'fraud')
    expect(back).toMatchObject({ code: 0, out: `rollback fraud: Done. Users go back from ${v8} to ${v7}.\n` })
    expect((await writer.settle()).status?.stable?.revision).toBe(v7)
  })

  test('a command for another revision is refused by the operator, which names the right one', async () => {
    const { code, out } = await answered('promote', 'fraud', '--candidate', v7)
    expect(code).toBe(3)
    expect(out).toContain(`The command is about ${v7}, and the candidate is ${v8}`)
  })

  test('--json prints one object', async () => {
    const { out } = await answered('pause', 'fraud', '--json')
    expect(JSON.parse(out)).toMatchObject({
      kind: 'Command',
      op: 'pause',
      candidate: v8,
      result: 'Done',
      name: 'fraud',
    })
  })
})

describe('where a command cannot be carried out', () => {
  test('nobody answers: it says so after the timeout, and the command stays for whoever comes', async () => {
    const { code, note } = await unanswered('promote', 'fraud', '--timeout', '500ms')
    expect(code).toBe(4)
    expect(note).toContain('The operator has not answered promote')
    expect(note).toContain(`Check that the operator runs and watches namespace ${namespace}`)
    expect(await commandOn()).toMatchObject({ op: 'promote' })
  })

  test('a command that nobody has answered is not written over', async () => {
    await unanswered('pause', 'fraud', '--timeout', '300ms')
    const { id } = await commandOn()
    expect(await unanswered('abort', 'fraud', '--timeout', '300ms')).toMatchObject({ code: 4 })
    expect((await commandOn())['id']).toBe(id)
    expect(await answered('abort', 'fraud')).toMatchObject({ code: 0 })
    const { status } = await writer.settle()
    expect(status?.lastCommand).toMatchObject({ op: 'abort', earlier: [id] })
  })

  test('nothing is under way: it says what serves, and asks nobody', async () => {
    await answered('abort', 'fraud')
    await writer.settle()
    const before = await commandOn()
    const { code, note } = await unanswered('promote', 'fraud')
    expect(code).toBe(3)
    expect(note).toContain(
      `No rollout of fraud is under way, so there is nothing to promote: v7 (${v7}) serves all users.`,
    )
    expect(await commandOn()).toEqual(before)
  })
})

describe('watch', () => {
  test('draws a canary, redraws it in place as it goes on, and ends when it is rolled out', async () => {
    let seen = ''
    const watching = give(['watch', 'fraud', '-n', namespace], { columns: 100, heard: (out) => (seen = out) })
    await until('it is drawn', () => seen.includes('▶ 10% (gate)'))
    await answered('promote', 'fraud')
    await until('it is drawn', () => seen.includes('▶ 50% (gate)'))
    await answered('promote', 'fraud')
    await writer.settle()
    const { code, out } = await watching
    expect(code).toBe(0)
    expect(out).toContain('\u001b[')
    expect(out.split('\n').filter((line) => line.length > 110)).toEqual([])
    const last = out.slice(out.lastIndexOf('\u001b[J'))
    expect(last).toContain('fraud in')
    expect(last).toContain(`stable    v8  ${v8}  100%`)
  })

  test('ends with another exit code when it was taken back', async () => {
    const watching = give(['watch', 'fraud', '-n', namespace])
    await answered('abort', 'fraud')
    await writer.settle()
    expect(await watching).toMatchObject({ code: 5 })
  })

  test('one that waits for a person ends by --timeout, and by the person', async () => {
    const late = await unanswered('watch', 'fraud', '--timeout', '300ms')
    expect(late.code).toBe(4)
    expect(late.note).toContain('the gate waits for the command promote')
    const watching = give(['watch', 'fraud', '-n', namespace], { signal: commands.signal })
    commands.abort()
    expect((await watching).code).toBe(5)
  })

  test('--json prints one object a line', async () => {
    await answered('abort', 'fraud')
    await writer.settle()
    const { out, code } = await unanswered('watch', '--json')
    const lines = out.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ kind: 'Status', outcome: 'Stalled' }])
    expect(code).toBe(5)
  })

  test('an object that is deleted meanwhile ends it', async () => {
    let seen = ''
    const watching = give(['watch', 'fraud', '--forever', '-n', namespace], { heard: (out) => (seen = out) })
    await until('it is shown', () => seen !== '')
    await server.client.delete(modelDeployments, namespace, 'fraud')
    expect(await watching).toMatchObject({
      code: 1,
      note: expect.stringContaining('ModelDeployment fraud was deleted.'),
    })
  })
})
