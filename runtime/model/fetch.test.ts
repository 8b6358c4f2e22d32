import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createStore } from '../../test/modelstore/server.ts'
import { Fault } from '../errors.ts'
import { fetchModel, type FetchOptions } from './fetch.ts'

/** Larger than the buffers between server and client, so that a cut comes in the middle. */
const model = randomBytes(3_000_001)
const digest = `sha256:${createHash('sha256').update(model).digest('hex')}`
const root = mkdtempSync(join(tmpdir(), 'slipway-fetch-'))
const servers: Server[] = []
let store: string
let folder: string
let file: string

const serve = async (listener: RequestListener): Promise<string> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeAll(async () => {
  mkdirSync(join(root, 'files'))
  writeFileSync(join(root, 'files', 'm.onnx'), model)
  writeFileSync(join(root, 'files', 'other.onnx'), Buffer.concat([model, Buffer.from('more')]))
  store = await serve(createStore(join(root, 'files')))
})
afterAll(() => {
  for (const server of servers) {
    server.close()
    server.closeAllConnections()
  }
  rmSync(root, { recursive: true })
})
beforeEach(() => {
  folder = mkdtempSync(join(root, 'target-'))
  file = join(folder, 'model.onnx')
})

const get = (uri: string, options: Partial<FetchOptions> = {}) =>
  fetchModel({
    uri,
    file,
    digest: undefined,
    maxBytes: undefined,
    pvcRoot: join(root, 'files'),
    timeoutMs: 300,
    attempts: 3,
    backoffMs: 1,
    ...options,
  })

/** The refusal, after making sure that nothing was left that could be taken for a model. */
const refusal = async (uri: string, options: Partial<FetchOptions> = {}): Promise<Fault> => {
  const error: unknown = await get(uri, options).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Fault)
  expect(readdirSync(folder)).toEqual([])
  return error as Fault
}

/** The whole model is there under its name, and nothing else. */
const arrived = (): boolean => readFileSync(file).equals(model) && readdirSync(folder).join(' ') === 'model.onnx'

