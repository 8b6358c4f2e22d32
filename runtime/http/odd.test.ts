import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { connect } from 'node:net'
import { addModel } from '../../test/fixtures/onnx.ts'
import { startServer, type Server } from '../../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

let server: Server
beforeAll(async () => {
  server = await startServer(addModel())
  await server.ready()
})
afterAll(() => server.stop())

const tensors = ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }))
const body = JSON.stringify({ inputs: tensors })
const length = `content-length: ${body.length}`
const chunked = 'transfer-encoding: chunked'
const path = '/v2/models/m/infer'

/** Sends lines of HTTP as they are, and reads to the end of the connection, which the last request must ask for. */
const exchange = (...lines: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8').on('data', (text) => (answer += String(text)))
    socket.on('close', () => resolve(answer)).on('error', reject)
    socket.write(lines.join('\r\n'))
  })

const post = (target: string, ...headers: readonly string[]): readonly string[] => [
  `POST ${target} HTTP/1.1`,
  'connection: close',
  ...headers,
  '',
  body,
]
const statusesOf = (answer: string): number[] =>
  [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => Number(code))
const errorOf = (answer: string): string =>
  (JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as { error: string }).error

test.each<[string, readonly string[]]>([
  ['an address in absolute form', post(`http://models.example${path}`, 'host: models.example', length)],
  ['an address in absolute form, with a query', post(`HTTP://x:80${path}?a=/b?c`, 'host: x', length)],
  ['an expectation that nobody knows', post(path, 'host: x', length, 'expect: a-miracle')],
  ['HTTP/1.0', [`POST ${path} HTTP/1.0`, length, '', body]],
  ['an IPv6 host', post(path, 'host: [::1]:8080', length)],
  ['names of headers in capitals', post(path, 'HOST: x', length.toUpperCase())],
  [
    'extensions of chunks and trailers',
    [
      ...post(path, 'host: x', chunked).slice(0, -1),
      `${body.length.toString(16)};a=b`,
      body,
      '0;c',
      'x-end: 1',
      '',
      '',
    ],
  ],
])('a request with %s is answered', async (_name, lines) => {
  const answer = await exchange(...lines)
  expect(statusesOf(answer)).toEqual([200])
  expect(answer).toContain('"data":[2,4,6,8]')
})

test.each<[string, string, RegExp]>([
  ['/v2/health/live', '{"live":true}', /^HTTP\/1\.1 200/],
  ['/v2/models/m/ready', '{"name":"m","ready":true}', /^HTTP\/1\.1 200/],
  ['/v2/models/m', '"name":"m"', /^HTTP\/1\.1 200/],
  ['', '{"status":"alive"}', /^HTTP\/1\.1 200/],
  ['?x', '{"status":"alive"}', /^HTTP\/1\.1 200/],
])('http://x%s, in absolute form, is read as it is', async (target, words, status) => {
  const answer = await exchange(`GET http://x${target} HTTP/1.1`, 'host: x', 'connection: close', '', '')
  expect(answer).toMatch(status)
  expect(answer).toContain(words)
})

test.each<[string, readonly string[], string]>([
  ['no host', post(path, length), 'Host'],
  ['a length and chunks', post(path, 'host: x', length, chunked), 'Transfer-Encoding'],
  ['chunks and a length', post(path, 'host: x', chunked, length), 'Content-Length'],
  ['two lengths', post(path, 'host: x', length, length), 'Content-Length'],
  ['two lengths in one', post(path, 'host: x', `${length}, ${body.length}`), 'Content-Length'],
  ['chunks twice', post(path, 'host: x', chunked, chunked), 'Transfer-Encoding'],
  ['a name of a header before a space', post(path, 'host: x', length, 'x-a : b'), 'header'],
])('a request with %s is refused as broken HTTP, in JSON', async (_name, lines, word) => {
  const answer = await exchange(...lines)
  expect(statusesOf(answer)).toEqual([400])
  expect(errorOf(answer)).toContain('the request is not valid HTTP')
  expect(errorOf(answer)).toContain(word)
})

/** A request as one piece of text, whose connection stays open. */
const kept = (target: string, content: string): string =>
  [`POST ${target} HTTP/1.1`, 'host: x', `content-length: ${content.length}`, '', content].join('\r\n')

test('requests that come before their turn are answered in their turn', async () => {
  const answers = await exchange(kept(path, body) + kept(path, '{}') + post(path, 'host: x', length).join('\r\n'))
  expect(statusesOf(answers)).toEqual([200, 400, 200])
})

test.each([
  ['a model that is not there', '/v2/models/other/infer', 404],
  ['an address that takes no such method', '/v2/health/live', 405],
])('a refusal for %s keeps the connection, where the body is short', async (_name, target, status) => {
  const answers = await exchange(kept(target, body) + post(path, 'host: x', length).join('\r\n'))
  expect(statusesOf(answers)).toEqual([status, 200])
})

test('who does not send the rest of a request that is refused is cut off', async () => {
  const answers = await exchange(
    'POST /v2/models/other/infer HTTP/1.1',
    'host: x',
    'content-length: 1000',
    '',
    'ten bytes.',
  )
  expect(statusesOf(answers)).toEqual([404])
})

test('the metrics are there whatever a scraper asks with', async () => {
  expect((await fetch(`${server.metricsUrl}?format=text`)).status).toBe(200)
})
