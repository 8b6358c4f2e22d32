import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { changesOf } from './changes.ts'
import { threeWay } from './desired.ts'

const value = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.string(),
    fc.integer(),
    fc.array(fc.integer(), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('any'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).any
const object = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), value, { maxKeys: 4, noNullPrototype: true })

/** RFC 7386, as the API server carries it out. */
const merged = (target: unknown, patch: unknown): unknown => {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {}
  for (const [key, part] of Object.entries(patch)) {
    if (part === null) delete result[key]
    else result[key] = merged(result[key], part)
  }
  return result
}

describe('what kubectl apply would send', () => {
  test('on an object that is as it was applied, the patch leads to what is wanted', () => {
    fc.assert(
      fc.property(object, object, (before, wanted) => {
        expect(merged(before, threeWay(before, wanted))).toEqual(wanted)
      }),
    )
  })

  test('a field that someone else has set stays', () => {
    expect(merged({ a: 1, replicas: 3 }, threeWay({ a: 1 }, { a: 2 }))).toEqual({ a: 2, replicas: 3 })
  })
})

describe('changes of a spec', () => {
  test('are named by field, with what was and what will be', () => {
    const from = { model: { uri: 'a', version: 'v1' }, replicas: 2, rollout: { steps: [{ weight: 5 }] } }
    const to = { model: { uri: 'b' }, replicas: 2, rollout: { steps: [{ weight: 10 }] }, suspend: true }
    expect(changesOf(from, to)).toEqual([
      { field: 'spec.model.uri', from: 'a', to: 'b' },
      { field: 'spec.model.version', from: 'v1' },
      { field: 'spec.rollout.steps', from: [{ weight: 5 }], to: [{ weight: 10 }] },
      { field: 'spec.suspend', to: true },
    ])
  })

  test('equal specs have none', () => {
    fc.assert(
      fc.property(object, (spec) => {
        expect(changesOf(spec, JSON.parse(JSON.stringify(spec)))).toEqual([])
      }),
    )
  })
})
