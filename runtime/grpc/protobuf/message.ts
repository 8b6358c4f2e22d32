/**
 * Protobuf messages as plain data: a table of fields is the type, the reader, the writer and (in descriptor.ts) what
 * reflection tells. For the small messages of a service; tensors have a codec of their own.
 * It must answer every malformed message with a Fault that names the field.
 */
import { ProtoReader, wireType } from './reader.ts'
import { ProtoWriter } from './writer.ts'

export type ScalarName = 'bool' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'float' | 'double' | 'string' | 'bytes'

interface ScalarTypes {
  bool: boolean
  int32: number
  int64: bigint
  uint32: number
  uint64: bigint
  float: number
  double: number
  string: string
  bytes: Uint8Array<ArrayBuffer>
}

export interface EnumType {
  readonly kind: 'enum'
  readonly name: string
  /** Names by number, from 0 on. */
  readonly values: readonly string[]
}

export interface MessageType<F extends Fields = Fields> {
  readonly kind: 'message'
  readonly name: string
  readonly fields: F
  /** Types that are declared inside this one. */
  readonly nested: readonly (MessageType | EnumType)[]
}

export interface Field<Value = unknown> {
  readonly number: number
  readonly type: ScalarName | EnumType | MessageType
  readonly label: 'one' | 'many' | 'map'
  /** The group of fields of which at most one is set; such a field, like a message, is undefined when it is not. */
  readonly oneof?: string
  /** Never set: carries the type of the value, which may be undefined. */
  readonly carries?: { readonly value: Value }
}

export type Fields = Readonly<Record<string, Field>>

/** A message as it is read: every field is there, with protobuf's default when it was not sent. */
export type ValueOf<M> = M extends MessageType<infer F> ? { readonly [K in keyof F]: Carried<F[K]> } : never

/** A message as it is written: fields left out have protobuf's default. */
export type PartOf<M> = M extends MessageType<infer F> ? { readonly [K in keyof F]?: Carried<F[K]> } : never

type Carried<F extends Field> = NonNullable<F['carries']>['value']
type TypeValue<T> = T extends ScalarName ? ScalarTypes[T] : T extends EnumType ? number : PartOf<T>
type Presence<T> = T extends MessageType ? PartOf<T> | undefined : TypeValue<T>

export function message<F extends Fields>(
  name: string,
  fields: F,
  nested: readonly (MessageType | EnumType)[] = [],
): MessageType<F> {
  return { kind: 'message', name, fields, nested }
}

export function enumeration(name: string, values: readonly string[]): EnumType {
  return { kind: 'enum', name, values }
}

export function one<T extends Field['type']>(type: T, number: number): Field<Presence<T>> {
  return { number, type, label: 'one' }
}

/** A field of a oneof. */
export function choice<T extends Field['type']>(
  oneof: string,
  type: T,
  number: number,
): Field<TypeValue<T> | undefined> {
  return { number, type, label: 'one', oneof }
}

export function many<T extends Field['type']>(type: T, number: number): Field<readonly TypeValue<T>[]> {
  return { number, type, label: 'many' }
}

/** A map with text keys. */
export function map<T extends Field['type']>(type: T, number: number): Field<ReadonlyMap<string, TypeValue<T>>> {
  return { number, type, label: 'map' }
}

/** @throws Fault `InvalidProtobuf` */
export function decode<M extends MessageType>(type: M, bytes: Uint8Array<ArrayBuffer>): ValueOf<M> {
  return read(type, new ProtoReader(bytes, type.name), 0) as ValueOf<M>
}

export function encode<M extends MessageType>(type: M, value: PartOf<M>): Buffer<ArrayBuffer> {
  const writer = new ProtoWriter(64)
  write(writer, type, value)
  return writer.finish()
}

/** Messages inside messages; our own types nest a handful deep. */
const maxDepth = 32

type Values = Record<string, unknown>

function read({ name, fields }: MessageType, reader: ProtoReader, depth: number): Values {
  if (depth > maxDepth) throw reader.broken(`messages nest deeper than ${maxDepth} levels`)
  const value: Values = {}
  const byNumber = new Map<number, [string, Field]>()
  for (const [key, field] of Object.entries(fields)) {
    value[key] = emptyValue(field)
    byNumber.set(field.number, [key, field])
  }
  while (reader.next()) {
    const [key, field] = byNumber.get(reader.field) ?? []
    if (key === undefined || field === undefined) {
      reader.skip()
      continue
    }
    const path = `${name}.${key}`
    if (field.label === 'many') readMany(value[key] as unknown[], field, reader, path, depth)
    else if (field.label === 'map') readEntry(value[key] as Map<string, unknown>, field, reader, path, depth)
    else {
      value[key] = readOne(field, reader, path, depth)
      // Of a oneof the last one counts.
      for (const [other, { oneof }] of Object.entries(fields)) {
        if (oneof !== undefined && oneof === field.oneof && other !== key) value[other] = undefined
      }
    }
  }
  return value
}

