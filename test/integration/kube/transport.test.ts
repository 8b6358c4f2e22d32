// The transport and the reflector behind a front that plays faults before a real API server: what is tried again, how
// often, what is not, and that nothing ever stops for good.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { KubeClient } from '../../../operator/kube/client.ts'
import { serviceAccountCredentials } from '../../../operator/kube/credentials.ts'
import { ConnectionError, FencedError, StatusError } from '../../../operator/kube/errors.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { configmaps, type ConfigMap } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import { Transport, type TransportOptions } from '../../../operator/kube/transport.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { startFront, type Front } from './front.ts'
import { configMap, connect, createNamespace, until, type Connected } from './server.ts'

let direct: Connected
let namespace: string
let front: Front
let directory: string
let client: KubeClient
let registry: Registry
const endings: (() => unknown)[] = []

beforeAll(async () => {
  direct = await connect()
  namespace = await createNamespace(direct.client)
  await direct.client.create(configmaps, configMap(namespace, 'there'))
})

afterAll(() => direct.close())

beforeEach(async () => {
  front = await startFront()
  endings.push(front.close)
  directory = await mkdtemp(join(tmpdir(), 'account-'))
  endings.push(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'token'), 'first')
  await writeFile(join(directory, 'ca.crt'), '')
  client = await through({})
})

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

/** A client with the token of the directory, through the front. */
const through = async (more: Partial<TransportOptions>): Promise<KubeClient> => {
  registry = new Registry()
  const credentials = await serviceAccountCredentials(front.server, directory)
  const transport = new Transport({ credentials, registry, ...more })
  endings.push(() => transport.close())
  return new KubeClient(transport)
}

const read = () => client.get(configmaps, namespace, 'there')
const write = () => client.apply(configmaps, configMap(namespace, 'written', { data: { a: '1' } }))
const lines = (part: string): string[] => front.requests.map(({ line }) => line).filter((line) => line.includes(part))

const busy = (retryAfter?: string) => ({
  status: 429,
  headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter },
  body: JSON.stringify({ kind: 'Status', reason: 'TooManyRequests', message: 'too many requests' }),
})

describe('a call', () => {
  test('with a token that is no longer taken is sent again with the new one, once', async () => {
    await read()
    await writeFile(join(directory, 'token'), 'second')
    front.play({ match: 'GET', times: 1, answer: { status: 401 } })
    await read()
    expect(front.requests.map(({ authorization }) => authorization)).toEqual([
      'Bearer first',
      'Bearer first',
      'Bearer second',
    ])
    front.play({ match: 'GET', times: 9, answer: { status: 401, body: 'who are you' } })
    await expect(read()).rejects.toThrow(`get configmaps ${namespace}/there: 401: who are you`)
    expect(front.requests).toHaveLength(5)
  })

  test('that the server is too busy for is sent again when it says when, reads and applies alike', async () => {
    for (const call of [read, write]) {
      front.play({ match: '/configmaps/', times: 2, answer: busy('0') })
      await call()
    }
    expect(lines('GET')).toHaveLength(3)
    expect(lines('PATCH')).toHaveLength(3)
    front.play({ match: 'GET', times: 1, answer: busy() })
    await expect(read()).rejects.toMatchObject({ code: 429 })
  })

  test('that creates is not: the server may have done it', async () => {
    front.play({ match: 'POST', times: 1, answer: busy('0') })
    await expect(client.create(configmaps, configMap(namespace, 'once'))).rejects.toMatchObject({ code: 429 })
    expect(lines('POST')).toHaveLength(1)
  })

  test('is given up after a few tries, and at once where the wait is long, with how long it would be', async () => {
    front.play({ match: 'GET', times: 99, answer: busy('0') })
    await expect(read()).rejects.toThrow(StatusError)
    expect(lines('GET')).toHaveLength(5)
    front.play({ match: 'PATCH', times: 99, answer: busy('3600') })
    await expect(write()).rejects.toMatchObject({ code: 429, retryAfterMs: 3_600_000 })
    expect(lines('PATCH')).toHaveLength(1)
  })

  test('whose connection breaks is sent again if it reads, and not if it writes', async () => {
    front.play({ match: 'GET', times: 1, answer: 'reset' })
    await read()
    expect(lines('GET')).toHaveLength(2)
    front.play({ match: 'GET', times: 9, answer: 'reset' })
    await expect(read()).rejects.toThrow(ConnectionError)
    front.play({ match: 'PATCH', times: 1, answer: 'reset' })
    await expect(write()).rejects.toThrow(ConnectionError)
    expect(lines('PATCH')).toHaveLength(1)
  })

  test('that is never answered ends by its deadline, and so does one whose answer does not end', async () => {
    front.play({ match: 'GET', times: 1, answer: 'hang' })
    front.play({ match: 'GET', times: 1, answer: 'silent' })
    for (const _ of ['hang', 'silent']) {
      await expect(client.get(configmaps, namespace, 'there', { timeoutMs: 200 })).rejects.toMatchObject({
        name: 'ConnectionError',
        code: 'Timeout',
      })
    }
    await read()
  })

  test('that is answered by something else on the way says what it said', async () => {
    front.play({ match: 'GET', times: 1, answer: { status: 502, body: '<html>Bad Gateway</html>' } })
    await expect(read()).rejects.toThrow('502: <html>Bad Gateway</html>')
    front.play({ match: 'GET', times: 1, answer: { status: 200, body: '{"kind":"Conf' } })
    await expect(read()).rejects.toMatchObject({ name: 'ConnectionError', code: 'Malformed' })
  })

  test('shares sixteen connections with all others, and is counted', async () => {
    await Promise.all(Array.from({ length: 200 }, read))
    expect(front.connections()).toBeLessThanOrEqual(16)
    const text = await registry.metrics()
    const host = new URL(front.server).host
    expect(text).toContain(`rest_client_requests_total{method="GET",host="${host}",code="200"} 200`)
    expect(text).toContain(`rest_client_request_duration_seconds_count{verb="get",host="${host}"} 200`)
  })
})

