/**
 * Asks for a key, and holds each client to its limit, before anything of a request is read. Health stays open: the
 * kubelet has no key.
 */
import type { IncomingMessage, RequestListener } from 'node:http'
import type { Access, Asker } from '../access.ts'
import { Fault } from '../errors.ts'
import { route } from '../protocols/routes.ts'
import { refuse, type Inference } from './infer.ts'

export function guarded(access: Access, context: Inference, dispatch: RequestListener): RequestListener {
  return (request, response) => {
    const call = route(request.method ?? 'GET', request.url ?? '/')
    if (call.name === 'live' || call.name === 'ready' || call.name === 'ping') return dispatch(request, response)
    const admitted = access.admit(askerOf(request, access.clientHeader))
    if (admitted instanceof Fault) {
      const protocol = call.name === 'infer' || call.name === 'refused' ? call.protocol : 'oip'
      if (admitted.code === 'KeyUnknown') response.setHeader('www-authenticate', 'Bearer')
      return refuse(request, response, admitted, context, { protocol, started: performance.now() })
    }
    response.once('close', admitted)
    return dispatch(request, response)
  }
}

function askerOf({ headers, socket }: IncomingMessage, clientHeader: string | undefined): Asker {
  const text = (name: string): string | undefined => {
    const value = headers[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    authorization: headers.authorization,
    apiKey: text('x-api-key'),
    named: clientHeader === undefined ? undefined : text(clientHeader),
    address: socket.remoteAddress ?? '',
  }
}
