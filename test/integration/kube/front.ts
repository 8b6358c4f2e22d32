// A front before the real API server that answers some requests itself, badly, and hands on all others. It plays the
// faults that a healthy server does not show.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { Agent, request } from 'undici'
import { credentials } from './server.ts'

export interface Fault {
  /** Requests of which `METHOD /path?query` contains this. */
  readonly match: string
  /** For so many of them. */
  readonly times: number
  readonly answer:
    | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
    /** Never answers; `reset`: breaks the connection; `silent`: headers, then nothing more. */
    | 'hang'
    | 'reset'
    | 'silent'
    /** The server's answer, then this text in the same body. */
    | { readonly append: string }
}

export interface Front {
  /** Plain HTTP on loopback. */
  readonly server: string
  /** `METHOD /path?query`, then the authorization header if there was one, of each request in turn. */
  readonly requests: readonly { readonly line: string; readonly authorization: string | undefined }[]
  /** How many connections were made to it. */
  readonly connections: () => number
  readonly play: (fault: Fault) => void
  readonly close: () => Promise<void>
}

export const startFront = async (): Promise<Front> => {
  const known = await credentials()
  const agent = new Agent({ connect: (await known.current()).tls, allowH2: false, bodyTimeout: 0 })
  const faults: { fault: Fault; left: number }[] = []
  const requests: { line: string; authorization: string | undefined }[] = []
  const abort = new AbortController()
  let connections = 0

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const line = `${incoming.method} ${incoming.url}`
    requests.push({ line, authorization: incoming.headers.authorization })
    const playing = faults.find(({ fault, left }) => left > 0 && line.includes(fault.match))
    if (playing !== undefined) playing.left -= 1
    const answer = playing?.fault.answer
    if (answer === 'hang') return
    if (answer === 'reset') return void incoming.socket.resetAndDestroy()
    if (answer === 'silent') return outgoing.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    if (answer !== undefined && 'status' in answer) {
      outgoing.writeHead(answer.status, answer.headers).end(answer.body)
      return
    }
    const headers = passedOn(incoming.headers, ['authorization', 'host', 'connection', 'transfer-encoding'])
    const gone = new AbortController()
    outgoing.once('close', () => gone.abort())
    const upstream = await request(`${known.server}${incoming.url}`, {
      dispatcher: agent,
      method: (incoming.method ?? 'GET') as 'GET',
      headers,
      body: incoming.method === 'GET' ? null : incoming,
      signal: AbortSignal.any([gone.signal, abort.signal]),
    })
    const changed = answer === undefined ? ['connection'] : ['connection', 'content-length']
    outgoing.writeHead(upstream.statusCode, passedOn(upstream.headers, changed))
    outgoing.flushHeaders()
    if (answer === undefined) return pipeline(upstream.body, outgoing)
    for await (const chunk of upstream.body) {
      outgoing.write(chunk)
      outgoing.write(answer.append)
    }
    outgoing.end()
  }

  const listener = createServer((incoming, outgoing) => {
    // A client that went away, or the end of the test, breaks what was being handed on; that is what is tested.
    handle(incoming, outgoing).catch(() => outgoing.destroy())
  })
  listener.on('connection', () => (connections += 1))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    server: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    requests,
    connections: () => connections,
    play: (fault) => faults.push({ fault, left: fault.times }),
    close: async () => {
      abort.abort()
      listener.close()
      listener.closeAllConnections()
      await agent.destroy()
    },
  }
}

const passedOn = (
  headers: Readonly<Record<string, string | string[] | undefined>>,
  except: readonly string[],
): Record<string, string | string[]> => {
  const passed: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !except.includes(name)) passed[name] = value
  }
  return passed
}
