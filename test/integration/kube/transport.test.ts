// The transport and the reflector behind a proxy that plays faults before a real API server: what is tried again, how
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
import { Reflector, type ReflectorOptions } from '../../../operator/kube/reflector.ts'
import { configmaps, type ConfigMap } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import { Transport, type TransportOptions } from '../../../operator/kube/transport.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import type { Asked } from '../../proxy/asked.ts'
import type { Fault } from '../../proxy/fault.ts'
import { startProxy, type Proxy } from '../../proxy/proxy.ts'
import { configMap, connect, createNamespace, credentials, until, type Connected } from './server.ts'

let direct: Connected
let namespace: string
let proxy: Proxy
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
  proxy = await startProxy(await upstream())
  endings.push(() => proxy.close())
  directory = await mkdtemp(join(tmpdir(), 'account-'))
  endings.push(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'token'), 'first')
  await writeFile(join(directory, 'ca.crt'), '')
  client = await through({})
})

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

/** Requests with any token go as the administrator. */
const upstream = async () => {
  const known = await credentials()
  return { server: known.server, tls: (await known.current()).tls, impersonate: true }
}

/** A client with the token of the directory, through the proxy. */
const through = async (more: Partial<TransportOptions>): Promise<KubeClient> => {
  registry = new Registry()
  const credentials = await serviceAccountCredentials(proxy.server, directory)
  const transport = new Transport({ credentials, registry, ...more })
  endings.push(() => transport.close())
  return new KubeClient(transport)
}

const read = () => client.get(configmaps, namespace, 'there')
const write = () => client.apply(configmaps, configMap(namespace, 'written', { data: { a: '1' } }))
const on =
  (...verbs: readonly Asked['verb'][]) =>
  (asked: Asked): boolean =>
    verbs.includes(asked.verb)
const sent = (verb: Asked['verb']): number => proxy.requests.filter(({ asked }) => asked.verb === verb).length
const busy = (retryAfterSeconds?: number): Fault => ({
  fault: 'status',
  code: 429,
  ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
})

