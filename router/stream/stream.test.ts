import { mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { createConnection } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import protobuf from 'protobufjs'
import { agentSocket } from '../xds/bootstrap.ts'
import { decodeRequest, encodeResponse, kinds, type Request } from './discovery.ts'
import { encode, encodeAny, EncodeError } from './encode.ts'
import { serveDiscovery, type DiscoveryStream } from './server.ts'
import { fieldsOf, WireError, Writer } from './wire.ts'

/** The two messages as an implementation that others wrote reads and writes them. */
const { root } = protobuf.parse(
  `syntax = "proto3";
  message Status { int32 code = 1; string message = 2; }
  message Any { string type_url = 1; bytes value = 2; }
  message Resource { string version = 1; Any resource = 2; string name = 3; }
  message Node { string id = 1; double weight = 2; fixed32 mark = 3; }
  message Request { Node node = 1; string type_url = 2; repeated string resource_names_subscribe = 3;
    repeated string resource_names_unsubscribe = 4; map<string, string> initial_resource_versions = 5;
    string response_nonce = 6; Status error_detail = 7; }
  message Response { string system_version_info = 1; repeated Resource resources = 2; string type_url = 4;
    string nonce = 5; repeated string removed_resources = 6; }`,
  { keepCase: true },
)
const theirs = (name: string): protobuf.Type => root.lookupType(name)
const asked = (fields: object): Buffer => Buffer.from(theirs('Request').encode(fields).finish())

describe('what Envoy says', () => {
  test('is read as it was written, whatever stands in it', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1 })
    const versions = fc.uniqueArray(fc.tuple(name, name), { selector: ([key]) => key, maxLength: 4 })
    const said = fc.tuple(fc.array(name), fc.array(name), versions, fc.string())
    fc.assert(
      fc.property(said, ([subscribe, unsubscribe, has, nonce]) => {
        const bytes = asked({
          node: { id: 'router-0', weight: 1.5, mark: 7 },
          type_url: kinds.routes,
          resource_names_subscribe: subscribe,
          resource_names_unsubscribe: unsubscribe,
          initial_resource_versions: Object.fromEntries(has),
          response_nonce: nonce,
        })
        const expected: Request = {
          kind: 'routes',
          subscribe,
          unsubscribe,
          has: new Map(Object.entries(Object.fromEntries(has))),
          nonce,
        }
        expect(decodeRequest(bytes)).toEqual(expected)
      }),
    )
  })

  test('a refusal has its reason, even one that says nothing', () => {
    const refused = (error_detail: object): string | undefined =>
      decodeRequest(asked({ type_url: kinds.cluster, response_nonce: '3', error_detail })).refusal
    expect(refused({ code: 13, message: 'cannot bind' })).toBe('cannot bind')
    expect(refused({ code: 13 })).toBe('it says nothing more')
    expect(decodeRequest(asked({ type_url: 'type.googleapis.com/x.Secret' })).kind).toBeUndefined()
  })

  test('garbage is an error that says where, and never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeRequest(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
      }),
    )
  })
})

describe('what Envoy is told', () => {
  const message = { '@type': kinds.endpoints, cluster_name: 'a', endpoints: [] }

  test('is a resource with its version, or the name of one that goes', () => {
    const told = theirs('Response').decode(
      encodeResponse({ kind: 'endpoints', nonce: '9', resource: { name: 'a', version: 'v1', message } }),
    )
    expect(told.toJSON()).toEqual({
      system_version_info: 'v1',
      resources: [{ version: 'v1', name: 'a', resource: { type_url: kinds.endpoints, value: 'CgFh' } }],
      type_url: kinds.endpoints,
      nonce: '9',
    })
    const gone = theirs('Response').decode(encodeResponse({ kind: 'cluster', nonce: '10', removed: 'a' }))
    expect(gone.toJSON()).toEqual({ type_url: kinds.cluster, nonce: '10', removed_resources: ['a'] })
  })

  test('numbers of every size are what protobuf calls them', () => {
    const { root: numbers } = protobuf.parse('syntax = "proto3"; message N { uint64 n = 1; double d = 2000; }')
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.double({ noNaN: true }), (n, d) => {
        const bytes = new Writer().uint(1, n).double(2000, d).done()
        const read = numbers.lookupType('N').decode(bytes).toJSON() as { n: string; d: number | string }
        expect([Number(read.n), Number(read.d)]).toEqual([n, Object.is(d, -0) ? Number(read.d) : d])
        expect([...fieldsOf(bytes)][0]).toEqual({ field: 1, value: n })
      }),
    )
  })

  test.each<[string, () => unknown, string]>([
    [
      'a field that Envoy does not have',
      () => encode('envoy.config.cluster.v3.Cluster', { nam: 'a' }),
      'Cluster.nam: ',
    ],
    ['a message that is not in the tables', () => encode('x.Y', {}), 'x.Y: the tables'],
    ['a wrong type', () => encode('envoy.config.cluster.v3.Cluster', { name: 7 }), '7 is no text'],
    ['a wrong list', () => encode('envoy.config.route.v3.VirtualHost', { domains: '*' }), '"*" is no list'],
    ['a wrong enum', () => encode('envoy.config.cluster.v3.Cluster', { type: 'DNS' }), '"DNS" is none of EDS'],
    [
      'a wrong duration',
      () => encode('envoy.config.cluster.v3.Cluster', { connect_timeout: '1m' }),
      '"1m" is no duration',
    ],
    ['an Any without its type', () => encodeAny({ name: 'a' }), 'without "@type"'],
  ])('%s is an error that names it', (_, put, words) => {
    expect(put).toThrow(EncodeError)
    expect(put).toThrow(words)
  })
})

