import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ListScanner } from './listscanner.ts'

/** What a scanner makes of a text that comes in such pieces. */
const scanned = (text: string, sizes: readonly number[]) => {
  const bytes = Buffer.from(text)
  const scanner = new ListScanner()
  const items: object[] = []
  let at = 0
  for (const size of [...sizes, bytes.length]) {
    items.push(...scanner.push(bytes.subarray(at, at + size)))
    at = Math.min(bytes.length, at + size)
  }
  return { items, ...scanner.end() }
}

/** No name is a quote or a backslash alone: JSON.parse of V8 13.6 takes the one for the other once it has seen both. */
const name = fc.oneof(
  fc.constantFrom('items', 'metadata', 'managedFields', 'spec', ''),
  fc.string({ unit: 'grapheme' }).map((text) => `n${text}`),
)
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, 1.5, '"', '\\', '"items":['),
    fc.string(),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(name, tie('any'), { maxKeys: 3 }),
  ),
})).any
const object = fc.dictionary(name, value, { maxKeys: 5 })
const item = fc.record(
  {
    metadata: fc.oneof(object, fc.record({ name: fc.string(), managedFields: fc.array(object), labels: object })),
    spec: fc.oneof(object, fc.record({ metadata: object, items: fc.array(object), managedFields: object })),
    items: fc.array(object),
  },
  { requiredKeys: [] },
)
const around = fc.record({
  kind: fc.string({ unit: 'grapheme' }),
  metadata: object,
  other: value,
})
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 200 })
/** Items come before or after what else a list says. */
const list = fc
  .tuple(around, fc.oneof(fc.constant(null), fc.array(item)), fc.boolean(), fc.constantFrom(0, 2))
  .map(([more, items, first, indent]) => JSON.stringify(first ? { items, ...more } : { ...more, items }, null, indent))

const read = (text: string) => {
  const { items, ...body } = JSON.parse(text) as { items: { metadata?: Record<string, unknown> }[] | null }
  for (const { metadata } of items ?? [])
    if (metadata?.['managedFields'] !== undefined) metadata['managedFields'] = null
  return { ...body, items: items ?? [] }
}

test('a list in pieces is what it is as a whole, but for managedFields, wherever it is cut', () => {
  fc.assert(
    fc.property(list, sizes, (text, pieces) => {
      expect(scanned(text, pieces)).toEqual(read(text))
    }),
  )
})

test('a list that was cut off is no list, wherever it was cut off', () => {
  fc.assert(
    fc.property(list, sizes, fc.nat(), (text, pieces, at) => {
      const bytes = Buffer.byteLength(text)
      const part = Buffer.from(text).subarray(0, at % bytes)
      expect(() => scanned(part.toString('latin1'), pieces)).toThrow(SyntaxError)
    }),
  )
})

test.each([
  ['an item that is no object', '{"items":[{},1],"metadata":{}}'],
  ['another end than its beginning', '{"items":[{}},"metadata":{}}'],
  ['more after its end', '{"items":[{}],"metadata":{}}}'],
  ['an item that is not JSON', '{"items":[{"a":}],"metadata":{}}'],
  ['an answer in words', 'no backend'],
])('a list with %s is refused', (_, text) => {
  expect(() => scanned(text, [3, 3])).toThrow(SyntaxError)
})

test('an item is there as soon as its last byte is', () => {
  const scanner = new ListScanner()
  expect(scanner.push(Buffer.from('{"items":[{"a":1},{"b"'))).toEqual([{ a: 1 }])
  expect(scanner.push(Buffer.from(':2'))).toEqual([])
  expect(scanner.push(Buffer.from('}'))).toEqual([{ b: 2 }])
})

test('managedFields are skipped, not read: what is in them need not even be JSON', () => {
  const text =
    '{"items":[{"metadata":{"managedFields":[{f:}],"name":"a"}},{"metadata":{"name":"b","managedFields":[[]x]}}],"kind":"L"}'
  expect(scanned(text, [5, 50]).items).toHaveLength(2)
})