describe('a file over HTTP', () => {
  test('arrives whole, with its digest', async () => {
    expect(await get(`${store}/models/m.onnx`, { digest })).toEqual({ digest, sizeBytes: model.length })
    expect(arrived()).toBe(true)
  })

  test('may come without a length, through redirects, and slowly', async () => {
    await get(`${store}/faults/nolength/m.onnx`)
    expect(arrived()).toBe(true)
    await get(`${store}/faults/redirect?to=${encodeURIComponent('/faults/redirect?to=/models/m.onnx')}`, { digest })
    expect(arrived()).toBe(true)
    await get(`${store}/faults/slow/m.onnx?bytesPerSecond=20000000`, { digest })
    expect(arrived()).toBe(true)
  })

  test('goes on where a cut connection ended', async () => {
    const ranges: (string | undefined)[] = []
    const half = Math.floor(model.length / 2)
    const uri = await serve(({ headers }, response) => {
      ranges.push(headers.range)
      if (headers.range === undefined) {
        response.writeHead(200, { 'content-length': model.length, etag: '"one"' })
        response.write(model.subarray(0, half), () => setTimeout(() => response.destroy(), 20))
        return
      }
      expect(headers['if-range']).toBe('"one"')
      const start = Number(/\d+/.exec(headers.range)?.[0])
      const rest = model.subarray(start)
      response.writeHead(206, {
        'content-length': rest.length,
        'content-range': `bytes ${start}-${model.length - 1}/${model.length}`,
        etag: '"one"',
      })
      response.end(rest)
    })
    await get(`${uri}/m.onnx`, { digest })
    expect(arrived()).toBe(true)
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/)])
  })

  test.each(['', '?times=2', '?range=ignore'])(
    'survives cut connections of an ordinary file server%s',
    async (query) => {
      await get(`${store}/faults/truncate/m.onnx${query}`, { digest })
      expect(arrived()).toBe(true)
    },
  )

  test('is never a mixture of two files when it changed in between', async () => {
    const other = readFileSync(join(root, 'files', 'other.onnx'))
    const fetched = await get(`${store}/faults/truncate/m.onnx?then=other.onnx`)
    expect(fetched.sizeBytes).toBe(other.length)
    expect(readFileSync(file).equals(other)).toBe(true)
  })

  test('starts again when nothing proves that the rest belongs to it', async () => {
    let tries = 0
    const uri = await serve(({ headers }, response) => {
      expect(headers.range).toBeUndefined()
      tries += 1
      response.writeHead(200, { 'content-length': model.length, etag: 'W/"weak"' })
      if (tries > 1) response.end(model)
      else response.write(model.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 20))
    })
    await get(`${uri}/m.onnx`, { digest })
    expect(arrived()).toBe(true)
    expect(tries).toBe(2)
  })

  test('is tried again after a passing failure', async () => {
    let tries = 0
    const retries: string[] = []
    const uri = await serve((_request, response) => {
      tries += 1
      if (tries < 3) response.writeHead(503).end()
      else response.end(model)
    })
    await get(`${uri}/m.onnx`, { digest, onRetry: (reason) => retries.push(reason) })
    expect(arrived()).toBe(true)
    expect(retries).toEqual(['the server answered 503', 'the server answered 503'])
  })

  test.each([
    ['/models/none.onnx', 'ModelNotFound', 'the server answered 404 for'],
    ['/faults/410', 'ModelNotFound', 'answered 410'],
    ['/faults/401', 'ModelForbidden', 'answered 401'],
    ['/faults/403', 'ModelForbidden', 'let this cluster read the file'],
    ['/faults/418', 'ModelUnreachable', 'answered 418'],
    ['/faults/loop', 'ModelUnreachable', 'redirected more than 5 times'],
    ['/faults/redirect?to=file:///etc/passwd', 'UnsupportedUri', 'redirects to file:///etc/passwd'],
    ['/faults/gzip/m.onnx', 'ModelInvalid', 'content-encoding gzip'],
  ])('at %s is refused at once as %s', async (path, code, words) => {
    const retries: string[] = []
    const {
      code: found,
      message,
      retryable,
    } = await refusal(store + path, { onRetry: (reason) => retries.push(reason) })
    expect({ found, retryable, retries }).toEqual({ found: code, retryable: false, retries: [] })
    expect(message).toContain(words)
  })

  test.each([
    ['/faults/hang', 'the server took the connection and did not answer in time (tried 3 times)'],
    ['/faults/reset', '(tried 3 times)'],
    ['/faults/500', 'the server answered 500 (tried 3 times)'],
    ['/faults/truncate/m.onnx?times=1000&range=ignore', '(tried 3 times)'],
  ])('at %s is given up after a few tries, and may be tried later', async (path, words) => {
    const { code, message, retryable } = await refusal(store + path, { backoffMs: 1 })
    expect({ code, retryable }).toEqual({ code: 'ModelUnreachable', retryable: true })
    expect(message).toContain(words)
  })

  test('of a server that stops in the middle is given up', async () => {
    const uri = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': model.length })
      response.write(model.subarray(0, 1000))
    })
    expect((await refusal(`${uri}/m.onnx`)).message).toContain('stopped sending in the middle of the file')
  })

  test('of a host that refuses or does not exist is named', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    expect((await refusal(`http://127.0.0.1:${port}/m.onnx`)).message).toContain('the host refuses the connection')
    const missing = await refusal('http://no-such-host.invalid/m.onnx')
    expect(missing.code).toBe('ModelUnreachable')
    expect(missing.message).toMatch(/the host name (is not known|could not be looked up)/)
  })

  test('of another digest is refused with both digests, also behind a redirect', async () => {
    const uri = `${store}/faults/redirect?to=/models/other.onnx`
    const { code, message } = await refusal(uri, { digest })
    expect(code).toBe('DigestMismatch')
    expect(message).toContain(digest)
    expect(message).toMatch(/has the digest sha256:[0-9a-f]{64}, but/)
  })

  test('that is too large is refused by its announcement, or as soon as it is', async () => {
    const announced = await refusal(`${store}/models/m.onnx`, { maxBytes: 1_000_000 })
    expect(announced).toMatchObject({
      code: 'ModelTooLarge',
      message: expect.stringContaining('has 2.9 MiB, and at most 976.6 KiB'),
    })
    const streamed = await refusal(`${store}/faults/nolength/m.onnx`, { maxBytes: 1_000_000 })
    expect(streamed).toMatchObject({ code: 'ModelTooLarge', message: expect.stringContaining('more than 976.6 KiB') })
  })

  test('that cannot fit on the disk is refused before it is fetched', async () => {
    const uri = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 2 ** 50 })
      response.write('x')
    })
    const { code, message } = await refusal(`${uri}/m.onnx`)
    expect(code).toBe('StorageFull')
    expect(message).toMatch(/the model needs 1024 TiB, and .* has .* free/)
  })

  test('ends what an earlier, interrupted fetch left behind', async () => {
    writeFileSync(`${file}.part`, 'half a model')
    await get(`${store}/models/m.onnx`, { digest })
    expect(arrived()).toBe(true)
  })
})

describe('a file in a claim', () => {
  test('is copied and verified', async () => {
    expect(await get('pvc://claim/m.onnx', { digest })).toEqual({ digest, sizeBytes: model.length })
    expect(arrived()).toBe(true)
  })

  test('that is missing, a folder or another one is refused', async () => {
    expect(await refusal('pvc://claim/none.onnx')).toMatchObject({
      code: 'ModelNotFound',
      message: expect.stringContaining('there is no file none.onnx in the claim claim'),
    })
    mkdirSync(join(root, 'files', 'folder'), { recursive: true })
    expect(await refusal('pvc://claim/folder')).toMatchObject({ code: 'ModelNotFound' })
    expect(await refusal('pvc://claim/other.onnx', { digest })).toMatchObject({ code: 'DigestMismatch' })
    expect(await refusal('pvc://claim/m.onnx', { maxBytes: 10 })).toMatchObject({ code: 'ModelTooLarge' })
  })

  test('outside of it is never read, whatever links it holds', async () => {
    writeFileSync(join(root, 'secret'), 'secret')
    symlinkSync(join(root, 'secret'), join(root, 'files', 'link.onnx'))
    symlinkSync('m.onnx', join(root, 'files', 'inside.onnx'))
    expect(await refusal('pvc://claim/../secret')).toMatchObject({ code: 'UnsupportedUri' })
    expect(await refusal('pvc://claim/link.onnx')).toMatchObject({
      code: 'UnsupportedUri',
      message: expect.stringContaining('leads out of the claim'),
    })
    await get('pvc://claim/inside.onnx', { digest })
    expect(existsSync(file)).toBe(true)
  })
})
