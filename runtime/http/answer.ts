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
export function stamp(response: ServerResponse, answering: Answering): void {
  response.setHeader(revisionHeader, answering.revision)
  closeIfDue(response, answering)
}

/** Makes it the last answer of its connection while draining, and of an old one. */
export function closeIfDue(response: ServerResponse, { closing }: Answering): void {
  if (closing() || isOverAge(response.req.socket)) response.shouldKeepAlive = false
}

export function sendBytes(
  response: ServerResponse,
  status: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
): void {
  response.writeHead(status, { ...headers, 'content-length': body.byteLength })
  // Node writes a head and a string as one piece; in Latin-1 a character is a byte.
  if (body.byteLength <= onePieceBytes) response.end(latin1(body), 'latin1')
  else response.end(body)
}

/** Up to so many bytes a copy costs less than a second piece. */
const onePieceBytes = 4096

const latin1 = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')

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