describe('the write fence', () => {
  test('lets reads through, and refuses writes with the reason', async () => {
    client.transport.setFence(() => 'someone else leads')
    await read()
    await expect(write()).rejects.toThrow(FencedError)
    await expect(client.delete(configmaps, namespace, 'there')).rejects.toThrow('someone else leads')
    expect(front.requests).toHaveLength(1)
  })

  test('stops a write that was still waiting for a connection when it closed', async () => {
    client = await through({ connections: 1 })
    let refusal: string | undefined
    client.transport.setFence(() => refusal)
    front.play({ match: 'GET', times: 1, answer: 'hang' })
    const holding = client.get(configmaps, namespace, 'there', { timeoutMs: 300 })
    const waiting = write()
    // It has passed the first check by now and waits for the only connection.
    await sleep(100)
    refusal = 'the lease is over'
    await expect(holding).rejects.toThrow(ConnectionError)
    await expect(waiting).rejects.toThrow('the lease is over')
    expect(lines('PATCH')).toEqual([])
    refusal = undefined
    await write()
  })
})

describe('a reflector', () => {
  const follow = (watchSeconds: [number, number] = [240, 300]): Store<ConfigMap> => {
    const store = new Store<ConfigMap>()
    const abort = new AbortController()
    const options = { client, type: configmaps, store, namespace, log: silent, registry, watchSeconds, watchdogMs: 200 }
    const running = new Reflector(options).run(abort.signal)
    endings.push(() => {
      abort.abort()
      return running
    })
    return store
  }

  const restarts = async (reason: string): Promise<number> => {
    const metric = await registry.getSingleMetric('reflector_watch_restarts_total')?.get()
    return metric?.values.find(({ labels }) => labels['reason'] === reason)?.value ?? 0
  }

  const change = async (store: Store<ConfigMap>): Promise<void> => {
    const { metadata } = await direct.client.mergePatch(configmaps, namespace, 'there', {
      data: { at: `${performance.now()}` },
    })
    await until(
      'the change is seen',
      () => store.get(namespace, 'there')?.metadata.resourceVersion === metadata.resourceVersion,
    )
  }

  test.each([
    ['TooManyRequests', busy()],
    ['ServerError', { status: 500, body: 'etcdserver: leader changed' }],
    ['Unauthorized', { status: 401 }],
    ['Forbidden', { status: 403, body: 'no' }],
    ['NotFound', { status: 404, body: 'no such kind' }],
    ['Connection', 'reset' as const],
  ])(
    'whose list is answered with %s lists again until it works',
    async (reason, answer) => {
      // A read that is reset, or answered 401, is sent twice before it counts.
      const twice = reason === 'Connection' || reason === 'Unauthorized'
      front.play({ match: 'configmaps?limit', times: twice ? 2 : 1, answer })
      const store = follow()
      await store.whenSynced(AbortSignal.timeout(20_000))
      expect(await restarts(reason)).toBe(1)
      await change(store)
    },
    60_000,
  )

  test.each([
    ['TooManyRequests', busy('0')],
    ['ServerError', { status: 503, body: 'shutting down' }],
    ['Gone', { status: 410, body: JSON.stringify({ reason: 'Expired', message: 'too old' }) }],
    ['Gone', { status: 200, body: `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410 } })}\n` }],
    ['Malformed', { status: 200, body: '{"type":"ADDED","obj\n' }],
    ['ClosedAtOnce', { status: 200 }],
    ['Connection', 'reset' as const],
    ['Connection', 'silent' as const],
    ['Malformed', { append: 'garbage\n' }],
  ])(
    'whose watch ends by %s goes on',
    async (reason, answer) => {
      front.play({ match: 'watch=1', times: 1, answer })
      const store = follow([2, 2])
      await store.whenSynced(AbortSignal.timeout(20_000))
      const watched = await until('it watches', () => lines('watch=1').length > 0)
      expect(watched).toBe(true)
      await change(store)
      await until(`it ended by ${reason}`, async () => (await restarts(reason)) >= 1)
      await change(store)
      // Only a version that is too old costs another list.
      expect(lines('limit=250').length).toBe(reason === 'Gone' ? 2 : 1)
    },
    60_000,
  )
})
