// The reference pages leave nothing out: what the code knows and a page does not is a page that misleads.
import { expect, test } from '@jest/globals'
import { conditionTypes, reasons } from '../operator/api/conditions.ts'
import { crds } from '../operator/api/crds.ts'
import type { StructuralSchema } from '../operator/api/structural.ts'
import { docPages } from './generate-docs.ts'

const byText = (a: string, b: string): number => a.localeCompare(b)

const textOf = (path: string): string => docPages().find((page) => page.path === path)?.text ?? ''

test('docs/conditions.md has one row for every condition type and every reason', () => {
  const rows = [...textOf('docs/conditions.md').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name)
  expect(rows.toSorted(byText)).toEqual([...conditionTypes, ...Object.keys(reasons)].toSorted(byText))
})

test('docs/resource.md names every field of both kinds, and each table row has four cells or two', () => {
  const page = textOf('docs/resource.md')
  const fields = crds.flatMap((crd) => {
    const root = crd.spec.versions[0]?.schema.openAPIV3Schema.properties ?? {}
    return ['spec', 'status'].flatMap((part) => (root[part] === undefined ? [] : pathsOf(root[part], part)))
  })
  expect(fields.length).toBeGreaterThan(100)
  expect(fields.filter((field) => !page.includes(`\`${field}\` |`) && !page.includes(`#### ${field}\n`))).toEqual([])
  const cells = page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(/(?<!\\)\|/).length - 2)
  expect(new Set(cells)).toEqual(new Set([2, 4]))
})

const pathsOf = (schema: StructuralSchema, path: string): string[] =>
  Object.entries(schema.properties ?? schema.items?.properties ?? {}).flatMap(([name, field]) => [
    `${path}.${name}`,
    ...pathsOf(field, `${path}.${name}${field.items === undefined ? '' : '[]'}`),
  ])
