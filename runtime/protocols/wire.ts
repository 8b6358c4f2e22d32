/**
 * What the headers of an HTTP request say about its body: which wire format it has, and with which options. Pure.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { fault, type Fault } from '../errors.ts'
import { structuredType, type EventMode } from './cloudevent.ts'
import type { Wire } from './codecs.ts'
import { headerLengthHeader } from './oip-rest.ts'

/** The families of addresses at which predictions are asked for. */
export type Protocol = 'oip' | 'v1' | 'torchserve'

/** The wire format of a request, or the Fault to answer. */
export function wireOf(protocol: Protocol, headers: IncomingHttpHeaders): Wire | Fault {
  const type = mediaType(headers)
  const event = eventMode(type, headers)
  if (typeof event === 'object') return event
  const around = event === undefined ? {} : { event }
  switch (protocol) {
    case 'v1':
      return { codec: 'kserve-v1', options: undefined, ...around }
    case 'torchserve':
      if (type === 'multipart/form-data') return fault('MediaType', { found: type })
      return { codec: 'torchserve', options: { json: type !== 'application/octet-stream' }, ...around }
    case 'oip':
      break
  }
  const header = headers[headerLengthHeader]
  if (header === undefined) return { codec: 'oip-rest', options: { headerLength: undefined }, ...around }
  const text = String(header)
  if (!/^\d{1,10}$/.test(text)) return fault('BinaryHeader', { found: text, expected: 'a whole number from 0' })
  if (event === 'structured') {
    return fault('BinaryHeader', {
      found: text,
      expected: 'or leave it out, because a structured CloudEvent is all JSON',
    })
  }
  return { codec: 'oip-rest', options: { headerLength: Number(text) }, ...around }
}

/** Where binary tensors begin in a body of that format. */
export function tensorOffset(wire: Wire): number {
  return wire.codec === 'oip-rest' ? (wire.options.headerLength ?? 0) : 0
}

function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function eventMode(type: string, headers: IncomingHttpHeaders): EventMode | undefined | Fault {
  if (type === structuredType) return 'structured'
  if (type.startsWith('application/cloudevents')) return fault('MediaType', { found: type })
  const version = headers['ce-specversion']
  if (version === undefined) return undefined
  if (version !== '1.0') return fault('EventVersion', { found: String(version) })
  for (const name of ['ce-id', 'ce-source', 'ce-type']) {
    if (headers[name] === undefined) {
      return fault('FieldMissing', { field: `the header ${name}`, expected: 'an attribute of the CloudEvent' })
    }
  }
  return 'binary'
}
