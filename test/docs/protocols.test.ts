// The examples of docs/protocols.md, run as they are printed against a server of the model they describe.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { addModel } from '../fixtures/onnx.ts'
import { startServer, type Server } from '../fixtures/runtime.ts'

jest.setTimeout(120_000)

const page = readFileSync(join(import.meta.dirname, '../../docs/protocols.md'), 'utf8')
/** Each shell block with the JSON block that follows it. */
const examples = [...page.matchAll(/```sh\n(.*?)```\n\n```json\n(.*?)```/gs)].map(([, command = '', answer = '']) => ({
  command: command.trim(),
  answer: answer.trim(),
  name: command.trim().split('\n')[0]?.slice(0, 100),
}))

let server: Server
beforeAll(async () => {
  server = await startServer(addModel(), { SLIPWAY_MODEL_NAME: 'add', SLIPWAY_MODEL_VERSION: 'v8' })
  await server.ready()
})
afterAll(() => server.stop())

describe('docs/protocols.md', () => {
  test('has an answer for every command', () => {
    expect(examples).toHaveLength(page.split('```sh').length - 1)
    expect(examples.length).toBeGreaterThan(10)
  })

  test.each(examples)('$name', async ({ command, answer }) => {
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      command.replaceAll('localhost:8080', new URL(server.url).host),
    ])
    expect(stdout.trim()).toBe(answer)
  })
})
