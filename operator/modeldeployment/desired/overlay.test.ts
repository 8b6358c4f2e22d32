import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { overlay } from './overlay.ts'

const base = {
  spec: {
    containers: [
      {
        name: 'runtime',
        image: 'a',
        env: [{ name: 'X', value: '1' }],
        volumeMounts: [{ mountPath: '/tmp', name: 'tmp' }],
      },
    ],
    tolerations: [{ key: 'old' }],
  },
}

test('a container of the same name is merged, another one is added', () => {
  const merged = overlay(base, {
    spec: {
      containers: [
        { name: 'runtime', env: [{ name: 'Y', value: '2' }] },
        { name: 'sidecar', image: 'b' },
      ],
    },
  })
  expect(merged).toEqual({
    spec: {
      containers: [
        {
          name: 'runtime',
          image: 'a',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
          volumeMounts: [{ mountPath: '/tmp', name: 'tmp' }],
        },
        { name: 'sidecar', image: 'b' },
      ],
      tolerations: [{ key: 'old' }],
    },
  })
})

test('a list without a key is replaced, and null removes a field', () => {
  expect(overlay(base, { spec: { tolerations: [{ key: 'new' }], containers: null } })).toEqual({
    spec: { tolerations: [{ key: 'new' }] },
  })
})

test('null inside a part that the base lacks leaves nothing behind', () => {
  expect(overlay({}, { spec: { nodeSelector: { disk: null, zone: 'a' } } })).toEqual({
    spec: { nodeSelector: { zone: 'a' } },
  })
})

test('an empty overlay changes nothing, laying the same overlay twice is laying it once, and the base is never touched', () => {
  const named = fc.uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'c'), value: fc.string() }), {
    selector: (e) => e.name,
  })
  const tree = fc.record(
    {
      containers: fc.uniqueArray(fc.record({ name: fc.constantFrom('a', 'b'), env: named }), {
        selector: (c) => c.name,
      }),
      plain: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(tree, tree, (a, b) => {
      const before = structuredClone(a)
      const once = overlay(a, b)
      expect(overlay(a, {})).toEqual(a)
      expect(overlay(once, b)).toEqual(once)
      expect(a).toEqual(before)
    }),
    // What every object has without saying so is no field of it.
    { examples: [[{}, { plain: { valueOf: [false] } }]] },
  )
})
