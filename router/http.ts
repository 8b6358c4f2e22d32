// The agent's three pages: what the router does, whether it lives, whether it is ready. Nothing here changes anything.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { EnvoyGone } from './envoy/admin.ts'
import type { Agent } from './agent.ts'

export interface AgentServer {
  readonly port: number
  close(): Promise<void>
}

/**
 * Starts to listen.
 * @throws Error when the port is taken: another agent serves this pod, and two must not write the same files
 */
export const startServer = async (agent: Agent, port: number): Promise<AgentServer> => {
  const app = express().disable('x-powered-by')
  // To answer at all is to be alive. Envoy's health is not the agent's: a new agent would not mend it.
  app.get('/livez', (_, response) => {
    response.type('text').send('ok\n')
  })
  app.get('/readyz', async (_, response) => {
    const why = await agent.notReady()
    response
      .status(why === undefined ? 200 : 503)
      .type('text')
      .send(`${why ?? 'ok'}\n`)
  })
  app.get('/state', async (_, response) => {
    try {
      response.json(await agent.state())
    } catch (error) {
      if (!(error instanceof EnvoyGone)) throw error
      response.status(503).json({ error: error.message })
    }
  })
  const server = createServer(app)
  server.listen(port)
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => close(server) }
}

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
