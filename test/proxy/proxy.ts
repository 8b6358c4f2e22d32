// A plain-HTTP proxy on loopback in front of a real API server: it hands everything on, counts it, and plays the faults
// that it is told to. It must never answer for the server unless a fault says so.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request, type Dispatcher } from 'undici'
import { isWrite, readRequest, type Asked } from './asked.ts'
import { isEventFault, Rules, type EventFault, type Fault, type Rule } from './fault.ts'
import { seeded } from './random.ts'
import { splitStreamedList, writeInitialEvents } from './streamedlist.ts'
import { playLines } from './watch.ts'

export interface ProxyOptions {
  /** The API server, `https://127.0.0.1:40123`. */
  readonly server: string
  /** How it is trusted; with a certificate of our own, requests that carry no token go as that. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  /** For faults that hit only a share; 1 unless given. */
  readonly seed?: number
  /** Take the requests' own tokens away: they go as our certificate. */
  readonly impersonate?: boolean
  /** Offer watches that begin with everything there is, whether or not the server does. */
  readonly streamLists?: boolean
}

/** A request as it came, and what it was answered with: undefined until then, or for ever. */
export interface Passed {
  readonly asked: Asked
  readonly authorization: string | undefined
  readonly at: number
  code: number | undefined
}

export interface Proxy {
  /** Plain HTTP on loopback. */
  readonly server: string
  /** All requests since the start or since `forget`, oldest first. */
  readonly requests: readonly Passed[]
  /** How many connections were made to it. */
  readonly connections: number
  /** Plays a fault until the returned function is called, or as often as the rule says. */
  play(rule: Rule): () => void
  /** How often a fault was begun since the start: a test that plays none proves nothing. */
  begun(fault: Fault['fault']): number
  /** No rule holds any more. What hangs goes on hanging. */
  heal(): void
  /** Breaks all connections. */
  cut(): void
  /** Writes that the server has answered, in order. Leases, Events and dry runs are left out. */
  writes(): readonly Asked[]
  forget(): void
  close(): Promise<void>
}