describe('a call', () => {
  test('with a token that is no longer taken is sent again with the new one, once', async () => {
    await read()
    await writeFile(join(directory, 'token'), 'second')
    proxy.play({ when: on('get'), times: 1, fault: { fault: 'status', code: 401 } })
    await read()
    expect(proxy.requests.map(({ authorization }) => authorization)).toEqual([
      'Bearer first',
      'Bearer first',
      'Bearer second',
    ])
    proxy.play({ when: on('get'), fault: { fault: 'status', code: 401, message: 'who are you' } })
    await expect(read()).rejects.toThrow(`get configmaps ${namespace}/there: 401: who are you`)
    expect(proxy.requests).toHaveLength(5)
  })

  test('that the server is too busy for is sent again when it says when, reads and applies alike', async () => {
    for (const call of [read, write]) {
      proxy.play({ when: on('get', 'patch'), times: 2, fault: busy(0) })
      await call()
    }
    expect(sent('get')).toBe(3)
    expect(sent('patch')).toBe(3)
    proxy.play({ when: on('get'), times: 1, fault: busy() })
    await expect(read()).rejects.toMatchObject({ code: 429 })
  })

  test('that creates is not: the server may have done it', async () => {
    proxy.play({ when: on('create'), times: 1, fault: busy(0) })
    await expect(client.create(configmaps, configMap(namespace, 'once'))).rejects.toMatchObject({ code: 429 })
    expect(sent('create')).toBe(1)
  })

  test('is given up after a few tries, and at once where the wait is long, with how long it would be', async () => {
    proxy.play({ when: on('get'), fault: busy(0) })
    await expect(read()).rejects.toThrow(StatusError)
    expect(sent('get')).toBe(5)
    proxy.play({ when: on('patch'), fault: busy(3600) })
    await expect(write()).rejects.toMatchObject({ code: 429, retryAfterMs: 3_600_000 })
    expect(sent('patch')).toBe(1)
  })

  test('is not sent again when that would be after its deadline', async () => {
    proxy.play({ when: on('get'), fault: busy(2) })
    await expect(client.get(configmaps, namespace, 'there', { timeoutMs: 500 })).rejects.toMatchObject({ code: 429 })
    // It might come again after two seconds; the caller has half of one.
    expect(sent('get')).toBe(1)
  })

  test('that is sent again is counted by what it was answered with', async () => {
    proxy.play({ when: on('get'), times: 2, fault: busy(0) })
    await read()
    const host = new URL(proxy.server).host
    expect(await registry.metrics()).toContain(
      `rest_client_request_retries_total{code="429",verb="get",host="${host}"} 2`,
    )
  })

  test('whose connection breaks is sent again if it reads, and not if it writes', async () => {
    proxy.play({ when: on('get'), times: 1, fault: { fault: 'reset' } })
    await read()
    expect(sent('get')).toBe(2)
    proxy.play({ when: on('get'), fault: { fault: 'reset' } })
    await expect(read()).rejects.toThrow(ConnectionError)
    proxy.play({ when: on('patch'), times: 1, fault: { fault: 'reset' } })
    await expect(write()).rejects.toThrow(ConnectionError)
    expect(sent('patch')).toBe(1)
  })

  test('that is never answered ends by its deadline, and so does one whose answer does not end', async () => {
    for (const fault of ['halfOpen', 'headersOnly'] as const) {
      proxy.play({ when: on('get'), times: 1, fault: { fault } })
      await expect(client.get(configmaps, namespace, 'there', { timeoutMs: 200 })).rejects.toMatchObject({
        name: 'ConnectionError',
        code: 'Timeout',
      })
    }
    await read()
  })

  test('that is answered by something else on the way says what it said', async () => {
    proxy.play({ when: on('get'), times: 1, fault: { fault: 'answer', code: 502, body: '<html>Bad Gateway</html>' } })
    await expect(read()).rejects.toThrow('502: <html>Bad Gateway</html>')
    proxy.play({ when: on('get'), times: 1, fault: { fault: 'answer', code: 200, body: '{"kind":"Conf' } })
    await expect(read()).rejects.toMatchObject({ name: 'ConnectionError', code: 'Malformed' })
  })

  test('that writes and is answered by something else on the way has failed as any, however well that says it went', async () => {
    for (const body of ['<html>Sorry</html>', '{"kind":"Conf', '{"status":"maintenance"}', '[]', '']) {
      for (const [verb, call] of [
        ['get', read],
        ['patch', write],
        ['delete', () => client.delete(configmaps, namespace, 'there')],
      ] as const) {
        proxy.play({ when: on(verb), times: 1, fault: { fault: 'answer', code: 200, body } })
        await expect(call()).rejects.toMatchObject({ name: 'ConnectionError', code: 'Malformed' })
      }
    }
    await read()
  })

  test('that waits for its credentials, a plugin that hangs for instance, ends by its deadline too', async () => {
    const known = await serviceAccountCredentials(proxy.server, directory)
    const hanging = new Promise<never>(() => {})
    for (const credentials of [
      { ...known, current: () => hanging },
      { ...known, refresh: () => hanging },
    ]) {
      const transport = new Transport({ credentials })
      endings.push(() => transport.close())
      proxy.play({ when: on('get'), times: 1, fault: { fault: 'status', code: 401 } })
      const options = { timeoutMs: 200 }
      await expect(new KubeClient(transport).get(configmaps, namespace, 'there', options)).rejects.toMatchObject({
        name: 'ConnectionError',
        code: 'Timeout',
      })
    }
  })

  test('shares sixteen connections with all others, and is counted', async () => {
    await Promise.all(Array.from({ length: 200 }, read))
    expect(proxy.connections).toBeLessThanOrEqual(16)
    const text = await registry.metrics()
    const host = new URL(proxy.server).host
    expect(text).toContain(`rest_client_requests_total{method="GET",host="${host}",code="200"} 200`)
    expect(text).toContain(`rest_client_request_duration_seconds_count{verb="get",host="${host}"} 200`)
  })
})

describe('the write fence', () => {
  const fenced = async (): Promise<number | undefined> =>
    (await registry.getSingleMetric('rest_client_fenced_writes_total')?.get())?.values[0]?.value

  test('lets reads through, and refuses writes with the reason', async () => {
    client.transport.setFence(() => 'someone else leads')
    await read()
    await expect(write()).rejects.toThrow(FencedError)
    await expect(client.delete(configmaps, namespace, 'there')).rejects.toThrow('someone else leads')
    expect(proxy.requests).toHaveLength(1)
    expect(await fenced()).toBe(2)
  })

  test('stops a write that was still waiting for a connection when it closed', async () => {
    client = await through({ connections: 1 })
    let refusal: string | undefined
    client.transport.setFence(() => refusal)
    proxy.play({ when: on('get'), times: 1, fault: { fault: 'halfOpen' } })
    const holding = client.get(configmaps, namespace, 'there', { timeoutMs: 300 })
    const waiting = write()
    // It has passed the first check by now and waits for the only connection.
    await sleep(100)
    refusal = 'the lease is over'
    await expect(holding).rejects.toThrow(ConnectionError)
    await expect(waiting).rejects.toThrow('the lease is over')
    expect(sent('patch')).toBe(0)
    refusal = undefined
    await write()
    expect(await fenced()).toBe(1)
  })
})