function readOne({ type }: Field, reader: ProtoReader, path: string, depth: number): unknown {
  reader.expect(wireOf(type), path)
  if (typeof type === 'string') return readScalar(type, reader, path)
  return type.kind === 'enum' ? reader.int32() : read(type, reader.message(type.name), depth + 1)
}

function readMany(values: unknown[], field: Field, reader: ProtoReader, path: string, depth: number): void {
  const wire = wireOf(field.type)
  if (reader.wire !== wireType.bytes || wire === wireType.bytes) {
    values.push(readOne(field, reader, path, depth))
    return
  }
  const packed = reader.message(path)
  packed.wire = wire
  while (packed.at < packed.end) values.push(readOne(field, packed, path, depth))
}

function readEntry(
  entries: Map<string, unknown>,
  field: Field,
  reader: ProtoReader,
  path: string,
  depth: number,
): void {
  reader.expect(wireType.bytes, path)
  const entry = reader.message(path)
  let key = ''
  let value =
    typeof field.type === 'object' && field.type.kind === 'message' ? {} : emptyValue({ ...field, label: 'one' })
  while (entry.next()) {
    if (entry.field === 1) {
      entry.expect(wireType.bytes, `${path} key`)
      key = entry.string(`${path} key`)
    } else if (entry.field === 2) value = readOne(field, entry, path, depth + 1)
    else entry.skip()
  }
  entries.set(key, value)
}

function readScalar(type: ScalarName, reader: ProtoReader, path: string): unknown {
  if (type === 'string') return reader.string(path)
  return type === 'bytes' ? reader.view() : reader[type]()
}

function write(writer: ProtoWriter, { fields }: MessageType, value: Values): void {
  for (const [key, field] of Object.entries(fields)) {
    const found = value[key]
    if (found === undefined) continue
    if (field.label === 'many') writeMany(writer, field, found as readonly unknown[])
    else if (field.label === 'map') {
      for (const [entryKey, entryValue] of found as ReadonlyMap<string, unknown>) {
        writer.message(field.number, (entry) => {
          writeField(entry.string(1, entryKey), { ...field, number: 2 }, entryValue)
        })
      }
    } else if (field.oneof !== undefined || !isDefault(field, found)) writeField(writer, field, found)
  }
}

function writeMany(writer: ProtoWriter, field: Field, values: readonly unknown[]): void {
  if (values.length === 0) return
  if (wireOf(field.type) === wireType.bytes) {
    for (const value of values) writeField(writer, field, value)
    return
  }
  writer.message(field.number, (packed) => {
    for (const value of values) writeValue(packed, field.type, value)
  })
}

function writeField(writer: ProtoWriter, { number, type }: Field, value: unknown): void {
  if (type === 'string') writer.string(number, value as string)
  else if (type === 'bytes') writer.bytes(number, value as Uint8Array)
  else if (typeof type === 'object' && type.kind === 'message') {
    writer.message(number, (inner) => write(inner, type, value as Values))
  } else writeValue(writer.tag(number, wireOf(type)), type, value)
}

/** Writes a value without its tag, as packed fields hold it. */
function writeValue(writer: ProtoWriter, type: Field['type'], value: unknown): void {
  if (type === 'bool') writer.uint32(value === true ? 1 : 0)
  else if (type === 'int64' || type === 'uint64') writer.int64(value as bigint)
  else if (type === 'uint32') writer.uint32(value as number)
  else if (type === 'float') writer.float(value as number)
  else if (type === 'double') writer.double(value as number)
  else writer.int32(value as number)
}

function wireOf(type: Field['type']): number {
  if (typeof type === 'object') return type.kind === 'enum' ? wireType.varint : wireType.bytes
  if (type === 'string' || type === 'bytes') return wireType.bytes
  if (type === 'float') return wireType.fixed32
  return type === 'double' ? wireType.fixed64 : wireType.varint
}

function emptyValue({ type, label, oneof }: Field): unknown {
  if (label === 'many') return []
  if (label === 'map') return new Map()
  if (oneof !== undefined) return undefined
  if (typeof type === 'object') return type.kind === 'enum' ? 0 : undefined
  return defaults[type]
}

const defaults: { readonly [S in ScalarName]: ScalarTypes[S] } = {
  bool: false,
  int32: 0,
  int64: 0n,
  uint32: 0,
  uint64: 0n,
  float: 0,
  double: 0,
  string: '',
  bytes: new Uint8Array(0),
}

function isDefault({ type }: Field, value: unknown): boolean {
  if (type === 'bytes') return (value as Uint8Array).byteLength === 0
  if (typeof type === 'object') return type.kind === 'enum' && value === 0
  // Minus zero is a value of its own.
  return Object.is(value, defaults[type])
}
