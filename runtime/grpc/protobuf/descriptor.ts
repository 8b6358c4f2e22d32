/**
 * What server reflection tells about our messages and services: file descriptors, made from the same tables that read
 * and write them; and the same as .proto text, for people.
 *
 * @see https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto the field numbers
 */
import {
  choice,
  encode,
  enumeration,
  many,
  message,
  one,
  type EnumType,
  type Field,
  type MessageType,
} from './message.ts'

export interface Method {
  readonly name: string
  readonly request: MessageType
  readonly response: MessageType
  readonly requestStream?: true
  readonly responseStream?: true
}

export interface Service {
  readonly name: string
  readonly methods: readonly Method[]
}

/** One .proto file of ours. */
export interface ProtoFile {
  readonly path: string
  readonly package: string
  /** What the file is, for its head. */
  readonly comment: string
  readonly services: readonly Service[]
  readonly types: readonly (MessageType | EnumType)[]
}

/** The bytes of the FileDescriptorProto. */
export function fileDescriptor(file: ProtoFile): Buffer<ArrayBuffer> {
  const names = typeNames(file)
  return encode(FileDescriptorProto, {
    name: file.path,
    package: file.package,
    message_type: file.types.filter((type) => type.kind === 'message').map((type) => messageDescriptor(type, names)),
    enum_type: file.types.filter((type) => type.kind === 'enum').map(enumDescriptor),
    service: file.services.map(({ name, methods }) => ({
      name,
      method: methods.map((method) => ({
        name: method.name,
        input_type: nameOf(method.request, names),
        output_type: nameOf(method.response, names),
        client_streaming: method.requestStream ?? false,
        server_streaming: method.responseStream ?? false,
      })),
    })),
    syntax: 'proto3',
  })
}

/** Every full name that a file defines, without the leading dot: services, methods, messages, enums. */
export function symbolsOf(file: ProtoFile): string[] {
  const services = file.services.flatMap(({ name, methods }) => {
    const full = `${file.package}.${name}`
    return [full, ...methods.map((method) => `${full}.${method.name}`)]
  })
  return [...services, ...Array.from(typeNames(file).values(), (name) => name.slice(1))]
}

/** The file as .proto text. */
export function protoText(file: ProtoFile): string {
  const names = typeNames(file)
  const short = (type: MessageType | EnumType): string => nameOf(type, names).slice(file.package.length + 2)
  const methods = (service: Service): string =>
    service.methods
      .map(({ name, request, response, requestStream, responseStream }) => {
        const takes = `${requestStream ? 'stream ' : ''}${short(request)}`
        return `  rpc ${name}(${takes}) returns (${responseStream ? 'stream ' : ''}${short(response)});\n`
      })
      .join('')
  const parts = [
    `// ${file.comment}\n// Written by \`npm run generate\` from the tables that the server reads and writes by.`,
    'syntax = "proto3";',
    `package ${file.package};`,
    ...file.services.map((service) => `service ${service.name} {\n${methods(service)}}`),
    ...file.types.map((type) => typeText(type, '', short)),
  ]
  return `${parts.join('\n\n')}\n`
}

function typeText(
  type: MessageType | EnumType,
  indent: string,
  short: (type: MessageType | EnumType) => string,
): string {
  const lines: string[] = []
  if (type.kind === 'enum') type.values.forEach((name, number) => lines.push(`  ${name} = ${number};`))
  else {
    for (const nested of type.nested) lines.push(typeText(nested, `${indent}  `, short).slice(indent.length))
    const groups = new Set<string>()
    for (const [name, field] of Object.entries(type.fields)) {
      const { oneof } = field
      if (oneof === undefined) lines.push(`  ${fieldText(name, field, short)}`)
      else if (!groups.has(oneof)) {
        groups.add(oneof)
        const members = Object.entries(type.fields).filter(([, other]) => other.oneof === oneof)
        lines.push(`  oneof ${oneof} {`)
        for (const [memberName, member] of members) lines.push(`    ${fieldText(memberName, member, short)}`)
        lines.push('  }')
      }
    }
  }
  const head = `${indent}${type.kind} ${type.name} {`
  return lines.length === 0 ? `${head}}` : `${head}\n${lines.map((line) => indent + line).join('\n')}\n${indent}}`
}

function fieldText(name: string, field: Field, short: (type: MessageType | EnumType) => string): string {
  const type = typeof field.type === 'string' ? field.type : short(field.type)
  if (field.label === 'map') return `map<string, ${type}> ${name} = ${field.number};`
  return `${field.label === 'many' ? 'repeated ' : ''}${type} ${name} = ${field.number};`
}

type Names = ReadonlyMap<MessageType | EnumType, string>