describe('a reflector', () => {
  const follow = (more: Partial<ReflectorOptions<ConfigMap>> = {}): Store<ConfigMap> => {
    const store = new Store<ConfigMap>()
    const abort = new AbortController()
    const options = { client, type: configmaps, store, namespace, log: silent, registry, watchdogMs: 200, ...more }
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

  /** A watch from a version, not one that begins with everything there is. */
  const watches = ({ verb, streamsList }: Asked): boolean => verb === 'watch' && !streamsList
  const status = (code: number): Fault => ({ fault: 'status', code })

  test.each<[string, Fault]>([
    ['TooManyRequests', busy()],
    ['ServerError', status(500)],
    ['Unauthorized', status(401)],
    ['Forbidden', status(403)],
    ['NotFound', status(404)],
    ['Connection', { fault: 'reset' }],
    ['Connection', { fault: 'truncate', bytes: 100 }],
    ['Connection', { fault: 'answer', code: 200, body: '<html>no backend</html>' }],
    ['Connection', { fault: 'answer', code: 200, body: '{"kind":"Status"}' }],
  ])(
    'whose list is answered with %s lists again until it works',
    async (reason, fault) => {
      // A request that is answered 401 is sent twice before it counts.
      proxy.play({ when: on('list'), times: reason === 'Unauthorized' ? 2 : 1, fault })
      const store = follow()
      await store.whenSynced(AbortSignal.timeout(20_000))
      expect(await restarts(reason)).toBe(1)
      await change(store)
    },
    60_000,
  )

  test.each<[string, Fault]>([
    ['TooManyRequests', busy(0)],
    ['ServerError', status(503)],
    ['Gone', status(410)],
    ['Gone', { fault: 'goneEvent' }],
    ['Malformed', { fault: 'answer', code: 200, body: '{"type":"ADDED","obj\n' }],
    ['ClosedAtOnce', { fault: 'answer', code: 200, body: '' }],
    ['Connection', { fault: 'reset' }],
    ['Silent', { fault: 'headersOnly' }],
    ['Malformed', { fault: 'malformEvent' }],
    ['Malformed', { fault: 'truncateEvent' }],
  ])(
    'whose watch ends by %s goes on',
    async (reason, fault) => {
      proxy.play({ when: watches, times: 1, fault })
      const store = follow({ watchSeconds: [2, 2] })
      await store.whenSynced(AbortSignal.timeout(20_000))
      await until('it watches', () => proxy.requests.some(({ asked }) => watches(asked)))
      await change(store)
      await until(`it ended by ${reason}`, async () => (await restarts(reason)) >= 1)
      await change(store)
      // Only a version that is too old costs another list.
      expect(sent('list')).toBe(reason === 'Gone' ? 2 : 1)
    },
    60_000,
  )

  test('keeps neither managedFields nor what kubectl applied last, and everything else', async () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{"a":1}', kept: 'yes' }
    await direct.client.apply(
      configmaps,
      configMap(namespace, 'applied', { metadata: { name: 'applied', annotations }, data: { a: '1' } }),
    )
    const store = follow()
    await store.whenSynced(AbortSignal.timeout(20_000))
    const kept = store.get(namespace, 'applied')
    expect(kept?.metadata.annotations).toEqual({ kept: 'yes' })
    expect(kept?.metadata.managedFields).toBeUndefined()
    expect(kept?.data).toEqual({ a: '1' })
  }, 180_000)

  /** What the lists asked for, besides what is asked of each. */
  const lists = (): string[] =>
    proxy.requests
      .filter(({ asked }) => asked.verb === 'list')
      .map(({ asked }) => new URL(asked.url, 'http://any').searchParams)
      .map((query) => ['resourceVersion', 'limit'].flatMap((name) => query.get(name) ?? []).join(' of '))

  test('lists where the server streams no lists, and says so: first what the server has in memory, later page by page', async () => {
    const store = follow({ pageSize: 1, watchSeconds: [2, 2] })
    await store.whenSynced(AbortSignal.timeout(20_000))
    expect(await restarts('NotOffered')).toBe(1)
    expect(lists()).toEqual(['0'])
    await change(store)
    await direct.client.apply(configmaps, configMap(namespace, 'another', {}))
    proxy.play({ when: watches, times: 1, fault: status(410) })
    await until('it lists again', () => lists().length >= 3)
    expect(new Set(lists().slice(1))).toEqual(new Set(['1']))
    await change(store)
  }, 180_000)

  test('does not wait for the rest of a list that never comes', async () => {
    proxy.play({ when: on('list'), times: 1, fault: { fault: 'headersOnly' } })
    const store = follow({ silenceMs: 2000 })
    await store.whenSynced(AbortSignal.timeout(60_000))
    expect(await restarts('Connection')).toBeGreaterThanOrEqual(1)
    await change(store)
  }, 180_000)

  test('gives up a list that crawls, and gets it page by page', async () => {
    await direct.client.apply(configmaps, configMap(namespace, 'long', { data: { text: 'long '.repeat(50_000) } }))
    proxy.play({ when: on('list'), times: 1, fault: { fault: 'slowBody', bytesPerSecond: 1000 } })
    const store = follow({ listMs: 4000 })
    await store.whenSynced(AbortSignal.timeout(60_000))
    expect(lists().slice(0, 2)).toEqual(['0', '250'])
    expect(await restarts('Connection')).toBeGreaterThanOrEqual(1)
    await change(store)
  }, 180_000)

  test('has a large list whole, though no part of it is handed on whole', async () => {
    const long = 'ä"\\{[,'.repeat(20_000)
    for (let n = 0; n < 10; n += 1)
      await direct.client.apply(configmaps, configMap(namespace, `long-${n}`, { data: { text: `${n}${long}` } })) // oxlint-disable-line no-await-in-loop -- one after the other is fine
    const store = follow()
    await store.whenSynced(AbortSignal.timeout(20_000))
    for (let n = 0; n < 10; n += 1) expect(store.get(namespace, `long-${n}`)?.data).toEqual({ text: `${n}${long}` })
  }, 180_000)

  test('needs one watch and no list where the server streams lists', async () => {
    await proxy.close()
    proxy = await startProxy({ ...(await upstream()), streamLists: true })
    endings.push(() => proxy.close())
    client = await through({})
    const store = follow()
    await store.whenSynced(AbortSignal.timeout(20_000))
    const listed = await direct.client.list(configmaps, { namespace })
    expect([...store.keys()].toSorted()).toEqual(
      listed.items.map(({ metadata: { name } }) => `${namespace}/${name}`).toSorted(),
    )
    expect(store.get(namespace, 'there')).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
    expect(store.get(namespace, 'there')?.metadata.managedFields).toBeUndefined()
    await change(store)
    expect([sent('watch'), sent('list')]).toEqual([1, 0])
  }, 180_000)

  test('does not wait for the end of a stream of lists that never comes', async () => {
    proxy.play({ when: ({ streamsList }) => streamsList, fault: { fault: 'headersOnly' } })
    const store = follow({ silenceMs: 200 })
    await store.whenSynced(AbortSignal.timeout(20_000))
    expect(await restarts('NotOffered')).toBe(1)
    await change(store)
  }, 180_000)

  test('says that it follows again as soon as it does, also where nothing happens', async () => {
    const said: string[] = []
    const note = (message: string): void => {
      said.push(message)
    }
    proxy.play({ when: watches, times: 1, fault: status(503) })
    const store = follow({ log: { ...silent, info: note, warn: note } })
    await store.whenSynced(AbortSignal.timeout(20_000))
    await until('it follows again', () => said.some((message) => message.endsWith('again')))
    expect(said).toEqual([
      `cannot follow configmaps in ${namespace}, trying again for as long as it takes`,
      `following configmaps in ${namespace} again`,
    ])
  }, 180_000)

  test('finds a watch that went silent in the middle, and what happened meanwhile, without a list', async () => {
    const store = follow({ silenceMs: 500 })
    await store.whenSynced(AbortSignal.timeout(20_000))
    await change(store)
    proxy.play({ fault: { fault: 'silence' }, times: 1 })
    await change(store)
    expect(await restarts('Silent')).toBeGreaterThanOrEqual(1)
    expect(sent('list')).toBe(1)
  }, 180_000)

  test('is not taken back by events that come twice, and finds one that was dropped with its next list', async () => {
    const store = follow({ relistMs: 2000 })
    await store.whenSynced(AbortSignal.timeout(20_000))
    const seen: string[] = []
    store.subscribe(({ object, initial }) => {
      if (!initial) seen.push(object.metadata.resourceVersion ?? '')
    })
    const end = proxy.play({ fault: { fault: 'duplicateEvent' } })
    for (let n = 0; n < 3; n += 1) await change(store)
    end()
    expect(new Set(seen).size).toBe(seen.length)
    const dropped = Promise.withResolvers<void>()
    proxy.play({ fault: { fault: 'dropEvent' }, times: 1, onPlayed: () => dropped.resolve() })
    const before = sent('list')
    await change(store)
    await dropped.promise
    expect(sent('list')).toBeGreaterThan(before)
  }, 180_000)
})
