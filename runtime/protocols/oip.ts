/**
 * The addresses of the Open Inference Protocol v2 over HTTP: which call a method and path mean. Pure.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
import { fault, type Fault } from '../errors.ts'

/** The calls with a hand-written fast way; everything else of the protocol is `other`. */
export type Call =
  | { readonly name: 'live' | 'ready' | 'other' }
  | {
      readonly name: 'modelReady' | 'modelMetadata' | 'infer'
      readonly model: string
      readonly version: string | undefined
    }

type ModelCall = 'modelReady' | 'modelMetadata' | 'infer'

/** Finds the call of a request target, or the Fault to answer. Says nothing yet about the model's existence. */
export function routeOip(method: string, target: string): Call | Fault {
  const query = target.indexOf('?')
  const path = query === -1 ? target : target.slice(0, query)
  if (path === '/v2/health/live') return reads(method, path, { name: 'live' })
  if (path === '/v2/health/ready') return reads(method, path, { name: 'ready' })
  const match = modelPath.exec(path)
  if (match === null) return { name: 'other' }
  const [, model = '', version, action] = match
  let call: Exclude<Call, { name: 'live' | 'ready' | 'other' }>
  try {
    call = {
      name: callOfAction(action),
      model: decodeURIComponent(model),
      version: version === undefined ? undefined : decodeURIComponent(version),
    }
  } catch {
    return fault('MalformedPath', { path })
  }
  if (call.name !== 'infer') return reads(method, path, call)
  if (method === 'POST') return call
  return fault('MethodNotAllowed', { method, path, allowed: 'POST' })
}

/** What `Allow` says for a path of the protocol. */
export function allowedMethods(target: string): string {
  return /^\/v2\/models\/[^?]*\/infer(?:$|\?)/.test(target) ? 'POST' : 'GET, HEAD'
}

const modelPath = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/

function callOfAction(action: string | undefined): ModelCall {
  if (action === 'ready') return 'modelReady'
  return action === 'infer' ? 'infer' : 'modelMetadata'
}

function reads(method: string, path: string, call: Call): Call | Fault {
  if (method === 'GET' || method === 'HEAD') return call
  return fault('MethodNotAllowed', { method, path, allowed: 'GET' })
}
