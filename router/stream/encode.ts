// From the JSON form of Envoy's messages, in which everything here is written and read by people, to protobuf, the only
// form that its stream takes. What the tables do not know is an error: nothing is left out in silence. Pure.
import type { Message } from '../xds/json.ts'
import { messages, type Field, type FieldType } from './schema.ts'
import { Writer } from './wire.ts'

/** @throws EncodeError naming the field: a bug of ours, since users write nothing of this form */
export const encode = (type: string, json: Message): Buffer => {
  const fields = messages[type]
  if (fields === undefined) throw new EncodeError(`${type}: the tables of router/stream/schema.ts have no such message`)
  const writer = new Writer()
  for (const [name, value] of Object.entries(json)) {
    if (name === '@type' || value === undefined) continue
    const field = fields[name]
    if (field === undefined) throw new EncodeError(`${type}.${name}: router/stream/schema.ts has no such field`)
    put(writer, field, value, `${type}.${name}`)
  }
  return writer.done()
}

/** A message that says its own type in `@type`, as an `Any`. */
export const encodeAny = (json: Message): Buffer => {
  const url = json['@type']
  if (typeof url !== 'string')
    throw new EncodeError(`a message without "@type" cannot be an Any: ${JSON.stringify(json)}`)
  return new Writer()
    .text(1, url)
    .bytes(2, encode(url.slice(url.indexOf('/') + 1), json))
    .done()
}

/** What was to be sent has no place in Envoy's messages. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError'
}

const put = (writer: Writer, field: Field, value: unknown, at: string): void => {
  const { number, type, label } = field
  if (label === 'many') {
    for (const item of asArray(value, at)) putOne(writer, number, type, item, at)
  } else if (label === 'map') {
    for (const [key, item] of Object.entries(asObject(value, at))) {
      const entry = new Writer().text(1, key)
      putOne(entry, 2, type, item, at)
      writer.bytes(number, entry.done())
    }
  } else putOne(writer, number, type, value, at)
}

/** Zero and false are written too: in a oneof they say which of its fields is meant. */
const putOne = (writer: Writer, number: number, type: FieldType, value: unknown, at: string): void => {
  if (type === 'string') writer.text(number, asText(value, at))
  else if (type === 'bool') writer.uint(number, asBoolean(value, at) ? 1 : 0)
  else if (type === 'uint') writer.uint(number, asNumber(value, at))
  else if (type === 'double') writer.double(number, asNumber(value, at))
  else if (type === 'any') writer.bytes(number, encodeAny(asObject(value, at)))
  else if (type === 'duration') writer.bytes(number, durationOf(asText(value, at), at))
  else if (type === 'struct') writer.bytes(number, struct(asObject(value, at), at))
  else if ('enum' in type) writer.uint(number, enumOf(type.enum, asText(value, at), at))
  else if ('wrapped' in type) {
    const wrapper = new Writer()
    putOne(wrapper, 1, type.wrapped, value, at)
    writer.bytes(number, wrapper.done())
  } else writer.bytes(number, encode(type.message, asObject(value, at)))
}

const enumOf = (values: Readonly<Record<string, number>>, name: string, at: string): number => {
  const value = values[name]
  if (value === undefined) throw new EncodeError(`${at}: "${name}" is none of ${Object.keys(values).join(', ')}`)
  return value
}

/** `"1.5s"`. @see google.protobuf.Duration */
const durationOf = (text: string, at: string): Buffer => {
  const [, whole = '', part = ''] = /^([0-9]+)(?:\.([0-9]{1,9}))?s$/.exec(text) ?? []
  if (whole === '') throw new EncodeError(`${at}: "${text}" is no duration such as "1.5s"`)
  return new Writer()
    .uint(1, Number(whole))
    .uint(2, Number(part.padEnd(9, '0')))
    .done()
}

/** @see google.protobuf.Struct; only texts and structs in it, which is all that we write */
const struct = (json: Message, at: string): Buffer => {
  const writer = new Writer()
  for (const [key, value] of Object.entries(json)) {
    const kind = new Writer().text(3, asText(value, `${at}.${key}`)).done()
    writer.bytes(1, new Writer().text(1, key).bytes(2, kind).done())
  }
  return writer.done()
}

const wrong = (value: unknown, at: string, wanted: string): EncodeError =>
  new EncodeError(`${at}: ${JSON.stringify(value)} is no ${wanted}`)

const asText = (value: unknown, at: string): string => {
  if (typeof value !== 'string') throw wrong(value, at, 'text')
  return value
}

const asNumber = (value: unknown, at: string): number => {
  if (typeof value !== 'number') throw wrong(value, at, 'number')
  return value
}

const asBoolean = (value: unknown, at: string): boolean => {
  if (typeof value !== 'boolean') throw wrong(value, at, 'boolean')
  return value
}

const asObject = (value: unknown, at: string): Message => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(value, at, 'object')
  return value as Message
}

const asArray = (value: unknown, at: string): readonly unknown[] => {
  if (!Array.isArray(value)) throw wrong(value, at, 'list')
  return value
}
