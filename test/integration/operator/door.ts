// A plain-HTTP door in front of the API server for one operator process: it lets everything through and can be told to
// shut after a certain write, so that the write is done and its answer never comes. It changes nothing on the way.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import { credentials } from '../kube/server.ts'

export interface Door {
  /** The API server's address through this door. */
  readonly server: string
  /** What was written since `count` was called, in order: `services`, `modeldeployments/status`. Leases, Events and dry runs do not count. */
  readonly writes: readonly string[]
  /** Starts counting anew. Once `isLast` says so of the latest write, its answer is kept and `shut` is called. */
  count(isLast?: (writes: readonly string[]) => boolean, shut?: () => void): void
  close(): Promise<void>
}

export const openDoor = async (): Promise<Door> => {
  const admin = await credentials()
  const origin = admin.server
  const { ca = '' } = (await admin.current()).tls
  const dispatcher = new Agent({ connect: { ca }, bodyTimeout: 0, headersTimeout: 0 })
  let writes: string[] = []
  let isLast: (writes: readonly string[]) => boolean = () => false
  let isShut = false
  let shut = (): void => {}

  const pass = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const gone = new AbortController()
    answer.once('close', () => gone.abort())
    const { method = 'GET', url = '' } = asked
    if (isShut) return
    const { host: _, connection: _connection, 'transfer-encoding': _encoding, ...headers } = asked.headers
    const body = method === 'GET' ? null : Buffer.concat(await asked.toArray())
    const real = await request(`${origin}${url}`, {
      dispatcher,
      method: method as 'GET',
      headers,
      body,
      signal: gone.signal,
    })
    if (isCounted(method, url)) {
      writes.push(resourceOf(url))
      if (isLast(writes)) {
        isShut = true
        await real.body.dump()
        return shut()
      }
    }
    // Nothing comes back after the last write: the process is as good as dead.
    if (isShut) return
    answer.writeHead(real.statusCode, real.headers)
    real.body.pipe(answer)
  }
  const listener = createServer((asked, answer) => {
    // The operator was killed while its request was under way.
    pass(asked, answer).catch(() => answer.destroy())
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    server: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get writes() {
      return writes
    },
    count: (until = () => false, then = () => {}) => {
      writes = []
      isShut = false
      isLast = until
      shut = then
    },
    close: async () => {
      listener.closeAllConnections()
      listener.close()
      await once(listener, 'close')
      await dispatcher.destroy()
    },
  }
}

/** The resource, and the subresource, of a path of one object in a namespace. */
const resourceOf = (url: string): string => {
  const [resource = '', , ...subresource] =
    (url.split('?')[0] ?? '').split('/namespaces/')[1]?.split('/').slice(1) ?? []
  return [resource, ...subresource].join('/')
}

const isCounted = (method: string, url: string): boolean =>
  method !== 'GET' && !url.includes('/leases') && !url.includes('/events') && !url.includes('dryRun=All')
