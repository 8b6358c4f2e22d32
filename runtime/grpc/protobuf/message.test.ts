import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor/index.js'
import { Fault } from '../../errors.ts'
import { healthProto } from '../api/health.ts'
import { inferenceProto, ModelInferRequest } from '../api/inference.ts'
import { reflectionProtos, ServerReflectionRequest } from '../api/reflection.ts'
import { fileDescriptor, protoText, symbolsOf, type ProtoFile } from './descriptor.ts'
import { decode, encode, many, message, one, type Field, type MessageType } from './message.ts'

const files = [inferenceProto, healthProto, ...reflectionProtos]
const messages = files.flatMap((file) =>
  file.types.flatMap((type) => (type.kind === 'message' ? [[file, type] as const] : [])),
)

/** A file's message as an implementation that others wrote reads it from our .proto text. */
const theirs = (file: ProtoFile, { name }: MessageType): protobuf.Type =>
  protobuf.parse(protoText(file), { keepCase: true }).root.lookupType(`${file.package}.${name}`)

const scalars = {
  bool: fc.boolean(),
  int32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  uint32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  float: fc.float({ noNaN: true }),
  double: fc.double({ noNaN: true }),
  string: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array().map((bytes) => Uint8Array.from(bytes)),
} as const

/** Any value of a message; fields with presence are sometimes missing, and of a oneof at most one is there. */
const valueOf = (type: MessageType, depth = 0): fc.Arbitrary<Record<string, unknown>> => {
  const member = ({ type }: Field): fc.Arbitrary<unknown> => {
    if (typeof type === 'string') return scalars[type]
    return type.kind === 'enum' ? fc.nat(Math.max(0, type.values.length - 1)) : valueOf(type, depth + 1)
  }
  const entries = Object.entries(type.fields)
  const present = (field: Field): fc.Arbitrary<unknown> => {
    if (field.label === 'many') return fc.array(member(field), { maxLength: depth > 1 ? 2 : 4 })
    if (field.label === 'map') {
      return fc
        .array(fc.tuple(scalars.string, member(field)), { maxLength: 3 })
        .map((pairs) => new Map(pairs.map(([key, value]) => [key, value])))
    }
    if (field.oneof !== undefined) return fc.constant(undefined)
    return typeof field.type === 'object' && field.type.kind === 'message'
      ? fc.option(member(field), { nil: undefined })
      : member(field)
  }
  const plain = fc.tuple(...entries.map(([, field]) => present(field)))
  const choices = entries.filter(([, { oneof }]) => oneof !== undefined)
  const chosen: fc.Arbitrary<Record<string, unknown>> =
    choices.length === 0
      ? fc.constant({})
      : fc.oneof(fc.constant({}), ...choices.map(([key, field]) => member(field).map((value) => ({ [key]: value }))))
  return fc
    .tuple(plain, chosen)
    .map(([values, choice]) => ({ ...Object.fromEntries(entries.map(([key], at) => [key, values[at]])), ...choice }))
}

/** One form for both implementations' objects: 64-bit numbers and bytes as text, no empty fields. */
const plain = (value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value)
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return plain(Object.fromEntries(value))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(entries.map(([key, inner]) => [key, plain(inner)]))
}

const asTheirs = (type: protobuf.Type, value: unknown): protobuf.Message => {
  const objectOf = (inner: unknown): unknown => {
    if (typeof inner === 'bigint') return String(inner)
    if (ArrayBuffer.isView(inner)) return Buffer.from(inner.buffer, inner.byteOffset, inner.byteLength)
    if (Array.isArray(inner)) return inner.map(objectOf)
    if (inner instanceof Map) return objectOf(Object.fromEntries(inner))
    if (typeof inner !== 'object' || inner === null) return inner
    const entries = Object.entries(inner).filter(([, value]) => value !== undefined)
    return Object.fromEntries(entries.map(([key, value]) => [key, objectOf(value)]))
  }
  return type.fromObject(objectOf(value) as object)
}

const theirObject = (type: protobuf.Type, value: protobuf.Message): unknown =>
  plain(type.toObject(value, { longs: String, defaults: true }))

/** Without what protobuf leaves out: the form in which both must agree. */
const significant = (type: protobuf.Type, value: unknown): unknown => theirObject(type, asTheirs(type, value))

describe.each(messages.map(([file, type]) => [`${file.package}.${type.name}`, file, type] as const))(
  '%s',
  (_, file, type) => {
    const other = theirs(file, type)

    test(`${type.name} written by us is read alike by another implementation`, () => {
      fc.assert(
        fc.property(valueOf(type), (value) => {
          const bytes = encode(type, value)
          expect(theirObject(other, other.decode(bytes))).toEqual(
            theirObject(other, other.decode(other.encode(asTheirs(other, value)).finish())),
          )
        }),
        { numRuns: 60 },
      )
    })

    test(`${type.name} written by another implementation is read alike by us`, () => {
      fc.assert(
        fc.property(valueOf(type), (value) => {
          const bytes = Uint8Array.from(other.encode(asTheirs(other, value)).finish())
          expect(significant(other, decode(type, bytes))).toEqual(significant(other, value))
        }),
        { numRuns: 60 },
      )
    })

    test(`bytes that are no ${type.name} are refused or read, and nothing else`, () => {
      const anything = fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        fc.tuple(valueOf(type), fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
          const bytes = Uint8Array.from(encode(type, value))
          if (bytes.length > 0) bytes[at % bytes.length] = byte
          return bytes
        }),
        fc.tuple(valueOf(type), fc.nat()).map(([value, at]) => {
          const bytes = Uint8Array.from(encode(type, value))
          return bytes.subarray(0, at % (bytes.length + 1))
        }),
      )
      fc.assert(
        fc.property(anything, (bytes) => {
          try {
            decode(type, Uint8Array.from(bytes))
          } catch (error) {
            expect(error).toBeInstanceOf(Fault)
            expect(error).toMatchObject({ code: 'InvalidProtobuf', status: 400 })
          }
        }),
        { numRuns: 200 },
      )
    })
  },
)

