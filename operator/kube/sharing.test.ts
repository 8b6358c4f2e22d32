import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Sharing } from './sharing.ts'

const fresh = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

test('whatever was seen before, an object says what it said: names, values, their order', () => {
  // Few words, so that parts meet again; and names that mean something to JavaScript.
  const word = fc.constantFrom('a', 'b', 'constructor', 'toString', '', '0', 'a very long text '.repeat(20))
  const { part } = fc.letrec((tie) => ({
    part: fc.oneof(
      { depthSize: 'medium' },
      word,
      fc.constantFrom(0, 1, -1, 0.5, 1e300, true, false, null),
      fc.array(tie('part'), { maxLength: 3 }),
      fc.dictionary(word, tie('part'), { maxKeys: 3, noNullPrototype: true }),
    ),
  }))
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (values, capacity) => {
      const sharing = new Sharing(capacity)
      const shared = values.map((value) => sharing.share(fresh(value)))
      expect(JSON.stringify(shared)).toBe(JSON.stringify(values))
    }),
    { numRuns: 2000 },
  )
})

test('a name that would change what an object inherits stays a name', () => {
  const sharing = new Sharing()
  const text = '{"__proto__":{"polluted":"yes"},"a":"b"}'
  for (let n = 0; n < 3; n += 1) {
    const shared = sharing.share(JSON.parse(text)) as Record<string, unknown>
    expect(JSON.stringify(shared)).toBe(text)
    expect(shared['polluted']).toBeUndefined()
  }
})

const probe = { httpGet: { path: '/ready', port: 8080 }, periodSeconds: 2 }
const objectOf = (name: string) => ({ metadata: { name }, spec: { probe, args: ['serve'], name } })

test('parts that are alike become one, frozen; what has a name of its own stays its own', () => {
  const sharing = new Sharing()
  const [, , third, fourth] = ['a', 'b', 'c', 'd'].map((name) => sharing.share(fresh(objectOf(name))))
  expect(third?.spec.probe).toBe(fourth?.spec.probe)
  expect(third?.spec.args).toBe(fourth?.spec.args)
  expect(Object.isFrozen(third?.spec.probe.httpGet)).toBe(true)
  expect(third?.spec).not.toBe(fourth?.spec)
  expect(Object.isFrozen(third?.spec)).toBe(false)
})

test('thousands of names that never come again do not drive out what does', () => {
  const sharing = new Sharing(64)
  const shared = Array.from({ length: 5000 }, (_, n) => sharing.share(fresh(objectOf(`model-${n}`))))
  expect(new Set(shared.slice(10).map(({ spec }) => spec.probe)).size).toBe(1)
})