export const startProxy = async (options: ProxyOptions): Promise<Proxy> => {
  const { server, tls, seed = 1, impersonate = false, streamLists = false } = options
  const agent = new Agent({ connect: tls, allowH2: false, bodyTimeout: 0, headersTimeout: 0 })
  const random = seeded(seed)
  const [onRequests, onEvents] = [new Rules(random), new Rules(random)]
  const end = new AbortController()
  let requests: Passed[] = []
  let connections = 0

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const { method = 'GET', url = '' } = incoming
    const asked = readRequest(method, url)
    const passed: Passed = {
      asked,
      authorization: incoming.headers.authorization,
      at: performance.now(),
      code: undefined,
    }
    requests.push(passed)
    const gone = new AbortController()
    outgoing.once('close', () => gone.abort())
    const signal = AbortSignal.any([gone.signal, end.signal])
    // The whole body first: a fault is decided on before the server sees anything.
    const body = await readAll(incoming)
    const rule = onRequests.hit(asked)
    const played = (): void => rule?.onPlayed?.(asked)
    const fault = rule !== undefined && !isEventFault(rule.fault) ? rule.fault : undefined
    const handOn = async (path = url): Promise<Dispatcher.ResponseData> => {
      const answer = await request(`${server}${path}`, {
        dispatcher: agent,
        method: method as 'GET',
        headers: passedOn(incoming.headers, impersonate ? ['authorization'] : []),
        body: body.length > 0 ? body : null,
        signal,
      })
      passed.code = answer.statusCode
      return answer
    }
    const answerWith = (code: number, text: string, headers: Record<string, string> = {}): void => {
      passed.code = code
      outgoing.writeHead(code, { 'content-type': 'application/json', ...headers }).end(text)
      played()
    }
    switch (fault?.fault) {
      case 'status': {
        const { code, retryAfterSeconds, message = 'played by the proxy' } = fault
        const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }
        return answerWith(code, JSON.stringify({ kind: 'Status', apiVersion: 'v1', code, message }), headers)
      }
      case 'answer':
        return answerWith(fault.code, fault.body, { 'content-type': fault.contentType ?? 'text/html' })
      case 'reset':
        incoming.socket.resetAndDestroy()
        return played()
      case 'halfOpen':
        return played()
      case 'resetAfter':
        await (await handOn()).body.dump()
        incoming.socket.resetAndDestroy()
        return played()
      case 'loseAnswer':
        await (await handOn()).body.dump()
        return played()
      case 'delay':
        await sleep(fault.ms, undefined, { signal })
        played()
        break
      case 'hold':
        await fault.until
        played()
        break
      case 'headersOnly': {
        const answer = await handOn()
        outgoing.writeHead(answer.statusCode, passedOn(answer.headers)).flushHeaders()
        await answer.body.dump()
        return played()
      }
      case 'truncate':
      case 'slowBody':
      case undefined:
    }
    const onEachLine = (): EventFault | undefined => {
      const hit = onEvents.hit(asked)
      hit?.onPlayed?.(asked)
      return hit !== undefined && isEventFault(hit.fault) ? hit.fault : undefined
    }
    if (streamLists && asked.streamsList) {
      const { list, watchFrom } = splitStreamedList(url)
      const listed = await handOn(list)
      outgoing.writeHead(listed.statusCode, passedOn(listed.headers))
      if (listed.statusCode !== 200) return pipeline(listed.body, outgoing)
      const from = writeInitialEvents(await listed.body.text(), outgoing)
      return playLines((await handOn(watchFrom(from))).body, outgoing, onEachLine)
    }
    const answer = await handOn()
    outgoing.writeHead(answer.statusCode, passedOn(answer.headers))
    outgoing.flushHeaders()
    if (fault?.fault === 'truncate') {
      const text = await readAll(answer.body)
      outgoing.write(text.subarray(0, fault.bytes), () => incoming.socket.destroy())
      return played()
    }
    if (fault?.fault === 'slowBody') {
      const text = await readAll(answer.body)
      const step = Math.max(1, Math.floor(fault.bytesPerSecond / 20))
      for (let from = 0; from < text.length; from += step) {
        outgoing.write(text.subarray(from, from + step))
        await sleep(50, undefined, { signal })
      }
      outgoing.end()
      return played()
    }
    if (asked.verb !== 'watch') return pipeline(answer.body, outgoing)
    await playLines(answer.body, outgoing, onEachLine)
  }

  const listener = createServer((incoming, outgoing) => {
    // A client that went away breaks what was being handed on, and so does a server that did: the client sees it broken.
    handle(incoming, outgoing).catch(() => incoming.socket.destroy())
  })
  listener.keepAliveTimeout = 120_000
  listener.on('connection', () => (connections += 1))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    server: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get requests() {
      return requests
    },
    get connections() {
      return connections
    },
    play: (rule) => (isEventFault(rule.fault) ? onEvents : onRequests).add(rule),
    begun: (fault) => onRequests.begun(fault) + onEvents.begun(fault),
    heal: () => {
      onRequests.clear()
      onEvents.clear()
    },
    cut: () => listener.closeAllConnections(),
    writes: () =>
      requests
        .filter(({ asked, code }) => code !== undefined && code < 300 && isCounted(asked))
        .map(({ asked }) => asked),
    forget: () => {
      requests = []
    },
    close: async () => {
      end.abort()
      listener.close()
      listener.closeAllConnections()
      await agent.destroy()
    },
  }
}

/** What an operator does to its objects, in contrast to what it does to stay alive and to tell. */
export const isCounted = (asked: Asked): boolean =>
  isWrite(asked) && !asked.resource.startsWith('leases.') && asked.resource !== 'events'

const readAll = async (stream: Readable): Promise<Buffer> => Buffer.concat(await stream.toArray())

/** Headers of one hop stay on that hop. @see RFC 9110, section 7.6.1 */
const ofOneHop = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'upgrade'])

const passedOn = (
  headers: Readonly<Record<string, string | string[] | undefined>>,
  except: readonly string[] = [],
): Record<string, string | string[]> => {
  const passed: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !ofOneHop.has(name) && !except.includes(name)) passed[name] = value
  }
  return passed
}