describe('the descriptor of a file', () => {
  test.each(files)('$path says what its .proto text says', (file) => {
    const set = descriptor.FileDescriptorSet.fromObject({
      file: [descriptor.FileDescriptorProto.decode(fileDescriptor(file))],
    })
    const fromText = protobuf.parse(protoText(file), { keepCase: true }).root.resolveAll()
    const fromDescriptor = (protobuf.Root as unknown as FromDescriptor).fromDescriptor(set).resolveAll()
    for (const name of symbolsOf(file)) {
      const one = fromText.lookup(name)
      const other = fromDescriptor.lookup(name)
      expect(fieldsOf(other)).toEqual(fieldsOf(one))
      expect(fieldsOf(one)).not.toBeUndefined()
    }
  })

  test('gives every enum value its number, 0 too: grpcurl refuses a file that leaves it out', () => {
    const file = descriptor.FileDescriptorProto.decode(fileDescriptor(inferenceProto)) as unknown as {
      enumType: { name: string; value: object[] }[]
    }
    expect(file.enumType.map(({ name, value }) => [name, value.every((one) => Object.hasOwn(one, 'number'))])).toEqual([
      ['DataType', true],
    ])
  })

  interface FromDescriptor {
    fromDescriptor(set: unknown): protobuf.Root
  }

  const typeOf = (field: protobuf.Field): string => field.resolvedType?.fullName ?? field.type

  const fieldsOf = (found: protobuf.ReflectionObject | null): unknown => {
    if (found instanceof protobuf.Type) {
      return found.fieldsArray.map((field) => {
        const { name, id, repeated, partOf } = field
        const entry = field.resolvedType
        // Our text says map<string, X>; a descriptor says it as a repeated entry of a key and a value.
        if (field instanceof protobuf.MapField) return [name, id, 'map', field.keyType, typeOf(field)]
        if (entry instanceof protobuf.Type && entry.name.endsWith('Entry')) {
          const [key, value] = entry.fieldsArray
          expect(entry.options?.['map_entry']).toBe(true)
          return [name, id, 'map', key?.type, value === undefined ? undefined : typeOf(value)]
        }
        return [name, id, repeated, typeOf(field), partOf?.name]
      })
    }
    if (found instanceof protobuf.Enum) return found.values
    if (found instanceof protobuf.Method) {
      return [found.requestType, found.responseType, found.requestStream ?? false, found.responseStream ?? false].map(
        (part) => (typeof part === 'string' ? part.split('.').at(-1) : part),
      )
    }
    return found instanceof protobuf.Service ? found.methodsArray.map(({ name }) => name) : undefined
  }
})

describe('what others may do on the wire', () => {
  const Numbers = message('Numbers', { values: many('int32', 1), last: one('string', 2) })
  const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

  test('repeated numbers may be packed, unpacked or both', () => {
    expect(decode(Numbers, bytesOf('08 01  0a 02 02 03  08 04')).values).toEqual([1, 2, 3, 4])
  })

  test('unknown fields of every wire type are skipped, groups among them', () => {
    const unknown = '18 01  21 0000000000000000  2a 01 ff  35 00000000  3b 08 01 43 44 3c'
    expect(decode(Numbers, bytesOf(`${unknown} 12 01 61`))).toEqual({ values: [], last: 'a' })
  })

  test.each([
    ['a number cut short', '08 ff', 'it ends inside a number'],
    ['a number of eleven bytes', `08 ${'80 '.repeat(10)} 01`, 'a number has more than ten bytes'],
    ['a length past the end', '12 05 61', 'a field of 5 bytes goes past the end, 1 bytes away'],
    ['a length of 4 GiB', '12 ff ff ff ff 0f', 'a field of 4294967295 bytes goes past the end'],
    ['a length beyond 32 bits', '12 ff ff ff ff 7f', 'larger than 32 bits'],
    ['field 0', '02 00', 'a field has the number 0'],
    ['a wire type that does not exist', '1f', 'there is no wire type 7'],
    ['a group that does not end', '3b 08 01', 'a group does not end'],
    ['a group that ends as another', '3b 44', 'a group ends that did not begin'],
    ['groups without end', '3b '.repeat(100), 'groups nest deeper than 32 levels'],
    ['text that is not UTF-8', '12 01 ff', 'Numbers.last is not UTF-8'],
    ['the wrong wire type', '10 01', 'Numbers.last has wire type 0 instead of 2'],
  ])('%s is refused in words', (_name, hex, words) => {
    expect(() => decode(Numbers, bytesOf(hex))).toThrow(words)
  })

  test('of a oneof the last one counts', () => {
    const bytes = Buffer.concat([
      encode(ServerReflectionRequest, { list_services: '*' }),
      encode(ServerReflectionRequest, { file_by_filename: 'x' }),
    ])
    expect(decode(ServerReflectionRequest, Uint8Array.from(bytes))).toMatchObject({
      list_services: undefined,
      file_by_filename: 'x',
    })
  })

  test('the longest numbers are exact', () => {
    const shape = [2n ** 63n - 1n, -(2n ** 63n), -1n, 2n ** 53n + 1n]
    const bytes = encode(ModelInferRequest, { inputs: [{ shape }] })
    expect(decode(ModelInferRequest, bytes).inputs?.[0]?.shape).toEqual(shape)
  })
})
