// The operator's own HTTP: metrics on one port, health on another. Health never asks the API server: an operator that
// cannot reach it must not be restarted for it.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { Registry } from 'prom-client'

export interface HttpPorts {
  /** `/metrics`. */
  readonly metricsPort: number
  /** `/healthz` and `/readyz`. */
  readonly healthPort: number
  /** All addresses unless given. */
  readonly host?: string
}

export interface HttpServers extends Required<Pick<HttpPorts, 'metricsPort' | 'healthPort'>> {
  close(): Promise<void>
}

/**
 * Starts both servers.
 * @param notReady why the process is not ready, or undefined when it is
 * @returns the ports that were taken, and how to stop
 */
export const startHttp = async (
  { metricsPort, healthPort, host }: HttpPorts,
  registry: Registry,
  notReady: () => string | undefined,
): Promise<HttpServers> => {
  const metrics = express().disable('x-powered-by')
  metrics.get('/metrics', async (_, response) => {
    response.type(registry.contentType).send(await registry.metrics())
  })
  const health = express().disable('x-powered-by')
  // To answer at all is to be alive: the event loop turns.
  health.get('/healthz', (_, response) => {
    response.type('text').send('ok\n')
  })
  health.get('/readyz', (_, response) => {
    const why = notReady()
    response
      .status(why === undefined ? 200 : 503)
      .type('text')
      .send(`${why ?? 'ok'}\n`)
  })
  const servers = [await listen(createServer(metrics), metricsPort, host)]
  try {
    servers.push(await listen(createServer(health), healthPort, host))
  } catch (error) {
    await close(servers)
    throw error
  }
  const [first, second] = servers.map((server) => (server.address() as AddressInfo).port)
  return { metricsPort: first ?? metricsPort, healthPort: second ?? healthPort, close: () => close(servers) }
}

const listen = async (server: Server, port: number, host: string | undefined): Promise<Server> => {
  server.listen(port, host)
  await once(server, 'listening')
  return server
}

const close = async (servers: readonly Server[]): Promise<void> => {
  const closing = servers.map(
    (server) =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  await Promise.all(closing)
}
