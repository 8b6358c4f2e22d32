// House rules of an API, checked over every field of both CRDs: described, bounded, and no default in the identity.
import { describe, expect, test } from '@jest/globals'
import { crds, modelDeploymentCrd } from './crds.ts'
import type { CustomResourceDefinition } from './crd.ts'
import { rulesOf, type StructuralSchema } from './structural.ts'

interface Field {
  readonly path: string
  readonly schema: StructuralSchema
}

const fieldsOf = (schema: StructuralSchema, path: string): Field[] => [
  ...(path === '' ? [] : [{ path, schema }]),
  ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    fieldsOf(field, path === '' ? name : `${path}.${name}`),
  ),
  ...(schema.items === undefined ? [] : fieldsOf(schema.items, `${path}[]`)),
  ...(schema.additionalProperties === undefined ? [] : fieldsOf(schema.additionalProperties, `${path}{}`)),
]

const rootOf = (crd: CustomResourceDefinition): StructuralSchema => {
  const [version] = crd.spec.versions
  if (version === undefined) throw new Error('a CRD has a version')
  return version.schema.openAPIV3Schema
}

const isKubernetes = ({ path }: Field) => /^(apiVersion|kind|metadata.*)$/.test(path)
const ownFields = (crd: CustomResourceDefinition) => fieldsOf(rootOf(crd), '').filter((field) => !isKubernetes(field))
const pathsWhere = (fields: readonly Field[], wrong: (schema: StructuralSchema) => boolean) =>
  fields.filter(({ schema }) => wrong(schema)).map(({ path }) => path)

describe.each(crds.map((crd) => [crd.spec.names.kind, crd] as const))('%s', (_, crd) => {
  const fields = ownFields(crd)

  test('every field is described in a sentence', () => {
    expect(fields.length).toBeGreaterThan(20)
    expect(pathsWhere(fields, ({ description }) => !/^["A-Z].*[.]$/.test(description ?? ''))).toEqual([])
  })

  test('every string has a length', () => {
    const unbounded = (s: StructuralSchema) =>
      s.type === 'string' && s['maxLength'] === undefined && s.enum === undefined
    expect(pathsWhere(fields, unbounded)).toEqual([])
  })

  test('every list has a length and a kind, and the keys of maps are there in every item', () => {
    const lists = fields.filter(({ schema }) => schema.type === 'array')
    expect(lists.length).toBeGreaterThan(0)
    expect(pathsWhere(lists, (s) => s['maxItems'] === undefined || s['x-kubernetes-list-type'] === undefined)).toEqual(
      [],
    )
    const keysMissing = (s: StructuralSchema) => {
      const keys = s['x-kubernetes-list-map-keys']
      if (s['x-kubernetes-list-type'] !== 'map') return keys !== undefined
      return (
        !Array.isArray(keys) ||
        !keys.every((key: unknown) => typeof key === 'string' && s.items?.required?.includes(key) === true)
      )
    }
    expect(pathsWhere(lists, keysMissing)).toEqual([])
  })

  test('every map has a size', () => {
    const unbounded = (s: StructuralSchema) => s.additionalProperties !== undefined && s['maxProperties'] === undefined
    expect(pathsWhere(fields, unbounded)).toEqual([])
  })

  test('words are in CamelCase', () => {
    const other = (s: StructuralSchema) =>
      s.enum?.some((w) => typeof w !== 'string' || !/^[A-Z][A-Za-z]*$/.test(w)) ?? false
    expect(pathsWhere(fields, other)).toEqual([])
  })

  test('a description names the default, and only where there is one', () => {
    const defaulted = fields.filter(({ schema }) => schema.default !== undefined)
    expect(pathsWhere(defaulted, ({ description }) => !/default /.test(description ?? ''))).toEqual([])
    const unset = fields.filter(({ schema }) => schema.default === undefined)
    expect(pathsWhere(unset, ({ description }) => /[;,] default /.test(description ?? ''))).toEqual([])
  })

  test('every rule says what to do in words of its own', () => {
    const messages = rulesOf(rootOf(crd)).map(({ rule }) => rule.message)
    expect(messages.length).toBeGreaterThan(0)
    expect(messages.filter((message) => message.length < 20 || /[.]$/.test(message))).toEqual([])
  })
})

describe('ModelDeployment', () => {
  const fields = ownFields(modelDeploymentCrd)
  const identity = /^spec[.](model|runtime|resources|podTemplate)($|[.[{])/

  test('no field inside the identity has a default, which a later CRD would fill into old objects', () => {
    const inside = fields.filter(({ path }) => identity.test(path))
    expect(inside.length).toBeGreaterThan(20)
    expect(pathsWhere(inside, (s) => s.default !== undefined)).toEqual([])
  })

  test('what is unset by meaning has no default', () => {
    const unset = /^spec[.](traffic[.](timeout|sticky|gateway)|rollout[.](steps|golden|shadow|analysis))/
    const inside = fields.filter(({ path }) => unset.test(path))
    expect(inside.length).toBeGreaterThan(20)
    expect(pathsWhere(inside, (s) => s.default !== undefined)).toEqual([])
  })

  test('an optional field says what it means when unset', () => {
    const optional = fields.flatMap(({ path, schema }) =>
      Object.entries(path.startsWith('spec') ? (schema.properties ?? {}) : {})
        .filter(([name, field]) => field.default === undefined && schema.required?.includes(name) !== true)
        .map(([name, field]) => ({ path: `${path}.${name}`, schema: field })),
    )
    expect(optional.length).toBeGreaterThan(20)
    expect(pathsWhere(optional, ({ description }) => !/when unset, |required there/.test(description ?? ''))).toEqual(
      [],
    )
  })
})
