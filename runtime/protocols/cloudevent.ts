/**
 * CloudEvents around a request and its answer, as KServe's V1 servers take and give them: in binary mode the event's
 * attributes are headers and the body is the request; in structured mode the body is the event and holds it as `data`.
 *
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
 */
import { randomUUID } from 'node:crypto'
import { fault } from '../errors.ts'
import type { Encoded } from './codec.ts'
import { char, JsonScanner } from './json/scanner.ts'
import { JsonWriter } from './json/writer.ts'

export type EventMode = 'binary' | 'structured'

export const structuredType = 'application/cloudevents+json'

/**
 * The request inside a structured event.
 * @throws Fault when it is no event or holds no data
 */
export function dataOfEvent(body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const scanner = new JsonScanner(body)
  if (scanner.peek() !== char.openObject) {
    throw fault('FieldType', {
      field: 'the event',
      found: scanner.kind(),
      expected: 'an object with specversion and data',
    })
  }
  const seen = new Set<string>()
  let data: Uint8Array<ArrayBuffer> | undefined
  scanner.object(1, (key) => {
    if (seen.has(key)) throw fault('FieldTwice', { field: key })
    seen.add(key)
    if (key === 'data') {
      scanner.peek()
      const start = scanner.at
      scanner.skip(2, true)
      data = body.subarray(start, scanner.at)
    } else if (key === 'data_base64') {
      data = Uint8Array.from(Buffer.from(attribute(scanner, key), 'base64'))
    } else if (attributes.includes(key)) {
      const value = attribute(scanner, key)
      if (key === 'specversion' && value !== '1.0') throw fault('EventVersion', { found: value })
    } else scanner.skip(2, true)
  })
  scanner.end()
  for (const name of attributes) {
    if (!seen.has(name)) throw fault('FieldMissing', { field: name, expected: 'an attribute of the CloudEvent' })
  }
  if (data === undefined) throw fault('FieldMissing', { field: 'data', expected: 'the inference request' })
  return data
}

/** The answer as an event of the same mode. Its attributes are those of KServe's servers. */
export function eventOf({ body, headers }: Encoded, mode: EventMode, model: string): Encoded {
  const values = {
    specversion: '1.0',
    id: randomUUID(),
    source: `io.kserve.inference.${model}`,
    type: 'io.kserve.inference.response',
    time: new Date().toISOString(),
  }
  if (mode === 'binary') {
    const extra = Object.entries(values).map(([name, value]) => [`ce-${name}`, headerText(value)])
    return { body, headers: { ...headers, ...(Object.fromEntries(extra) as Record<string, string>) } }
  }
  const writer = new JsonWriter(body.byteLength + 512).raw('{')
  for (const [name, value] of Object.entries(values)) writer.string(name).raw(':').string(value).raw(',')
  writer.raw('"datacontenttype":"application/json","data":').bytes(body)
  return { body: writer.raw('}').finish(), headers: { 'content-type': structuredType } }
}

/** An attribute as a header has it: what is no visible ASCII, and `"` and `%`, in percent (binding for HTTP, 3.1.3.2). */
const headerText = (value: string): string => value.replaceAll(/[^\x21\x23\x24\x26-\x7e]+/gu, encodeURIComponent)

/** The attributes that every event must have. */
const attributes = ['specversion', 'id', 'source', 'type']

function attribute(scanner: JsonScanner, field: string): string {
  if (scanner.kind() === 'a string') return scanner.string()
  throw fault('FieldType', { field, found: scanner.kind(), expected: 'a string' })
}
