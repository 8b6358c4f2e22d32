// TypeBox schema → structural schema, the part of JSON Schema that CRDs take. Pure. What cannot be expressed is an
// error that names the field, never something that the API server would quietly drop.
import { Kind, type TSchema } from '@sinclair/typebox'
import type { Rule } from './schema/field.ts'

/** A node of `openAPIV3Schema`, plain JSON. */
export interface StructuralSchema {
  type?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  properties?: Record<string, StructuralSchema>
  required?: string[]
  items?: StructuralSchema
  additionalProperties?: StructuralSchema
  'x-kubernetes-validations'?: Rule[]
  [keyword: string]: unknown
}

/**
 * A TypeBox schema as a structural schema: `const` and unions of constants become `enum`, free maps become
 * `additionalProperties`, a property with a default is not required.
 *
 * @param path the field's path, for errors
 * @throws Error naming the path and the keyword that cannot be expressed
 * @see https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
export const structural = (schema: TSchema, path: string): StructuralSchema => {
  const fail = (what: string): never => {
    throw new Error(`${path || 'the root'}: ${what}`)
  }
  const node: StructuralSchema = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (dropped.has(keyword) || converted.has(keyword)) continue
    if (keyword in refused) fail(`${keyword} cannot be expressed in a CRD: ${refused[keyword]}`)
    if (!kept.has(keyword) && !keyword.startsWith('x-kubernetes-')) fail(`unknown keyword ${keyword}`)
    node[keyword] = value
  }
  Object.assign(node, constants(schema, fail))
  if (schema['x-kubernetes-int-or-string'] === true) node['anyOf'] = [{ type: 'integer' }, { type: 'string' }]
  else if (typeof node.type !== 'string') fail('a schema needs one type')
  if (node.type === 'number') fail('floats are not for an API: use an integer or a decimal string')
  if (node.type === 'array') node.items = structuralItems(schema, path, fail)
  if (node.type === 'object') Object.assign(node, structuralFields(schema, path, fail))
  return ordered(node)
}

/** Every rule of a schema with the path of its field; items of lists are written `[]`, values of maps `{}`. */
export const rulesOf = (schema: StructuralSchema, path = ''): { readonly path: string; readonly rule: Rule }[] => [
  ...(schema['x-kubernetes-validations'] ?? []).map((rule) => ({ path, rule })),
  ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) => rulesOf(field, join(path, name))),
  ...(schema.items === undefined ? [] : rulesOf(schema.items, `${path}[]`)),
  ...(schema.additionalProperties === undefined ? [] : rulesOf(schema.additionalProperties, `${path}{}`)),
]

/** Keywords without a meaning in a CRD. */
const dropped = new Set(['$id', '$schema', '$comment', 'examples', 'title', 'readOnly', 'writeOnly'])
/** Keywords that structural() writes anew. */
const converted = new Set([
  'const',
  'anyOf',
  'properties',
  'required',
  'items',
  'additionalProperties',
  'patternProperties',
])
const kept = new Set([
  'type',
  'description',
  'format',
  'nullable',
  'default',
  'enum',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
])
const refused: Readonly<Record<string, string>> = {
  $ref: 'put the schema in its place',
  $defs: 'put the schema in its place',
  allOf: 'write one schema that says both',
  oneOf: 'use a union of constants, or one object with a rule',
  not: 'use a rule',
  if: 'use a rule',
  uniqueItems: 'use a list of kind set or map',
  propertyNames: 'use a rule',
}
const anyKey = '^(.*)$'

type Fail = (what: string) => never

const constants = (schema: TSchema, fail: Fail): StructuralSchema => {
  const options: unknown = schema['anyOf']
  if (options === undefined) return 'const' in schema ? enumeration([schema['const']], fail) : {}
  if (!Array.isArray(options)) return fail('anyOf must be a list')
  const values = options.map((option: unknown) =>
    isObject(option) && 'const' in option
      ? option['const']
      : fail('anyOf takes constants only; for an integer or a string use x-kubernetes-int-or-string'),
  )
  return enumeration(values, fail)
}

const enumeration = (values: unknown[], fail: Fail): StructuralSchema => {
  const [type, ...others] = new Set(values.map((value) => typeof value))
  if (type !== 'string' || others.length > 0) return fail('constants must all be strings')
  return { type, enum: values }
}

const structuralItems = (schema: TSchema, path: string, fail: Fail): StructuralSchema => {
  const items: unknown = schema['items']
  return isSchema(items) ? structural(items, `${path}[]`) : fail('a list has one schema for all its items')
}

const structuralFields = (schema: TSchema, path: string, fail: Fail): Partial<StructuralSchema> => {
  const properties: Record<string, StructuralSchema> = {}
  for (const [name, field] of Object.entries(asObject(schema['properties']))) {
    properties[name] = isSchema(field) ? structural(field, join(path, name)) : fail(`property ${name} is no schema`)
  }
  const listed: unknown[] = Array.isArray(schema['required']) ? schema['required'] : []
  const required = listed.filter(
    (name): name is string => typeof name === 'string' && properties[name]?.default === undefined,
  )
  const free = freeKeys(schema, fail)
  if (free !== undefined && Object.keys(properties).length > 0)
    fail('an object has named fields or free keys, not both')
  return {
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
    ...(required.length === 0 ? {} : { required }),
    ...(free === undefined ? {} : { additionalProperties: structural(free, `${path}{}`) }),
  }
}

/** The schema of the values of a free map; `additionalProperties: false` is what pruning does anyway. */
const freeKeys = (schema: TSchema, fail: Fail): TSchema | undefined => {
  const patterns = Object.entries(asObject(schema['patternProperties']))
  const additional: unknown = patterns.length > 0 ? patterns[0]?.[1] : schema['additionalProperties']
  if (patterns.length > 1 || (patterns.length === 1 && patterns[0]?.[0] !== anyKey))
    fail('patternProperties: only free keys can be expressed')
  if (additional === undefined || additional === false) return undefined
  return isSchema(additional) ? additional : fail('additionalProperties must be a schema')
}

/** What a reader looks for first comes first: type and description, then bounds, then fields. */
const ordered = (node: StructuralSchema): StructuralSchema => {
  const first = ['type', 'description', 'default', 'enum', 'format', 'pattern']
  const last = ['x-kubernetes-validations', 'required', 'items', 'additionalProperties', 'properties']
  const rank = (keyword: string): number => {
    if (first.includes(keyword)) return first.indexOf(keyword)
    return last.includes(keyword) ? 100 + last.indexOf(keyword) : 50
  }
  return Object.fromEntries(Object.entries(node).toSorted(([a], [b]) => rank(a) - rank(b)))
}

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isSchema = (value: unknown): value is TSchema => isObject(value) && Kind in value
const asObject = (value: unknown): Record<string, unknown> => (isObject(value) ? value : {})
