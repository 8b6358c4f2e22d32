/**
 * Everything that is not on the hot path, on express: server and model metadata, the list of models, unknown paths.
 */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { Fault, fault, reportOf } from '../errors.ts'
import type { Models } from '../models.ts'
import { sendFault, sendJson } from './answer.ts'

export interface AppContext {
  readonly models: Models
  /** The runtime's own version, for server metadata. */
  readonly serverVersion: string
  readonly onBug: (error: unknown) => void
}

export function createApp({ models, serverVersion, onBug }: AppContext): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')

  app.get('/', (_request, response) => sendJson(response, 200, { status: 'alive' }))
  app.get('/v2', (_request, response) => {
    sendJson(response, 200, { name: 'slipway', version: serverVersion, extensions: [] })
  })
  app.get('/v2/models', (_request, response) => sendJson(response, 200, { models: [models.name] }))

  const metadata: RequestHandler<{ model: string; version?: string }> = ({ params }, response) => {
    const found = models.find(params.model, params.version)
    if (found instanceof Fault) return sendFault(response, found)
    const { name, signature } = found
    if (signature === undefined) {
      return sendFault(response, found.notReady() ?? fault('NotReady', { model: name, reason: 'it is loading' }))
    }
    return sendJson(response, 200, {
      name,
      versions: models.list().map(({ version }) => version),
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
  app.use(({ path }, response) => sendFault(response, fault('UnknownPath', { path, model: models.name })))

  // express tells an error handler by its four parameters.
  const failed: ErrorRequestHandler = (error, { path }, response, _next) => {
    if (error instanceof URIError) return sendFault(response, fault('MalformedPath', { path }))
    onBug(error)
    return sendFault(response, reportOf(error))
  }
  app.use(failed)
  return app
}
