import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { firstDifference, intentAnnotation, intentOf, withIntent } from './drift.ts'
import type { Desired } from './types.ts'

const object = (spec: unknown, metadata: object = {}): Desired => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name: 'x', namespace: 'n', ...metadata },
  spec,
})

const difference = (desired: unknown, live: unknown): string | undefined =>
  firstDifference(object(desired), object(live))

describe('the first difference in words', () => {
  test.each([
    ['a number', { replicas: 2 }, { replicas: 1 }, 'spec.replicas is 1, should be 2'],
    ['a missing field', { a: { b: 'x' } }, { a: {} }, 'spec.a.b is missing, should be "x"'],
    ['a missing object', { a: { b: 'x' } }, {}, 'spec.a is missing, should be {"b":"x"}'],
    ['another type', { a: true }, { a: 'true' }, 'spec.a is "true", should be true'],
    [
      'a named item',
      { containers: [{ name: 'main', image: 'b' }] },
      {
        containers: [
          { name: 'side', image: 'z' },
          { name: 'main', image: 'a' },
        ],
      },
      'spec.containers[main].image is "a", should be "b"',
    ],
    [
      'a named item that is not there',
      { containers: [{ name: 'main' }] },
      { containers: [{ name: 'side' }] },
      'spec.containers[main] is missing, should be {"name":"main"}',
    ],
    ['the length of a plain list', { args: ['a', 'b'] }, { args: ['a'] }, 'spec.args has 1 items, should have 2'],
    ['an item of a plain list', { args: ['a', 'b'] }, { args: ['a', 'c'] }, 'spec.args[1] is "c", should be "b"'],
    [
      'a list whose names repeat goes by index',
      {
        m: [
          { name: 'v', path: '/a' },
          { name: 'v', path: '/b' },
        ],
      },
      {
        m: [
          { name: 'v', path: '/a' },
          { name: 'v', path: '/c' },
        ],
      },
      'spec.m[1].path is "/c", should be "/b"',
    ],
    ['a zero value that is missing', { x: false }, {}, 'spec.x is missing, should be false'],
  ])('%s', (_, desired, live, expected) => {
    expect(difference(desired, live)).toBe(expected)
  })

  test.each([
    ['fields of others', { a: 1 }, { a: 1, b: 2 }],
    ['items of others in a named list', { c: [{ name: 'a' }] }, { c: [{ name: 'b' }, { name: 'a', x: 1 }] }],
    ['an amount in another form', { limits: { cpu: '1000m' } }, { limits: { cpu: '1' } }],
    ['an amount given as a number', { limits: { cpu: 1 } }, { limits: { cpu: '1' } }],
    ['a size limit in another form', { emptyDir: { sizeLimit: '1024Mi' } }, { emptyDir: { sizeLimit: '1Gi' } }],
    ['a port as text', { port: 80 }, { port: '80' }],
    ['what is not said', { a: undefined, b: null }, {}],
    ['an empty list', { env: [] }, {}],
    ['an empty map that the server drops', { selector: {} }, {}],
  ])('%s is none', (_, desired, live) => {
    expect(difference(desired, live)).toBeUndefined()
  })

  test.each([
    ['an environment variable', { env: [{ name: 'A', value: '1' }] }, { env: [{ name: 'A', value: '1000m' }] }],
    ['a label', { labels: { requests: '1' } }, { labels: { requests: '1000m' } }],
    ['a label called storage', { labels: { storage: '1' } }, { labels: { storage: '1000m' } }],
  ])('text that only looks like an amount is compared as text: %s', (_, desired, live) => {
    expect(difference(desired, live)).toBeDefined()
  })

  test('status is not compared, labels and annotations are', () => {
    expect(firstDifference({ ...object({}), status: { a: 1 } }, object({}))).toBeUndefined()
    expect(firstDifference(object({}, { labels: { a: '1' } }), object({}, { labels: { a: '2' } }))).toBe(
      'metadata.labels.a is "2", should be "1"',
    )
  })

  test('long values are cut short', () => {
    const text = difference({ a: 'x'.repeat(1000) }, { a: 'y' })
    expect(text?.length).toBeLessThan(200)
  })
})

