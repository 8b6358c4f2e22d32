// A kind as a CustomResourceDefinition: names, columns, subresources around its schema. Pure.
import type { TSchema } from '@sinclair/typebox'
import { group, version } from './objectmeta.ts'
import type { Rule } from './schema/field.ts'
import { structural, type StructuralSchema } from './structural.ts'

export interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date' | 'boolean'
  readonly jsonPath: string
  readonly description: string
  /** Above 0 the column is shown by `-o wide` only. */
  readonly priority?: number
}

export interface Definition {
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly description: string
  readonly spec: TSchema
  readonly status?: TSchema
  /** Rules of the whole object. */
  readonly rules?: readonly Rule[]
  readonly columns: readonly PrinterColumn[]
  readonly scale?: {
    readonly specReplicasPath: string
    readonly statusReplicasPath: string
    readonly labelSelectorPath: string
  }
}

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1'
  readonly kind: 'CustomResourceDefinition'
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly scope: 'Namespaced'
    readonly names: { readonly kind: string; readonly plural: string; readonly [field: string]: unknown }
    readonly versions: readonly {
      readonly name: string
      readonly schema: { readonly openAPIV3Schema: StructuralSchema }
      readonly [field: string]: unknown
    }[]
  }
}

/** The CRD of one kind. @throws Error naming the field whose schema cannot be expressed. */
export const customResourceDefinition = (definition: Definition): CustomResourceDefinition => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${definition.plural}.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: {
      kind: definition.kind,
      listKind: `${definition.kind}List`,
      plural: definition.plural,
      singular: definition.singular,
      shortNames: [...definition.shortNames],
      categories: ['slipway'],
    },
    versions: [
      {
        name: version,
        served: true,
        storage: true,
        additionalPrinterColumns: definition.columns.map((column) => ({ ...column })),
        subresources: subresources(definition),
        schema: { openAPIV3Schema: rootSchema(definition) },
      },
    ],
  },
})

const rootSchema = ({ description, spec, status, rules }: Definition): StructuralSchema => ({
  type: 'object',
  description,
  required: ['spec'],
  properties: {
    apiVersion: { type: 'string', description: 'The API group and version.' },
    kind: { type: 'string', description: 'The kind of the object.' },
    // Named here only so that rules can point at it; the API server owns the rest of metadata.
    metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 253 } } },
    spec: structural(spec, 'spec'),
    ...(status === undefined ? {} : { status: structural(status, 'status') }),
  },
  ...(rules === undefined ? {} : { 'x-kubernetes-validations': [...rules] }),
})

const subresources = ({ status, scale }: Definition): Record<string, unknown> => ({
  ...(status === undefined ? {} : { status: {} }),
  ...(scale === undefined ? {} : { scale: { ...scale } }),
})
