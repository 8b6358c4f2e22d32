/**
 * What the server tells people: the OpenAPI description, an example request, and the page to try the model by hand.
 */
import type { Express, Response } from 'express'
import { Fault, fault } from '../errors.ts'
import type { ModelRef } from '../protocols/routes.ts'
import { readPage } from '../page.ts'
import { exampleRequest, openApi, type Described } from '../protocols/openapi.ts'
import { sendBytes, sendFault, sendJson } from './answer.ts'
import type { AppContext } from './app.ts'
import { findVersion } from './find.ts'
import { reads } from './methods.ts'

type Params = ModelRef & Record<string, string>

export function docsRoutes(app: Express, { models, serverVersion }: AppContext): void {
  const describe = (ref: ModelRef, response: Response, answer: (model: Described) => void): void => {
    const found = findVersion(models, 'oip', ref)
    if (found instanceof Fault) return sendFault(response, found)
    const { name, version, signature, pool } = found
    if (signature === undefined) {
      return sendFault(response, found.notReady() ?? fault('NotReady', { model: name, reason: 'it is loading' }))
    }
    return answer({ name, version, signature, example: pool.example })
  }
  const openApiOf = (ref: ModelRef, response: Response): void =>
    describe(ref, response, (model) => sendJson(response, 200, openApi(model, serverVersion)))

  for (const path of ['/v2/docs', '/v2/docs/dataplane.json']) {
    reads(app, path, (_request, response) => openApiOf({ model: models.name }, response))
  }
  // TorchServe's clients ask for the description so.
  app.options('/', (_request, response) => openApiOf({ model: models.name }, response))
  for (const base of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    for (const path of [`${base}/docs`, `${base}/docs/dataplane.json`]) {
      reads<Params>(app, path, ({ params }, response) => openApiOf(params, response))
    }
    reads<Params>(app, `${base}/example`, ({ params }, response) => {
      describe(params, response, (model) => {
        const example = exampleRequest(model)
        if (example === undefined) return sendFault(response, fault('ExampleTooLarge', { model: model.name }))
        return sendBytes(response, 200, example)
      })
    })
  }

  for (const { path, type, bytes } of readPage()) {
    reads(app, path, (_request, response) => sendBytes(response, 200, bytes, { ...pageHeaders, 'content-type': type }))
  }
}

/** The page loads nothing but its own files and asks nobody but this server, and no other page may frame it. */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
}
