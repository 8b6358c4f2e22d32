// The client's verbs against a real API server: what it answers, how it refuses, and what server-side apply owns.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
  StatusError,
} from '../../../operator/kube/errors.ts'
import { configmaps, deployments, pods, resource, services, type ConfigMap } from '../../../operator/kube/resources.ts'
import { Transport } from '../../../operator/kube/transport.ts'
import { KubeClient } from '../../../operator/kube/client.ts'
import type { WatchEvent } from '../../../operator/kube/watchstream.ts'
import type { V1Ingress } from '@kubernetes/client-node'
import type { Wire } from '../../../operator/kube/types.ts'
import { configMap, connect, createNamespace, credentials, type Connected } from './server.ts'

let server: Connected
let client: KubeClient
let namespace: string

beforeAll(async () => {
  server = await connect()
  client = server.client
  namespace = await createNamespace(client)
})

afterAll(() => server.close())

const failure = async (call: Promise<unknown>): Promise<StatusError> => {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof StatusError)) throw new Error(`expected a StatusError, got ${String(error)}`)
  return error
}

describe('reading and writing', () => {
  test('an object is created, read, patched and deleted, and what is gone is not found', async () => {
    const created = await client.create(configmaps, configMap(namespace, 'life', { data: { a: '1', b: '2' } }))
    expect(created.metadata.uid).toBeDefined()
    expect(await client.get(configmaps, namespace, 'life')).toEqual(created)
    const patched = await client.mergePatch(configmaps, namespace, 'life', { data: { a: null, c: '3' } })
    expect(patched.data).toEqual({ b: '2', c: '3' })
    await client.delete(configmaps, namespace, 'life')
    expect(await client.find(configmaps, namespace, 'life')).toBeUndefined()
    const error = await failure(client.get(configmaps, namespace, 'life'))
    expect(isNotFound(error)).toBe(true)
    expect(error.message).toBe(`get configmaps ${namespace}/life: 404 NotFound: configmaps "life" not found`)
  })

  test('list items carry apiVersion and kind, exactly as a read of the same object', async () => {
    const made = await client.create(
      configmaps,
      configMap(namespace, 'shape', { metadata: { name: 'shape', labels: { of: 'shape' } } }),
    )
    const { items, resourceVersion } = await client.list(configmaps, { namespace, labelSelector: 'of=shape' })
    expect(items).toEqual([made])
    expect(BigInt(resourceVersion)).toBeGreaterThanOrEqual(BigInt(made.metadata.resourceVersion ?? ''))
  })

  test('pages hold as many as asked for, lose nothing, and all come from one version', async () => {
    const names = Array.from({ length: 7 }, (_, index) => `page-${index}`)
    await Promise.all(
      names.map((name) =>
        client.create(configmaps, configMap(namespace, name, { metadata: { name, labels: { of: 'pages' } } })),
      ),
    )
    const seen: string[] = []
    const versions = new Set<string>()
    let next: string | undefined
    do {
      const page = await client.list(configmaps, { namespace, labelSelector: 'of=pages', limit: 3, continue: next })
      expect(page.items.length).toBeLessThanOrEqual(3)
      seen.push(...page.items.map(({ metadata }) => metadata.name))
      versions.add(page.resourceVersion)
      next = page.continue
    } while (next !== undefined)
    expect(seen).toEqual(names)
    expect(versions.size).toBe(1)
  })

  test('a dry run validates and stores nothing', async () => {
    await client.create(configmaps, configMap(namespace, 'dry'), { dryRun: true })
    await client.apply(configmaps, configMap(namespace, 'dry'), { dryRun: true })
    expect(await client.find(configmaps, namespace, 'dry')).toBeUndefined()
  })

  test('status and spec are written apart, and only on the version that was read', async () => {
    // Nothing on a control plane without nodes writes the status of an Ingress but this test.
    const ingresses = resource<Wire<V1Ingress>>('networking.k8s.io', 'v1', 'ingresses', 'Ingress')
    const backend = (name: string) => ({ defaultBackend: { service: { name, port: { number: 80 } } } })
    const ingress = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'status', namespace } }
    const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } }
    const made = await client.apply(ingresses, { ...ingress, spec: backend('a'), status })
    expect(made.status?.loadBalancer).toEqual({})
    const written = await client.updateStatus(ingresses, { ...made, spec: backend('b'), status })
    expect(written.status).toEqual(status)
    expect(written.spec).toEqual(backend('a'))
    expect(isConflict(await failure(client.updateStatus(ingresses, { ...made, status })))).toBe(true)
  })

  test('a call ends at once when its signal aborts, with the reason it was given', async () => {
    const abort = new AbortController()
    const call = client.list(pods, { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
  })
})

