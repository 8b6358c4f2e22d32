/**
 * How a failure of the error table looks in gRPC: its status code, its words, and when to try again.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
 */
import { Metadata, status, type StatusObject } from '@grpc/grpc-js'
import type { FaultReport } from '../errors.ts'

/** The status codes by the HTTP status that the same failure has over REST. */
const codes = new Map<number, status>([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.NOT_FOUND],
  [413, status.RESOURCE_EXHAUSTED],
  [415, status.UNIMPLEMENTED],
  [429, status.RESOURCE_EXHAUSTED],
  [501, status.UNIMPLEMENTED],
  [503, status.UNAVAILABLE],
  [504, status.DEADLINE_EXCEEDED],
])

/** Clients refuse more metadata than 8 KiB, and every byte of a word may take three there. */
const maxWords = 2000

/** What tells a client's retry policy how long to wait, in milliseconds. */
const pushbackHeader = 'grpc-retry-pushback-ms'

/**
 * The status of a failed call.
 * @param metadata what every answer carries; it is not changed
 * @param retryAfterMs what to tell clients who may find room later
 */
export function statusOf(
  { code, status: httpStatus, message }: FaultReport,
  metadata: Metadata,
  retryAfterMs: number,
): StatusObject {
  const trailer = metadata.clone()
  if (code === 'QueueFull' || code === 'NotReady' || httpStatus === 429) {
    trailer.set(pushbackHeader, String(retryAfterMs))
  }
  return { code: codes.get(httpStatus) ?? status.INTERNAL, details: inHeader(message), metadata: trailer }
}

/** Words as grpc-js can write them into a header: not too long, and without half a character where they were cut. */
function inHeader(message: string): string {
  const cut = message.length <= maxWords ? message : `${message.slice(0, maxWords)}…`
  return cut.toWellFormed()
}
