/**
 * Asks for a key, and holds each client to its limit, before the message of a call is read. Health stays open, and so does
 * reflection, which tells nothing of a model.
 */
import {
  ServerInterceptingCall,
  type Metadata,
  type ServerInterceptor,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js'
import type { Access, Asker, Leave } from '../access.ts'
import { Fault } from '../errors.ts'
import { serviceName } from './api/inference.ts'

const open = new Set(['ServerLive', 'ServerReady'].map((method) => `/${serviceName}/${method}`))

/** @param refused the status of a call that is not let in */
export function guard(
  access: Access,
  refused: (metadata: Metadata, fault: Fault) => Parameters<ServerInterceptingCallInterface['sendStatus']>[0],
): ServerInterceptor {
  return ({ path }, call) => {
    if (open.has(path) || !path.startsWith(`/${serviceName}/`)) return new ServerInterceptingCall(call)
    let leave: Leave | undefined
    const end = (): void => {
      leave?.()
      leave = undefined
    }
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            const admitted = access.admit(askerOf(metadata, call.getPeer(), access.clientHeader))
            if (admitted instanceof Fault) return call.sendStatus(refused(metadata, admitted))
            leave = admitted
            return pass(metadata)
          },
          onReceiveMessage: (message, pass) => pass(message),
          onReceiveHalfClose: (pass) => pass(),
          onCancel: end,
        })
      },
      sendStatus(status, pass) {
        end()
        pass(status)
      },
    })
  }
}

function askerOf(metadata: Metadata, peer: string, clientHeader: string | undefined): Asker {
  const text = (name: string): string | undefined => {
    const [value] = metadata.get(name)
    return typeof value === 'string' ? value : undefined
  }
  return {
    authorization: text('authorization'),
    apiKey: text('x-api-key'),
    named: clientHeader === undefined ? undefined : text(clientHeader),
    // A client is its host: each of its connections has another port.
    address: peer.replace(/:\d+$/, ''),
  }
}