describe('refusals', () => {
  test('a taken name, a stale version and a broken rule are told apart', async () => {
    const first = await client.create(configmaps, configMap(namespace, 'refused', { data: { a: '1' } }))
    const taken = await failure(client.create(configmaps, configMap(namespace, 'refused')))
    expect([isAlreadyExists(taken), isConflict(taken)]).toEqual([true, false])

    await client.mergePatch(configmaps, namespace, 'refused', { data: { a: '2' } })
    const stale = await failure(client.update(configmaps, { ...first, data: { a: '3' } }))
    expect([isConflict(stale), isAlreadyExists(stale)]).toEqual([true, false])

    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'bad', namespace },
      spec: { ports: [{ port: 0 }] },
    }
    const invalid = await failure(client.create(services, service))
    expect(isInvalid(invalid)).toBe(true)
    expect(invalid.causes.map(({ field }) => field)).toContain('spec.ports[0].port')
  })

  test('a delete with the uid of an object that is gone leaves its namesake alone', async () => {
    const first = await client.create(configmaps, configMap(namespace, 'namesake'))
    await client.delete(configmaps, namespace, 'namesake')
    const second = await client.create(configmaps, configMap(namespace, 'namesake'))
    const error = await failure(client.delete(configmaps, namespace, 'namesake', { uid: first.metadata.uid }))
    expect(isConflict(error)).toBe(true)
    expect((await client.get(configmaps, namespace, 'namesake')).metadata.uid).toBe(second.metadata.uid)
  })

  test('a missing permission names the verb, the resource and the namespace', async () => {
    const known = await credentials()
    const token = await serviceAccountToken()
    const { tls } = await known.current()
    const transport = new Transport({
      credentials: {
        server: known.server,
        namespace,
        current: async () => ({
          headers: { authorization: `Bearer ${token}` },
          tls: tls.ca === undefined ? {} : { ca: tls.ca },
        }),
        refresh: async () => {},
      },
    })
    const error = await failure(new KubeClient(transport).list(deployments, { namespace }))
    await transport.close()
    expect(isForbidden(error)).toBe(true)
    expect(error.message).toContain(`grant the verb "list" on deployments.apps in namespace ${namespace}`)
  })

  test('a kind that the server does not know is not found', async () => {
    expect(isNotFound(await failure(client.list(resource('example.test', 'v1', 'nothings', 'Nothing'))))).toBe(true)
  })

  const serviceAccountToken = async (): Promise<string> => {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts`
    const asked = { verb: 'create', resource: 'serviceaccounts', namespace }
    const send = (at: string, body: object) => client.transport.call({ method: 'POST', path: at, body, asked })
    await send(path, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'nobody' } })
    const { text } = await send(`${path}/nobody/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 600 },
    })
    return (JSON.parse(text) as { status: { token: string } }).status.token
  }
})

