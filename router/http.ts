// The agent's three pages: what the router does, whether it lives, whether it is ready. Nothing here changes anything.
// Without express, which would be 6 MiB of the 75 that the agent takes.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { EnvoyGone } from './envoy/admin.ts'
import type { Agent } from './agent.ts'

export interface AgentServer {
  readonly port: number
  close(): Promise<void>
}

/**
 * Starts to listen.
 * @throws Error when the port is taken: another agent serves this pod, and two must not tell Envoy different things
 */
export const startServer = async (agent: Agent, port: number): Promise<AgentServer> => {
  const pages: Readonly<Record<string, () => Promise<Page> | Page>> = {
    // To answer at all is to be alive. Envoy's health is not the agent's: a new agent would not mend it.
    '/livez': () => ({ status: 200, text: 'ok\n' }),
    '/readyz': async () => {
      const why = await agent.notReady()
      return { status: why === undefined ? 200 : 503, text: `${why ?? 'ok'}\n` }
    },
    '/state': () => state(agent),
  }
  const server = createServer((request, response) => {
    void answerWith(response, isRead(request) ? pages[pathOf(request)] : undefined)
  })
  server.listen(port)
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => close(server) }
}

interface Page {
  readonly status: number
  readonly text: string
  readonly type?: string
}

const state = async (agent: Agent): Promise<Page> => {
  const type = 'application/json; charset=utf-8'
  try {
    return { status: 200, text: JSON.stringify(await agent.state()), type }
  } catch (error) {
    if (!(error instanceof EnvoyGone)) throw error
    return { status: 503, text: JSON.stringify({ error: error.message }), type }
  }
}

const isRead = ({ method }: IncomingMessage): boolean => method === 'GET' || method === 'HEAD'
const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?')[0] ?? ''

/** An error that is none of Envoy's is a bug, and goes on to end the process. */
const answerWith = async (response: ServerResponse, page: (() => Promise<Page> | Page) | undefined): Promise<void> => {
  const { status, text, type = 'text/plain; charset=utf-8' } = (await page?.()) ?? { status: 404, text: 'not found\n' }
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text)
}

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
