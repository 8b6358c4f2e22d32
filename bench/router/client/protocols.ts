// One request in each protocol, and which revision answered it. Whatever goes wrong is an answer with an error.
import * as grpc from '@grpc/grpc-js'
import { Pool } from 'undici'
import type { LoadOptions } from './load.ts'

export type Protocol = 'http1' | 'h2c' | 'grpc'

export interface Outcome {
  readonly revision: string
  readonly error?: string
}

export interface Connection {
  ask(id: string | undefined): Promise<Outcome>
  close(): Promise<void>
}

const revisionHeader = 'x-slipway-revision'
const deadlineMs = 60_000
/** Connections of a protocol that carries several requests on each. */
const sharedConnections = 4

export const open = (options: LoadOptions): Connection => (options.protocol === 'grpc' ? openGrpc : openHttp)(options)

const openHttp = (options: LoadOptions): Connection => {
  const { protocol, host, port, path, bodyBase64, contentHeaders, workers, keepAlive } = options
  const body = Buffer.from(bodyBase64, 'base64')
  const pool = new Pool(`http://${host}:${port}`, {
    ...(protocol === 'h2c'
      ? {
          connections: sharedConnections,
          pipelining: Math.ceil(workers / sharedConnections),
          allowH2: true,
          useH2c: true,
        }
      : { connections: workers, pipelining: 1 }),
    headersTimeout: deadlineMs,
    bodyTimeout: deadlineMs,
  })
  const method = body.length === 0 ? 'GET' : 'POST'
  return {
    ask: async (id) => {
      try {
        const answer = await pool.request({
          path,
          method,
          headers: id === undefined ? contentHeaders : { ...contentHeaders, 'x-request-id': id },
          body: body.length === 0 ? null : body,
          reset: !keepAlive,
        })
        const text = await answer.body.text()
        const revision = answer.headers[revisionHeader]
        if (answer.statusCode !== 200) return { revision: '', error: `${answer.statusCode} ${text.slice(0, 200)}` }
        return { revision: typeof revision === 'string' ? revision : '' }
      } catch (error) {
        return { revision: '', error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
      }
    },
    close: () => pool.destroy(),
  }
}

const method = '/inference.GRPCInferenceService/ModelInfer'
const asIs = (bytes: Buffer): Buffer => bytes

const openGrpc = ({ host, port, bodyBase64 }: LoadOptions): Connection => {
  const body = Buffer.from(bodyBase64, 'base64')
  const clients = Array.from(
    { length: sharedConnections },
    () =>
      new grpc.Client(`${host}:${port}`, grpc.credentials.createInsecure(), {
        // Without it all clients of one address share one connection, and so one router.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': -1,
        // No retries but those of the router.
        'grpc.enable_retries': 0,
      }),
  )
  let next = 0
  return {
    ask: (id) =>
      new Promise((resolve) => {
        const metadata = new grpc.Metadata()
        if (id !== undefined) metadata.set('x-request-id', id)
        const client = clients[next++ % clients.length]
        let revision = ''
        const deadline = Date.now() + deadlineMs
        client
          ?.makeUnaryRequest(method, asIs, asIs, body, metadata, { deadline }, (error) =>
            resolve(error === null ? { revision } : { revision: '', error: `${error.code} ${error.details}` }),
          )
          .on('metadata', (received: grpc.Metadata) => (revision = String(received.get(revisionHeader)[0] ?? '')))
      }),
    close: async () => {
      for (const client of clients) client.close()
    },
  }
}