describe('server-side apply', () => {
  test('what is no longer said is removed; what others say stays', async () => {
    await client.apply(configmaps, configMap(namespace, 'fields', { data: { ours: '1', also: '2' } }))
    await client.apply(configmaps, configMap(namespace, 'fields', { data: { theirs: '3' } }), {
      fieldManager: 'someone',
    })
    const after = await client.apply(configmaps, configMap(namespace, 'fields', { data: { ours: '1' } }))
    expect(after.data).toEqual({ ours: '1', theirs: '3' })
  })

  test('a field of another manager is a conflict unless it is forced', async () => {
    await client.apply(configmaps, configMap(namespace, 'forced', { data: { a: 'theirs' } }), {
      fieldManager: 'someone',
    })
    const ours = configMap(namespace, 'forced', { data: { a: 'ours' } })
    expect(isConflict(await failure(client.apply(configmaps, ours, { force: false })))).toBe(true)
    expect((await client.apply(configmaps, ours)).data).toEqual({ a: 'ours' })
  })

  test('applying the same again changes nothing, not even the version', async () => {
    const said = configMap(namespace, 'same', { data: { a: '1' } })
    const first = await client.applyObserved(configmaps, said)
    const second = await client.applyObserved(configmaps, said)
    expect([first.created, second.created]).toEqual([true, false])
    expect(second.object.metadata.resourceVersion).toBe(first.object.metadata.resourceVersion)
  })

  test('with the uid of an object that is gone or was replaced it is refused', async () => {
    const made = await client.apply(configmaps, configMap(namespace, 'uid'))
    const { uid = '' } = made.metadata
    const again = configMap(namespace, 'uid', { metadata: { name: 'uid', namespace, uid }, data: { a: '1' } })
    await client.delete(configmaps, namespace, 'uid')
    expect(isConflict(await failure(client.apply(configmaps, again)))).toBe(true)
    const other = await client.create(configmaps, configMap(namespace, 'uid'))
    const error = await failure(client.apply(configmaps, again))
    expect(isInvalid(error)).toBe(true)
    expect(error.causes.map(({ field }) => field)).toContain('metadata.uid')
    expect(await client.get(configmaps, namespace, 'uid')).toEqual(other)
  })
})

describe('watch', () => {
  test('every change after a version comes in order, and nothing from before it', async () => {
    await client.create(configmaps, configMap(namespace, 'before'))
    const { resourceVersion } = await client.list(configmaps, { namespace })
    await client.create(configmaps, configMap(namespace, 'w', { data: { a: '1' } }))
    await client.mergePatch(configmaps, namespace, 'w', { data: { a: '2' } })
    await client.delete(configmaps, namespace, 'w')
    const events: WatchEvent<ConfigMap>[] = []
    for await (const event of client.watch(configmaps, { namespace, resourceVersion, timeoutSeconds: 20 })) {
      if (event.type !== 'BOOKMARK') events.push(event)
      if (event.type === 'DELETED') break
    }
    expect(events.map((event) => event.type)).toEqual(['ADDED', 'MODIFIED', 'DELETED'])
  })

  test('the server ends it in time, with a bookmark of how far it came', async () => {
    await client.create(configmaps, configMap(namespace, 'bookmarked'))
    const { resourceVersion } = await client.list(configmaps, { namespace })
    // The server sends no bookmark while it knows of nothing newer than what was asked for.
    const changing = sleep(300).then(() => client.mergePatch(configmaps, namespace, 'bookmarked', { data: { a: '2' } }))
    const types: string[] = []
    let last = '0'
    for await (const event of client.watch(configmaps, { namespace, resourceVersion, timeoutSeconds: 8 })) {
      types.push(event.type)
      if (event.type === 'BOOKMARK') last = event.resourceVersion
    }
    expect(types.slice(0, 2)).toEqual(['MODIFIED', 'BOOKMARK'])
    const { metadata } = await changing
    expect(BigInt(last)).toBeGreaterThanOrEqual(BigInt(metadata.resourceVersion ?? ''))
  }, 30_000)

  test('aborting ends it silently', async () => {
    const { resourceVersion } = await client.list(configmaps, { namespace })
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 200)
    const types: string[] = []
    for await (const { type } of client.watch(configmaps, { namespace, resourceVersion, signal: abort.signal })) {
      types.push(type)
    }
    expect(types).toEqual([])
  })
})
