// The certificate authority of an API server is replaced under a running client: TLS in front of the real server, with a
// certificate of the old authority and then of the new one. The file changes, and nobody tells the client.
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { afterEach, expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { KubeClient } from '../../../operator/kube/client.ts'
import { serviceAccountCredentials } from '../../../operator/kube/credentials.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { configmaps, type ConfigMap } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import { Transport } from '../../../operator/kube/transport.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { createAuthority, createCertificates, keyPair } from '../../cluster/certificates.ts'
import { startProxy, type Proxy } from '../../proxy/proxy.ts'
import { configMap, connect, createNamespace, credentials, until } from './server.ts'

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

const folder = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'authority-'))
  endings.push(() => rm(directory, { recursive: true }))
  return directory
}

/** An authority of its own, and a certificate of it for loopback. */
const authority = async (): Promise<{ readonly ca: string; readonly cert: Buffer; readonly key: Buffer }> => {
  const directory = await folder()
  await createAuthority(directory)
  await createCertificates(directory, [{ name: 'server', commonName: 'server', names: ['127.0.0.1'] }])
  const { certificate, key } = keyPair(directory, 'server')
  return { ca: keyPair(directory, 'ca').certificate, cert: await readFile(certificate), key: await readFile(key) }
}

interface Door {
  readonly server: string
  /** Connections that are open, oldest first. */
  open(): readonly Socket[]
  /** What connections that are made from now on are shown. */
  show(shown: { readonly cert: Buffer; readonly key: Buffer }): void
}

/** TLS with a certificate that can be replaced, in front of a plain server. */
const startDoor = async (plain: string, shown: { readonly cert: Buffer; readonly key: Buffer }): Promise<Door> => {
  const sockets = new Set<Socket>()
  const server = createServer(shown, (inward) => {
    const outward = connectTcp(Number(new URL(plain).port), '127.0.0.1')
    sockets.add(inward)
    inward.on('error', () => outward.destroy()).on('close', () => sockets.delete(inward) && outward.destroy())
    outward.on('error', () => inward.destroy()).on('close', () => inward.destroy())
    inward.pipe(outward).pipe(inward)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  endings.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open: () => [...sockets],
    show: (next) => server.setSecureContext(next),
  }
}

const plainProxy = async (): Promise<Proxy> => {
  const known = await credentials()
  const proxy = await startProxy({ server: known.server, tls: (await known.current()).tls, impersonate: true })
  endings.push(() => proxy.close())
  return proxy
}

test('a new authority is trusted as soon as its file is there; a call and a watch that are under way end as they would have', async () => {
  const direct = await connect()
  endings.push(() => direct.close())
  const namespace = await createNamespace(direct.client)
  await direct.client.create(configmaps, configMap(namespace, 'there'))
  const [old, next] = [await authority(), await authority()]
  const proxy = await plainProxy()
  const door = await startDoor(proxy.server, old)
  const account = await folder()
  await writeFile(join(account, 'token'), 'any')
  await copyFile(old.ca, join(account, 'ca.crt'))
  const registry = new Registry()
  const transport = new Transport({
    credentials: await serviceAccountCredentials(door.server, account, 100),
    registry,
  })
  endings.push(() => transport.close())
  const client = new KubeClient(transport)
  const read = (): Promise<ConfigMap> => client.get(configmaps, namespace, 'there')
  const store = new Store<ConfigMap>()
  const stop = new AbortController()
  const following = new Reflector({ client, type: configmaps, store, namespace, log: silent, registry }).run(
    stop.signal,
  )
  endings.push(async () => {
    stop.abort()
    await following
  })
  await store.whenSynced()
  const seen = async (name: string): Promise<void> => {
    await direct.client.create(configmaps, configMap(namespace, name))
    await until(`the watch tells of ${name}`, () => store.get(namespace, name))
  }
  await seen('before')
  const restarts = async (): Promise<number> => {
    const metric = await registry.getSingleMetric('reflector_watch_restarts_total')?.get()
    return (metric?.values ?? []).reduce((sum, { value }) => sum + value, 0)
  }
  const restartsBefore = await restarts()

  // The server has its new certificate, the file is still the old one. A second connection is needed for a second call at
  // once, and it is refused by us.
  let go = (): void => {}
  const held = new Promise<void>((resolve) => (go = resolve))
  proxy.play({ fault: { fault: 'hold', until: held }, when: ({ name }) => name === 'there', times: 1 })
  const underWay = read()
  await until('the call is under way', () => proxy.requests.some(({ asked }) => asked.name === 'there'))
  const oldConnections = door.open()
  door.show(next)
  await expect(read()).rejects.toThrow(/certificate/)

  await copyFile(next.ca, join(account, 'ca.crt'))
  await until('the new authority is trusted', () =>
    read().then(
      () => true,
      () => false,
    ),
  )
  go()
  expect((await underWay).metadata.name).toBe('there')
  await seen('meanwhile')
  expect(await restarts()).toBe(restartsBefore)

  // Of the old connections only the watch's is left; when it ends, the next one is made with the new authority.
  await until('the old calls are gone', () => oldConnections.filter((socket) => !socket.destroyed).length === 1)
  for (const socket of oldConnections) socket.destroy()
  await seen('afterwards')
  expect(await restarts()).toBeGreaterThan(restartsBefore)
})
