/**
 * Writes HTTP answers: always with the revision, and with `Connection: close` while the server drains or the connection is old.
 */
import type { ServerResponse } from 'node:http'
import type { FaultReport } from '../errors.ts'
import type { Protocol } from '../protocols/wire.ts'
import { isOverAge } from './connectionage.ts'

/** The header that says which revision answered. */
export const revisionHeader = 'x-slipway-revision'

export interface Answering {
  readonly revision: string
  /** Whether clients should open their next connection elsewhere. */
  readonly closing: () => boolean
}

/** Marks an answer before anything is written: revision, and the end of the connection while draining. */
export function stamp(response: ServerResponse, { revision, closing }: Answering): void {
  response.setHeader(revisionHeader, revision)
  if (closing() || isOverAge(response.req.socket)) response.shouldKeepAlive = false
}

export function sendBytes(
  response: ServerResponse,
  status: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
): void {
  response.writeHead(status, { ...headers, 'content-length': body.byteLength })
  response.end(body)
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  sendBytes(response, status, Buffer.from(JSON.stringify(body)))
}

/** The protocol's error object. */
export function sendFault(response: ServerResponse, report: FaultReport, protocol: Protocol = 'oip'): void {
  sendJson(response, report.status, errorBody(report, protocol))
}

/** An error as the clients of a protocol read it. */
export function errorBody({ status, message }: FaultReport, protocol: Protocol): object {
  if (protocol !== 'torchserve') return { error: message }
  return { code: status, type: torchServeTypes.get(status) ?? 'InternalServerException', message, error: message }
}

const torchServeTypes = new Map([
  [400, 'BadRequestException'],
  [404, 'ModelNotFoundException'],
  [405, 'MethodNotAllowedException'],
  [413, 'RequestEntityTooLargeException'],
  [415, 'BadRequestException'],
  [503, 'ServiceUnavailableException'],
])
