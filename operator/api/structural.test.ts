// What a TypeBox schema becomes in a CRD, and what is refused because a CRD would silently lose it.
import { describe, expect, test } from '@jest/globals'
import { Type } from '@sinclair/typebox'
import { integerOrText, list, map, text, word } from './schema/field.ts'
import { rulesOf, structural } from './structural.ts'

describe('a schema becomes structural', () => {
  test('a constant becomes an enum of one', () => {
    expect(structural(Type.Literal('CPU'), 'device')).toEqual({ type: 'string', enum: ['CPU'] })
  })

  test('a union of constants becomes one enum', () => {
    const schema = Type.Union([Type.Literal('CPU'), Type.Literal('GPU')], { description: 'Where.', default: 'CPU' })
    expect(structural(schema, 'device')).toEqual({
      type: 'string',
      description: 'Where.',
      default: 'CPU',
      enum: ['CPU', 'GPU'],
    })
  })

  test('an integer or a string carries the form that the API server asks for', () => {
    const schema = integerOrText({ description: 'A share.', maxLength: 6, pattern: '%$' })
    expect(structural(schema, 'weight')).toEqual({
      description: 'A share.',
      pattern: '%$',
      maxLength: 6,
      'x-kubernetes-int-or-string': true,
      anyOf: [{ type: 'integer' }, { type: 'string' }],
    })
  })

  test('a property with a default is not required', () => {
    const schema = Type.Object({
      name: Type.String(),
      mode: Type.String({ default: 'Direct' }),
      note: Type.Optional(Type.String()),
    })
    expect(structural(schema, 'spec').required).toEqual(['name'])
  })

  test('free keys become additionalProperties, written either way', () => {
    const value = text({ description: 'A value.', maxLength: 8 })
    const expected = { type: 'string', description: 'A value.', maxLength: 8 }
    expect(structural(Type.Record(Type.String(), value), 'labels').additionalProperties).toEqual(expected)
    const labels = map(value, { description: 'Labels.', maxProperties: 3 })
    expect(structural(labels, 'labels').additionalProperties).toEqual(expected)
  })

  test('what has no meaning in a CRD is left out', () => {
    const schema = Type.Object(
      { a: Type.String({ $id: 'x', examples: ['y'], title: 'z' }) },
      { additionalProperties: false },
    )
    expect(structural(schema, 'spec')).toEqual({
      type: 'object',
      properties: { a: { type: 'string' } },
      required: ['a'],
    })
  })

  test('rules are found in fields, items and values, with their paths', () => {
    const item = text({ description: 'A name.', maxLength: 8, rules: [{ rule: 'true', message: 'fine' }] })
    const schema = Type.Object({
      names: list(item, { description: 'Names.', kind: 'atomic', maxItems: 2 }),
      labels: map(item, { description: 'Labels.', maxProperties: 2 }),
    })
    expect(rulesOf(structural(schema, 'spec'), 'spec').map(({ path }) => path)).toEqual([
      'spec.names[]',
      'spec.labels{}',
    ])
  })
})

describe('what a CRD cannot express is refused by name', () => {
  const inSpec = (field: ReturnType<typeof Type.Unsafe>) => () => structural(Type.Object({ field }), 'spec')

  test.each([
    ['a float', Type.Number(), 'spec.field: floats are not for an API: use an integer or a decimal string'],
    [
      'a union of types',
      Type.Union([Type.String(), Type.Integer()]),
      'spec.field: anyOf takes constants only; for an integer or a string use x-kubernetes-int-or-string',
    ],
    [
      'constants of two types',
      Type.Union([Type.Literal('a'), Type.Literal(1)]),
      'spec.field: constants must all be strings',
    ],
    ['a reference', Type.Ref('Other'), 'spec.field: $ref cannot be expressed in a CRD: put the schema in its place'],
    [
      'an intersection',
      Type.Intersect([Type.Object({}), Type.Object({})]),
      'spec.field: allOf cannot be expressed in a CRD: write one schema that says both',
    ],
    ['a schema of no type', Type.Any(), 'spec.field: a schema needs one type'],
    ['a tuple', Type.Tuple([Type.String()]), 'spec.field: unknown keyword additionalItems'],
    [
      'unique items',
      Type.Array(Type.String(), { uniqueItems: true }),
      'spec.field: uniqueItems cannot be expressed in a CRD: use a list of kind set or map',
    ],
    [
      'keys of one pattern',
      Type.Record(Type.String({ pattern: '^a' }), Type.String()),
      'spec.field: patternProperties: only free keys can be expressed',
    ],
    ['a misspelt keyword', Type.String({ maxLenght: 3 }), 'spec.field: unknown keyword maxLenght'],
    [
      'named fields and free keys',
      Type.Object({ a: Type.String() }, { additionalProperties: Type.String() }),
      'spec.field: an object has named fields or free keys, not both',
    ],
  ])('%s', (_, field, message) => {
    expect(inSpec(field)).toThrow(message)
  })

  test('the path goes through lists', () => {
    const schema = Type.Object({ steps: Type.Array(Type.Object({ weight: Type.Number() })) })
    expect(() => structural(schema, 'spec')).toThrow('spec.steps[].weight: floats')
  })

  test('a word out of a list is no free text', () => {
    expect(structural(word(['A', 'B'], { description: 'A or B.' }), 'x')).toEqual({
      type: 'string',
      description: 'A or B.',
      enum: ['A', 'B'],
    })
  })
})
