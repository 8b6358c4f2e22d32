/**
 * The first stop of every request: health and inference are answered right here, the rest goes to express.
 * Health must never wait for anything: it is answered from memory, in the thread that runs no inference.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Fault, fault } from '../errors.ts'
import { allowedMethods, routeOip } from '../protocols/oip.ts'
import type { ServerState } from '../state.ts'
import { sendFault, sendJson, stamp } from './answer.ts'
import { infer, refuse, type Inference } from './infer.ts'
import { checkModel, type ServedModel } from './model.ts'

export interface Dispatch extends Inference {
  readonly model: ServedModel
  readonly state: ServerState
  /** Everything the dispatcher does not answer itself. */
  readonly app: RequestListener
}

export function createDispatcher(context: Dispatch): RequestListener {
  const { model, state, answering, app } = context
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
        const unknown = checkModel(model, call.model, call.version)
        if (unknown !== undefined) return sendFault(response, unknown)
        const { ready, reason } = state.health()
        return sendJson(response, ready ? 200 : 503, { name: model.name, ready, ...(ready ? {} : { reason }) })
      }
      case 'infer': {
        const refused = checkModel(model, call.model, call.version) ?? notServing(model, state)
        if (refused !== undefined) return refuse(request, response, refused, context, performance.now())
        return void infer(request, response, context)
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

/** While draining, requests are still answered: it takes seconds until every client has heard of it. */
function notServing(model: ServedModel, state: ServerState): Fault | undefined {
  const { phase } = state
  if (phase.name !== 'Loading') return undefined
  return fault('NotReady', { model: model.name, reason: `it is ${phase.doing}` })
}

function refuseEarly(request: IncomingMessage, response: ServerResponse, call: Fault, context: Dispatch): void {
  if (request.method === 'GET' || request.method === 'HEAD') sendFault(response, call)
  else refuse(request, response, call, context, performance.now())
}