describe('the intent', () => {
  test('a field that is no longer set is noticed, and said last', () => {
    const live = withIntent(object({ a: 1, b: 2 }))
    expect(firstDifference(withIntent(object({ a: 1 })), live)).toMatch(/something that was set before is not any more/)
    expect(firstDifference(withIntent(object({ a: 2 })), live)).toBe('spec.a is 1, should be 2')
    expect(firstDifference(withIntent(object({ b: 2, a: 1 })), live)).toBeUndefined()
  })

  test('an object that never carried one is given one', () => {
    expect(firstDifference(withIntent(object({})), object({}))).toContain(intentAnnotation)
  })

  test('it does not depend on the order of fields, nor on undefined ones', () => {
    const a = withIntent(object({ a: 1, b: { c: [1, { d: 2, e: 3 }] } }))
    const b = withIntent(object({ b: { c: [1, { e: 3, d: 2 }], z: undefined }, a: 1 }))
    expect(intentOf(a)).toBe(intentOf(b))
  })
})

describe('for any object', () => {
  const spec = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 3 }), {
    maxKeys: 5,
    noNullPrototype: true,
  })

  test('what was applied as it is differs in nothing', () => {
    fc.assert(
      fc.property(spec, (value) => {
        const desired = withIntent(object(value))
        const live = JSON.parse(JSON.stringify({ ...desired, status: { seen: true } })) as Desired
        expect(firstDifference(desired, live)).toBeUndefined()
      }),
    )
  })

  test('fields that others add never make a difference', () => {
    fc.assert(
      fc.property(spec, spec, (ours, theirs) => {
        expect(difference(ours, { ...theirs, ...ours })).toBeUndefined()
      }),
    )
  })

  test('a scalar that was changed anywhere is found', () => {
    fc.assert(
      fc.property(spec, fc.string({ minLength: 1 }), (value, field) => {
        const desired = { ...value, [field]: { deep: ['a', { deeper: 'wanted' }] } }
        const live = { ...value, [field]: { deep: ['a', { deeper: 'other' }] } }
        expect(difference(desired, live)).toBe(
          `spec.${field}.deep[1].deeper is "other", should be "wanted"`.replaceAll('.[', '['),
        )
      }),
    )
  })
})

test('parts that are frozen are compared once for each name they stand under, and never taken for others', () => {
  const frozen = <T extends object>(value: T): T => Object.freeze(value)
  const [one, thousand] = [frozen({ cpu: '1' }), frozen({ cpu: '1000m' })]
  const objectWith = (spec: object) => ({ apiVersion: 'v1', kind: 'X', metadata: { name: 'x' }, spec })
  // As quantities they are the same; as labels they are not.
  expect(firstDifference(objectWith({ limits: one }), objectWith({ limits: thousand }))).toBeUndefined()
  expect(firstDifference(objectWith({ labels: one }), objectWith({ labels: thousand }))).toContain('spec.labels.cpu')
  expect(firstDifference(objectWith({ limits: one }), objectWith({ limits: frozen({ cpu: '2' }) }))).toContain('is "2"')
  const intents = [one, thousand, one].map((limits) => intentOf(withIntent(objectWith({ limits }))))
  expect(intents[0]).toBe(intents[2])
  expect(intents[0]).not.toBe(intents[1])
})

test('a list that is one value is compared as a whole, though its items have names', () => {
  const route = (field: string, items: readonly object[]) => ({
    apiVersion: 'v1',
    kind: 'X',
    metadata: { name: 'x' },
    spec: { [field]: items },
  })
  const [ours, theirs] = [
    { name: 'a', weight: 1000 },
    { name: 'b', weight: 500 },
  ]
  // A sidecar that somebody injects is theirs; a backend that somebody adds takes users away.
  expect(firstDifference(route('containers', [ours]), route('containers', [ours, theirs]))).toBeUndefined()
  for (const field of ['backendRefs', 'parentRefs'])
    expect(firstDifference(route(field, [ours]), route(field, [ours, theirs]))).toContain(`spec.${field}`)
})
