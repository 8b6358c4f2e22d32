/**
 * The first stop of every request: health and inference are answered right here, the rest goes to express.
 * Health must never wait for anything: it is answered from memory, in the thread that runs no inference.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Fault } from '../errors.ts'
import type { Models } from '../models.ts'
import { route, type ModelRef, type Refusal } from '../protocols/routes.ts'
import type { Protocol } from '../protocols/wire.ts'
import type { ServerState } from '../state.ts'
import type { LiveVersion } from '../version.ts'
import { sendFault, sendJson, stamp } from './answer.ts'
import { infer, refuse, type Inference } from './infer.ts'
import { findVersion } from './find.ts'

export interface Dispatch extends Inference {
  readonly models: Models
  readonly state: ServerState
  /** Everything the dispatcher does not answer itself. */
  readonly app: RequestListener
}

export function createDispatcher(context: Dispatch): RequestListener {
  const { models, state, answering, app } = context
  return (request, response) => {
    const { method = 'GET', url = '/' } = request
    const call = route(method, url)
    // The hot path stamps its own answers.
    if (call.name !== 'infer') stamp(response, answering)
    switch (call.name) {
      case 'live':
        return answerLive(response, state)
      case 'ready':
        return answerReady(response, state)
      case 'ping':
        return answerPing(response, state)
      case 'modelReady': {
        const found = findVersion(models, 'oip', call.ref)
        if (found instanceof Fault) return sendFault(response, found)
        const { ready, reason } = state.draining ? state.health() : found.health()
        return sendJson(response, ready ? 200 : 503, { name: found.name, ready, ...(ready ? {} : { reason }) })
      }
      case 'infer': {
        const { protocol, ref } = call
        const found = serving(models, protocol, ref)
        if (found instanceof Fault) {
          return refuse(request, response, found, context, { protocol, started: performance.now() })
        }
        return void infer(request, response, found, protocol, context)
      }
      case 'refused':
        return answerRefused(request, response, call, context)
      case 'other':
        return app(request, response)
    }
    return undefined
  }
}

/** The version that a request for a prediction means, if it can be asked. */
function serving(models: Models, protocol: Protocol, ref: ModelRef): LiveVersion | Fault {
  const found = findVersion(models, protocol, ref)
  return found instanceof Fault ? found : (found.notReady() ?? found)
}

function answerLive(response: ServerResponse, state: ServerState): void {
  const { live, reason } = state.health()
  sendJson(response, live ? 200 : 503, { live, ...(live ? {} : { reason }) })
}

function answerReady(response: ServerResponse, state: ServerState): void {
  const { live, ready, reason } = state.health()
  sendJson(response, ready ? 200 : 503, { live, ready, ...(ready ? {} : { reason }) })
}

/** TorchServe's health check. */
function answerPing(response: ServerResponse, state: ServerState): void {
  const { ready } = state.health()
  sendJson(response, ready ? 200 : 503, { status: ready ? 'Healthy' : 'Unhealthy' })
}

function answerRefused(request: IncomingMessage, response: ServerResponse, refusal: Refusal, context: Dispatch): void {
  const { fault, protocol, allow } = refusal
  if (allow !== undefined) response.setHeader('allow', allow)
  if (request.method === 'GET' || request.method === 'HEAD') return sendFault(response, fault, protocol)
  return refuse(request, response, fault, context, { protocol, started: performance.now() })
}
