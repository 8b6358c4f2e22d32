/**
 * Everything that is not on the hot path, on express: descriptions of server and model, and unknown paths.
 */
import express, { type ErrorRequestHandler, type Express, type Response } from 'express'
import { Fault, fault, reportOf } from '../errors.ts'
import type { Models } from '../models.ts'
import type { ModelRef } from '../protocols/routes.ts'
import type { Protocol } from '../protocols/wire.ts'
import type { ServerState } from '../state.ts'
import type { Signature } from '../tensor.ts'
import type { LiveVersion } from '../version.ts'
import { sendFault, sendJson } from './answer.ts'
import { docsRoutes } from './docs.ts'
import { findVersion } from './find.ts'
import { reads } from './methods.ts'
import { tensorflowRoutes } from './tensorflow.ts'
import { tritonRoutes } from './triton.ts'

export interface AppContext {
  readonly models: Models
  readonly state: ServerState
  /** The runtime's own version, for server metadata. */
  readonly serverVersion: string
  readonly onBug: (error: unknown) => void
}

/** The extensions of the protocol that really work here, by the names Triton gives them. */
export const extensions = [
  'binary_tensor_data',
  'classification',
  'model_configuration',
  'parameters',
  'schedule_policy',
  'statistics',
]

export function createApp(context: AppContext): Express {
  const { models, serverVersion, onBug } = context
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')

  docsRoutes(app, context)
  reads(app, '/', (_request, response) => sendJson(response, 200, { status: 'alive' }))
  reads(app, '/v2', (_request, response) => {
    sendJson(response, 200, { name: 'slipway', version: serverVersion, extensions })
  })
  reads(app, '/v2/models', (_request, response) => sendJson(response, 200, { models: [models.name] }))
  tritonRoutes(app, context)
  tensorflowRoutes(app, context)
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    reads<ModelRef & Record<string, string>>(app, path, ({ params }, response) => {
      describe(models, 'oip', params, response, (version, signature) => ({
        name: version.name,
        versions: models.list().map((known) => known.version),
        platform: 'onnx_onnxv1',
        ...signature,
      }))
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

/** Answers with what is known of a version, or says why nothing is yet. */
export function describe(
  models: Models,
  protocol: Protocol,
  ref: ModelRef,
  response: Response,
  body: (version: LiveVersion, signature: Signature) => object,
): void {
  const found = findVersion(models, protocol, ref)
  if (found instanceof Fault) return sendFault(response, found)
  const { name, signature } = found
  if (signature === undefined) {
    return sendFault(response, found.notReady() ?? fault('NotReady', { model: name, reason: 'it is loading' }))
  }
  return sendJson(response, 200, body(found, signature))
}
