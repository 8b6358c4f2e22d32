/**
 * The addresses of all protocols over HTTP: which call a method and path mean. Pure.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 * @see https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md
 */
import { fault, type Fault } from '../errors.ts'
import type { Protocol } from './wire.ts'

/** Which model a path names, and which of its versions. */
export interface ModelRef {
  readonly model: string
  readonly version?: string
  readonly label?: string
}

/** The calls with a hand-written fast way; everything else is `other`. */
export type Call =
  | { readonly name: 'live' | 'ready' | 'ping' | 'other' }
  | { readonly name: 'modelReady'; readonly ref: ModelRef }
  | { readonly name: 'infer'; readonly protocol: Protocol; readonly ref: ModelRef }

/** A path that is refused, and the methods it does take (for `Allow`). */
export interface Refusal {
  readonly name: 'refused'
  readonly fault: Fault
  readonly protocol: Protocol
  readonly allow?: string
}

/** Finds the call of a request target. Says nothing yet about the model's existence. */
export function route(method: string, target: string): Call | Refusal {
  const query = target.indexOf('?')
  const path = query === -1 ? target : target.slice(0, query)
  if (path === '/v2/health/live') return reads(method, path, { name: 'live' })
  if (path === '/v2/health/ready') return reads(method, path, { name: 'ready' })
  if (path === '/ping') return reads(method, path, { name: 'ping' })
  try {
    if (path.startsWith('/v2/models/')) return routeOip(method, path)
    if (path.startsWith('/v1/models/')) return routeV1(method, path)
    if (path.startsWith('/predictions/')) return routeTorchServe(method, path)
  } catch (error) {
    if (error instanceof URIError) {
      return { name: 'refused', fault: fault('MalformedPath', { path }), protocol: protocolOf(path) }
    }
    throw error
  }
  return { name: 'other' }
}

const oipPath = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?\/(ready|infer)$/

function routeOip(method: string, path: string): Call | Refusal {
  const [, model, version, action] = oipPath.exec(path) ?? []
  if (model === undefined) return { name: 'other' }
  const ref = refOf(model, version)
  if (action === 'ready') return reads(method, path, { name: 'modelReady', ref })
  return posts(method, path, { name: 'infer', protocol: 'oip', ref })
}

/** TensorFlow Serving's paths, of which KServe V1's are a part. The colon may come escaped. */
const v1Path = /^\/v1\/models\/([^/:]*?)(?:\/versions\/([^/:]+?)|\/labels\/([^/:]+?))?(?:(?::|%3[aA])([A-Za-z]+))?$/

function routeV1(method: string, path: string): Call | Refusal {
  const [, model, version, label, verb] = v1Path.exec(path) ?? []
  if (verb === undefined) return { name: 'other' }
  const refuse = (refused: Fault): Refusal => ({ name: 'refused', fault: refused, protocol: 'v1' })
  if (model === undefined || model === '') return refuse(fault('V1ModelMissing', { path }))
  const lower = verb.toLowerCase()
  if (lower === 'predict') {
    return posts(method, path, { name: 'infer', protocol: 'v1', ref: refOf(model, version, label) })
  }
  if (['classify', 'regress', 'explain'].includes(lower)) return refuse(fault('V1Verb', { verb: lower, model }))
  return refuse(fault('V1Malformed', { method, path }))
}

function routeTorchServe(method: string, path: string): Call | Refusal {
  const [, model, version] = /^\/predictions\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? []
  if (model === undefined) return { name: 'other' }
  const call = { name: 'infer', protocol: 'torchserve', ref: refOf(model, version) } as const
  // TorchServe's clients may also put: `curl -T file` does.
  return method === 'PUT' ? call : posts(method, path, call, 'POST, PUT')
}

function refOf(model: string, version: string | undefined, label?: string): ModelRef {
  return {
    model: decodeURIComponent(model),
    ...(version === undefined ? {} : { version: decodeURIComponent(version) }),
    ...(label === undefined ? {} : { label: decodeURIComponent(label) }),
  }
}

function reads(method: string, path: string, call: Call): Call | Refusal {
  if (method === 'GET' || method === 'HEAD') return call
  return notAllowed(method, path, 'GET', 'GET, HEAD')
}

function posts(method: string, path: string, call: Call, allow = 'POST'): Call | Refusal {
  return method === 'POST' ? call : notAllowed(method, path, 'POST', allow)
}

function notAllowed(method: string, path: string, allowed: string, allow: string): Refusal {
  return {
    name: 'refused',
    fault: fault('MethodNotAllowed', { method, path, allowed }),
    protocol: protocolOf(path),
    allow,
  }
}

function protocolOf(path: string): Protocol {
  if (path.startsWith('/v1/')) return 'v1'
  return path.startsWith('/v2/') ? 'oip' : 'torchserve'
}