/** Full names with the leading dot that descriptors want. */
function typeNames({ types, package: scope }: ProtoFile): Names {
  const names = new Map<MessageType | EnumType, string>()
  const add = (type: MessageType | EnumType, prefix: string): void => {
    const name = `${prefix}.${type.name}`
    names.set(type, name)
    if (type.kind === 'message') for (const nested of type.nested) add(nested, name)
  }
  for (const type of types) add(type, `.${scope}`)
  return names
}

function nameOf(type: MessageType | EnumType, names: Names): string {
  const name = names.get(type)
  if (name === undefined) throw new Error(`the type ${type.name} is used in a file that does not define it`)
  return name
}

function messageDescriptor(type: MessageType, names: Names): object {
  const oneofs = [...new Set(Object.values(type.fields).flatMap(({ oneof }) => oneof ?? []))]
  const maps = Object.entries(type.fields).filter(([, { label }]) => label === 'map')
  const owner = nameOf(type, names)
  return {
    name: type.name,
    field: Object.entries(type.fields).map(([name, field]) => ({
      ...fieldDescriptor(name, field, names),
      ...(field.label === 'map' ? { type: messageField, type_name: `${owner}.${entryName(name)}` } : {}),
      ...(field.oneof === undefined ? {} : { oneof_index: oneofs.indexOf(field.oneof) }),
    })),
    nested_type: [
      ...type.nested.filter((nested) => nested.kind === 'message').map((nested) => messageDescriptor(nested, names)),
      ...maps.map(([name, field]) => ({
        name: entryName(name),
        field: [
          fieldDescriptor('key', { number: 1, type: 'string', label: 'one' }, names),
          fieldDescriptor('value', { number: 2, type: field.type, label: 'one' }, names),
        ],
        options: { map_entry: true },
      })),
    ],
    enum_type: type.nested.filter((nested) => nested.kind === 'enum').map(enumDescriptor),
    oneof_decl: oneofs.map((name) => ({ name })),
  }
}

function enumDescriptor({ name, values }: EnumType): object {
  return { name, value: values.map((value, number) => ({ name: value, number })) }
}

function fieldDescriptor(name: string, { number, type, label }: Field, names: Names): object {
  const named = typeof type === 'object' ? { type_name: nameOf(type, names) } : {}
  return { name, number, label: label === 'one' ? 1 : 3, type: typeNumber(type), json_name: camelCase(name), ...named }
}

/** protoc's name for the message of a map's entries: `parameters` → `ParametersEntry`. */
function entryName(field: string): string {
  const camel = camelCase(field)
  return `${camel.slice(0, 1).toUpperCase()}${camel.slice(1)}Entry`
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

const messageField = 11

function typeNumber(type: Field['type']): number {
  if (typeof type === 'object') return type.kind === 'enum' ? 14 : messageField
  return { double: 1, float: 2, int64: 3, uint64: 4, int32: 5, bool: 8, string: 9, bytes: 12, uint32: 13 }[type]
}

/** descriptor.proto is proto2, where 0 has to be said: it is written like a field of a oneof. */
const spoken = (number: number) => choice(`_${number}`, 'int32', number)

const EnumDescriptorProto = message('EnumDescriptorProto', {
  name: one('string', 1),
  value: many(message('EnumValueDescriptorProto', { name: one('string', 1), number: spoken(2) }), 2),
})

const FieldDescriptorProto = message('FieldDescriptorProto', {
  name: one('string', 1),
  number: one('int32', 3),
  label: one(enumeration('Label', []), 4),
  type: one(enumeration('Type', []), 5),
  type_name: one('string', 6),
  oneof_index: spoken(9),
  json_name: one('string', 10),
})

/** The messages inside; protobuf has no recursion limit for types, our tables are values and need one more level each. */
const nestedFields = {
  name: one('string', 1),
  field: many(FieldDescriptorProto, 2),
  enum_type: many(EnumDescriptorProto, 4),
  options: one(message('MessageOptions', { map_entry: one('bool', 7) }), 7),
  oneof_decl: many(message('OneofDescriptorProto', { name: one('string', 1) }), 8),
}

const DescriptorProto = message('DescriptorProto', {
  ...nestedFields,
  nested_type: many(
    message('DescriptorProto', {
      ...nestedFields,
      nested_type: many(message('DescriptorProto', nestedFields), 3),
    }),
    3,
  ),
})

const FileDescriptorProto = message('FileDescriptorProto', {
  name: one('string', 1),
  package: one('string', 2),
  message_type: many(DescriptorProto, 4),
  enum_type: many(EnumDescriptorProto, 5),
  service: many(
    message('ServiceDescriptorProto', {
      name: one('string', 1),
      method: many(
        message('MethodDescriptorProto', {
          name: one('string', 1),
          input_type: one('string', 2),
          output_type: one('string', 3),
          client_streaming: one('bool', 5),
          server_streaming: one('bool', 6),
        }),
        2,
      ),
    }),
    6,
  ),
  syntax: one('string', 12),
})