describe('the socket on which Envoy asks', () => {
  let folder = ''
  let server: { close(): Promise<void> }
  let session: ClientHttp2Session
  const heard: [DiscoveryStream, Request][] = []
  const opened: DiscoveryStream[] = []
  const method = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-stream-'))
    heard.length = opened.length = 0
    server = await serveDiscovery(folder, {
      opened: (stream) => opened.push(stream),
      heard: (stream, request) => heard.push([stream, request]),
    })
    session = connect('http://agent', { createConnection: () => createConnection(join(folder, agentSocket)) })
  })

  afterEach(async () => {
    session.destroy()
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })

  const call = (path = method): ClientHttp2Stream =>
    session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' })

  const framed = (message: Buffer, flag = 0): Buffer => {
    const head = Buffer.alloc(5)
    head.writeUInt8(flag)
    head.writeUInt32BE(message.length, 1)
    return Buffer.concat([head, message])
  }

  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  test('is for its own user alone', async () => {
    expect(((await stat(join(folder, agentSocket))).mode & 0o777).toString(8)).toBe('600')
  })

  test('messages are whole however they are cut, and answers come on the same stream', async () => {
    const stream = call()
    const bytes = Buffer.concat([
      framed(asked({ type_url: kinds.cluster })),
      framed(asked({ type_url: kinds.listener, response_nonce: '1' })),
    ])
    for (const byte of bytes) stream.write(Buffer.from([byte]))
    await until(() => heard.length === 2)
    expect(heard.map(([, { kind, nonce }]) => [kind, nonce])).toEqual([
      ['cluster', ''],
      ['listener', '1'],
    ])
    const answer = once(stream, 'data') as Promise<[Buffer]>
    opened[0]?.send({ kind: 'cluster', nonce: '2' })
    const [frame] = await answer
    expect(theirs('Response').decode(frame.subarray(5)).toJSON()).toEqual({ type_url: kinds.cluster, nonce: '2' })
    stream.close()
    await until(() => opened[0]?.isOpen === false)
    opened[0]?.send({ kind: 'cluster', nonce: '3' })
  })

  test.each([
    ['no protobuf', framed(Buffer.from([0xff])), 'cut off'],
    ['compressed', framed(Buffer.from([0]), 1), 'compressed'],
    ['too long', Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), 'over the limit'],
  ])('what is %s ends the stream with a reason, and no other', async (_, bytes, words) => {
    const stream = call()
    stream.resume()
    const trailers = once(stream, 'trailers') as Promise<[Record<string, string>]>
    stream.write(bytes)
    const [{ 'grpc-status': status, 'grpc-message': message }] = await trailers
    expect([status, message?.includes(words)]).toEqual(['3', true])
    const other = call()
    other.write(framed(asked({ type_url: kinds.cluster })))
    await until(() => heard.length === 1)
  })

  test('another method is not there', async () => {
    const [headers] = (await once(call('/grpc.health.v1.Health/Check'), 'response')) as [Record<string, string>]
    expect(headers['grpc-status']).toBe('12')
  })
})
