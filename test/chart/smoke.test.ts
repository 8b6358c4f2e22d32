import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from '@jest/globals'
import { chart } from './helm.ts'

interface Smoke {
  readonly addModel: () => Buffer
  readonly predict: (address: string, model: string) => Promise<Prediction>
  readonly serveModel: (port: number, log: (line: string) => void) => Promise<Server>
}

interface Prediction {
  readonly data: readonly number[]
  readonly version: string
  readonly revision: string | null
}

// By a computed name: the script is plain JavaScript, as it is in the ConfigMap.
const { addModel, predict, serveModel } = (await import(join(chart, 'files', 'smoke.mjs'))) as Smoke

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const addressOf = (server: Server): string => {
  servers.push(server)
  const address = server.address()
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : ''
}

/** An inference server that always says the same. */
const answering = async (status: number, body: string): Promise<string> => {
  const server = createServer((_, response) => response.writeHead(status, { 'x-slipway-revision': 'add-1' }).end(body))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return addressOf(server)
}

describe('the script of helm test', () => {
  test('writes a model that onnxruntime loads, and that adds', async () => {
    // In a process of its own: onnxruntime does not know the typed arrays of jest's sandbox for its own.
    const script = `
      import { InferenceSession, Tensor } from 'onnxruntime-node'
      const session = await InferenceSession.create(Buffer.from('${addModel().toString('base64')}', 'base64'))
      const vector = (...values) => new Tensor('float32', values, [values.length])
      const { sum } = await session.run({ a: vector(1, 2, 3), b: vector(10, 20, 30) })
      console.log([...sum.data].join(' '))`
    const said = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      timeout: 30_000,
    })
    expect(said.stdout).toBe('11 22 33\n')
  })

  test('serves that model and nothing else', async () => {
    const address = addressOf(await serveModel(0, () => {}))
    const model = await fetch(`${address}/add.onnx`)
    expect(Buffer.from(await model.arrayBuffer())).toEqual(addModel())
    expect((await fetch(`${address}/other`)).status).toBe(404)
  })

  test('takes the right sum for an answer, and says who gave it', async () => {
    const address = await answering(
      200,
      JSON.stringify({ model_version: '1', outputs: [{ name: 'sum', data: [11, 22, 33] }] }),
    )
    expect(await predict(address, 'add')).toEqual({ data: [11, 22, 33], version: '1', revision: 'add-1' })
  })

  test.each([
    ['a wrong sum', 200, JSON.stringify({ outputs: [{ name: 'sum', data: [11, 22, 34] }] }), /wrong answer/],
    ['no output', 200, '{}', /wrong answer/],
    ['a status other than 200', 503, '{"error":"not ready"}', /HTTP 503: {"error":"not ready"}/],
  ])('does not take %s', async (_, status, body, message) => {
    await expect(predict(await answering(status, body), 'add')).rejects.toThrow(message)
  })
})
