import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onnxModel } from '../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-versions-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** `y = x + n`, so that an answer tells which version gave it. */
const adding = (n: number): string => {
  const file = join(folder, `v${n}.onnx`)
  const value = (name: string) => ({ name, type: 'FLOAT', shape: ['batch'] }) as const
  writeFileSync(
    file,
    onnxModel({
      nodes: [{ op: 'Add', inputs: ['x', 'n'], outputs: ['y'] }],
      inputs: [value('x')],
      outputs: [value('y')],
      initializers: [{ name: 'n', type: 'FLOAT', shape: [1], data: new Uint8Array(Float32Array.of(n).buffer) }],
    }),
  )
  return file
}
const spec = (n: number, labels: string[] = []) => ({ version: `v${n}`, file: adding(n), labels })
const path = join(folder, 'versions.json')
const ask = (current: number, ...versions: object[]): void => {
  writeFileSync(`${path}.new`, JSON.stringify({ current: `v${current}`, versions }))
  renameSync(`${path}.new`, path)
}
const body = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[0]}]}'
const askVersion = async (server: Server, version: string) => {
  const answer = await call(server, `/v2/models/m/versions/${version}/infer`, { method: 'POST', body })
  return answer.body.outputs?.[0]?.data[0] ?? answer.status
}
const logged = async (server: Server, action: string, words: string): Promise<void> => {
  const found = () => server.log.some((line) => line['event.action'] === action && line.message.includes(words))
  // oxlint-disable-next-line no-await-in-loop -- it waits for a state
  while (!found()) await sleep(20)
}

describe('a file of versions', () => {
  test('is followed while users ask: new ones load beside the old, the default switches, and no request is lost', async () => {
    ask(1, spec(1))
    const server = await startServer(Buffer.alloc(0), { SLIPWAY_VERSIONS_FILE: path })
    await server.ready()
    const answers: (number | string)[] = []
    const over = new AbortController()
    const users = Array.from({ length: 4 }, async () => {
      while (!over.signal.aborted) {
        // oxlint-disable-next-line no-await-in-loop -- a user asks again when answered
        const { status, body: answer } = await infer(server, body)
        answers.push(status === 200 ? (answer.outputs?.[0]?.data[0] ?? 'nothing') : `${status} ${answer.error}`)
      }
    })
    ask(1, spec(1), spec(2, ['canary']))
    while ((await askVersion(server, 'v2')) !== 2) await sleep(20)
    expect(await askVersion(server, 'v1')).toBe(1)
    expect((await infer(server, body)).body).toMatchObject({ model_version: 'v1' })
    expect((await call(server, '/v2/models/m')).body).toMatchObject({ versions: ['v1', 'v2'] })

    ask(2, spec(2), spec(3))
    await logged(server, 'retire', 'version v1')
    expect(await askVersion(server, 'v1')).toBe(404)
    expect((await call(server, '/v2/models/m/versions/v1')).body.error).toContain('ask for that or leave')
    expect([await askVersion(server, 'v2'), await askVersion(server, 'v3')]).toEqual([2, 3])
    expect((await infer(server, body)).body).toMatchObject({ model_version: 'v2' })
    await logged(server, 'retired', 'version v1')
    over.abort()
    await Promise.all(users)
    expect([...new Set(answers)]).toEqual([1, 2])
    const text = await (await fetch(server.metricsUrl)).text()
    expect(text.match(/slipway_model_info\{.*/g)?.map((line) => /version="(\w+)"/.exec(line)?.[1])).toEqual([
      'v2',
      'v3',
    ])
    await server.stop()
  })

  test('moves a label without a lost request, and not before its new version serves', async () => {
    ask(1, spec(1), spec(2, ['canary']))
    const server = await startServer(Buffer.alloc(0), { SLIPWAY_VERSIONS_FILE: path })
    await server.ready()
    const answers: string[] = []
    const byLabel = (rest: string, init: RequestInit = {}) => call(server, `/v1/models/m/labels/canary${rest}`, init)
    const predict = async () => {
      const { status, body: answer } = await byLabel(':predict', { method: 'POST', body: '{"instances":[0]}' })
      const told =
        status === 200 ? String((answer as { predictions?: number[] }).predictions) : `${status} ${answer.error}`
      answers.push(told)
      return told
    }
    while ((await askVersion(server, 'v2')) !== 2) await sleep(20)
    expect(await predict()).toBe('2')
    expect((await byLabel('')).body).toMatchObject({ model_version_status: [{ version: 'v2', state: 'AVAILABLE' }] })
    expect((await byLabel('/metadata')).body).toMatchObject({ model_spec: { name: 'm', version: 'v2' } })
    expect(await call(server, '/v1/models/m/labels/stable:predict', { method: 'POST', body })).toMatchObject({
      status: 404,
      body: { error: expect.stringContaining('stable') },
    })

    const over = new AbortController()
    const users = Array.from({ length: 3 }, async () => {
      // oxlint-disable-next-line no-await-in-loop -- a user asks again when answered
      while (!over.signal.aborted) await predict()
    })
    const broken = join(folder, 'broken.onnx')
    writeFileSync(broken, 'no model')
    ask(1, spec(1), spec(2), { version: 'v4', file: broken, labels: ['canary'] })
    await logged(server, 'versions', 'version v4 cannot be loaded')
    ask(1, spec(1), spec(2), spec(3, ['canary']))
    while ((await predict()) !== '3') await sleep(20)
    ask(1, spec(1, ['canary']), spec(2))
    while ((await predict()) !== '1') await sleep(20)
    over.abort()
    await Promise.all(users)
    expect([...new Set(answers)]).toEqual(['2', '3', '1'])
    ask(1, spec(1), spec(2))
    while ((await predict()) === '1') await sleep(20)
    expect(await predict()).toMatch(/^404 /)
    await server.stop()
  })

  test('that asks for what cannot be changes nothing for users, and says why', async () => {
    ask(1, spec(1))
    const server = await startServer(Buffer.alloc(0), { SLIPWAY_VERSIONS_FILE: path })
    await server.ready()
    const broken = join(folder, 'broken.onnx')
    writeFileSync(broken, 'no model')
    ask(2, { version: 'v2', file: broken })
    await logged(server, 'versions', 'version v2 does not serve, so v1 stays the default')
    expect((await infer(server, body)).body).toMatchObject({ model_version: 'v1' })
    expect((await call(server, '/v2/health/ready')).status).toBe(200)
    expect((await call(server, '/v2/models/m/versions/v2/ready')).body).toMatchObject({
      ready: false,
      reason: expect.stringContaining('it could not be loaded: ONNX Runtime cannot read'),
    })
    expect(await askVersion(server, 'v2')).toBe(503)

    writeFileSync(path, '{"current":"v9"')
    await logged(server, 'versions', 'the versions stay as they are')
    ask(1, { ...spec(1), file: adding(7) })
    await logged(server, 'versions', 'version v1 is served from another file')
    expect(await askVersion(server, 'v1')).toBe(1)
    ask(2, spec(2))
    while ((await infer(server, body)).body.model_version !== 'v2') await sleep(20)
    await server.stop()
  })
})
