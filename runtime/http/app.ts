/**
 * Everything that is not on the hot path, on express: server and model metadata, the list of models, unknown paths.
 */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { fault, reportOf } from '../errors.ts'
import type { EnginePool } from '../engine/pool.ts'
import type { ServerState } from '../state.ts'
import { sendFault, sendJson } from './answer.ts'
import { checkModel, type ServedModel } from './model.ts'

export interface AppContext {
  readonly model: ServedModel
  readonly pool: EnginePool
  readonly state: ServerState
  /** The runtime's own version, for server metadata. */
  readonly serverVersion: string
  readonly onBug: (error: unknown) => void
}

export function createApp({ model, pool, state, serverVersion, onBug }: AppContext): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')

  app.get('/', (_request, response) => sendJson(response, 200, { status: 'alive' }))
  app.get('/v2', (_request, response) => {
    sendJson(response, 200, { name: 'slipway', version: serverVersion, extensions: [] })
  })
  app.get('/v2/models', (_request, response) => sendJson(response, 200, { models: [model.name] }))

  const metadata: RequestHandler<{ model: string; version?: string }> = ({ params }, response) => {
    const unknown = checkModel(model, params.model, params.version)
    if (unknown !== undefined) return sendFault(response, unknown)
    const { signature } = pool
    if (signature === undefined) {
      const reason = state.health().reason ?? 'it is loading'
      return sendFault(response, fault('NotReady', { model: model.name, reason }))
    }
    return sendJson(response, 200, {
      name: model.name,
      versions: [model.version],
      platform: 'onnx_onnxv1',
      inputs: signature.inputs,
      outputs: signature.outputs,
    })
  }
  app.get('/v2/models/:model', metadata)
  app.get('/v2/models/:model/versions/:version', metadata)

  for (const path of ['/', '/v2', '/v2/models']) {
    app.all(path, ({ method }, response) => {
      response.setHeader('allow', 'GET, HEAD')
      sendFault(response, fault('MethodNotAllowed', { method, path, allowed: 'GET' }))
    })
  }
  app.use(({ path }, response) => sendFault(response, fault('UnknownPath', { path, model: model.name })))

  // express tells an error handler by its four parameters.
  const failed: ErrorRequestHandler = (error, { path }, response, _next) => {
    if (error instanceof URIError) return sendFault(response, fault('MalformedPath', { path }))
    onBug(error)
    return sendFault(response, reportOf(error))
  }
  app.use(failed)
  return app
}
