import { afterAll, afterEach, expect, jest, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addModel } from '../test/fixtures/onnx.ts'
import { call, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(60_000)

const folder = mkdtempSync(join(tmpdir(), 'slipway-warmup-'))
const file = join(folder, 'request.json')
let server: Server | undefined
afterEach(() => server?.stop())
afterEach(() => rmSync(file, { force: true }))
afterAll(() => rmSync(folder, { recursive: true }))

const input = (name: string, shape: string): string =>
  `{"name":"${name}","datatype":"FP32","shape":${shape},"data":[1,2,3,4]}`

test('a model is warmed up by the request that was given, and gives it as its example', async () => {
  writeFileSync(file, `{"inputs":[${input('b', '[1,4]')},${input('a', '[1,4]')}]}`)
  server = await startServer(addModel(), { SLIPWAY_WARMUP_FILE: file })
  await server.ready()
  const loaded = server.log.find((line) => line['event.action'] === 'loaded')
  expect(loaded).toMatchObject({ 'model.self_test': 'ran on the request in SLIPWAY_WARMUP_FILE' })
  expect(loaded?.message).toContain('warmed up by 20 runs')
  expect((await call(server, '/v2/models/m/example')).status).toBe(200)
})

test.each([
  ['that the model refuses', `{"inputs":[${input('a', '[4]')},${input('b', '[1,4]')}]}`, 'inputs[0].shape'],
  ['that is none', 'hello', 'not valid JSON'],
  ['that is not there', undefined, 'no such file'],
])('a request %s keeps the pod from its users, with the reason', async (_name, text, words) => {
  if (text !== undefined) writeFileSync(file, text)
  server = await startServer(addModel(), { SLIPWAY_WARMUP_FILE: file })
  expect((await server.finished).code).toBe(1)
  expect(server.termination()).toMatchObject({ ok: false, message: expect.stringContaining(words) })
})
