/**
 * The first stop of every request: health and inference are answered right here, the rest goes to express.
 * Health must never wait for anything: it is answered from memory, in the thread that runs no inference.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Fault } from '../errors.ts'
import type { Models } from '../models.ts'
import { allowedMethods, routeOip } from '../protocols/oip.ts'
import type { ServerState } from '../state.ts'
import { sendFault, sendJson, stamp } from './answer.ts'
import { infer, refuse, type Inference } from './infer.ts'

export interface Dispatch extends Inference {
  readonly models: Models
  readonly state: ServerState
  /** Everything the dispatcher does not answer itself. */
  readonly app: RequestListener
}

export function createDispatcher(context: Dispatch): RequestListener {
  const { models, state, answering, app } = context
  return (request, response) => {
    stamp(response, answering)
    const { method = 'GET', url = '/' } = request
    const call = routeOip(method, url)
    if (call instanceof Fault) {
      if (call.status === 405) response.setHeader('allow', allowedMethods(url))
      return refuseEarly(request, response, call, context)
    }
    switch (call.name) {
      case 'live':
        return answerLive(response, state)
      case 'ready':
        return answerReady(response, state)
      case 'modelReady': {
        const found = models.find(call.model, call.version)
        if (found instanceof Fault) return sendFault(response, found)
        const { ready, reason } = state.draining ? state.health() : found.health()
        return sendJson(response, ready ? 200 : 503, { name: found.name, ready, ...(ready ? {} : { reason }) })
      }
      case 'infer': {
        const found = models.find(call.model, call.version)
        if (found instanceof Fault) return refuse(request, response, found, context, performance.now())
        const early = found.notReady()
        if (early !== undefined) return refuse(request, response, early, context, performance.now())
        return void infer(request, response, found, context)
      }
      case 'modelMetadata':
      case 'other':
        return app(request, response)
    }
    return undefined
  }
}

function answerLive(response: ServerResponse, state: ServerState): void {
  const { live, reason } = state.health()
  sendJson(response, live ? 200 : 503, { live, ...(live ? {} : { reason }) })
}

function answerReady(response: ServerResponse, state: ServerState): void {
  const { live, ready, reason } = state.health()
  sendJson(response, ready ? 200 : 503, { live, ready, ...(ready ? {} : { reason }) })
}

function refuseEarly(request: IncomingMessage, response: ServerResponse, call: Fault, context: Dispatch): void {
  if (request.method === 'GET' || request.method === 'HEAD') sendFault(response, call)
  else refuse(request, response, call, context, performance.now())
}
