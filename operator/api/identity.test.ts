// Which fields make a revision another one. The recorded hashes are those of the first release: if one of them
// changes, every model of every user is rolled by an upgrade. Add to them; never edit them.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { canonicalJson, revisionHash, revisionIntent, revisionName, type IdentifiedSpec } from './identity.ts'

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`

const recorded: readonly [string, IdentifiedSpec][] = [
  ['86f3a7bc93', { model: { uri: 'https://models.example/fraud/v7/model.onnx' } }],
  ['d0260af192', { model: { uri: 'pvc://models/fraud/v8.onnx', digest, version: 'v8', name: 'fraud' } }],
  [
    '12b5bdc115',
    { model: { uri: 'https://models.example/fraud/v7/model.onnx' }, runtime: {}, resources: {}, podTemplate: {} },
  ],
  [
    'cedde9a953',
    {
      model: { uri: 'https://models.example/fraud/v7/model.onnx' },
      runtime: {
        image: 'registry.example/slipway-runtime:0.1',
        device: 'GPU',
        gpuResource: 'nvidia.com/gpu',
        threads: 4,
        batching: { maxSize: 'Auto', maxDelay: '5ms' },
        queue: { maxRequests: 64, timeout: '10s' },
        warmup: { requests: 5 },
      },
      resources: { limits: { cpu: 2, memory: '1Gi' }, requests: { cpu: '500m' } },
      podTemplate: {
        metadata: { labels: { team: 'fraud' } },
        spec: { nodeSelector: { zone: 'a' }, tolerations: [{ key: 'gpu', operator: 'Exists' }] },
      },
    },
  ],
]

describe('a revision hash', () => {
  test.each(recorded)('is still %s', (hash, spec) => {
    expect(revisionHash(spec)).toBe(hash)
  })

  test('does not look at the contract policy or the credentials', () => {
    const [, spec] = recorded[0] ?? fail()
    const other = { model: { ...spec.model, contract: 'Any' as const, credentialsSecret: 'store' } }
    expect(revisionHash(other)).toBe(revisionHash(spec))
  })

  test('does not change when a field is set to undefined, as code may do', () => {
    const [, spec] = recorded[0] ?? fail()
    const withUndefined: Record<string, unknown> = { ...spec.model, digest: undefined }
    expect(revisionHash({ model: withUndefined as IdentifiedSpec['model'] })).toBe(revisionHash(spec))
  })

  test('never depends on the order of keys', () => {
    fc.assert(
      fc.property(specs, fc.infiniteStream(fc.nat()), (spec, order) => {
        expect(revisionHash(shuffled(spec, order))).toBe(revisionHash(spec))
      }),
    )
  })

  test('never depends on replicas, traffic, rollout or anything else beside the identity', () => {
    const beside = fc.dictionary(
      fc.constantFrom('replicas', 'traffic', 'rollout', 'rollback', 'revisionHistoryLimit', 'suspend', 'later'),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(specs, beside, (spec, others) => {
        expect(revisionHash({ ...others, ...spec })).toBe(revisionHash(spec))
      }),
    )
  })

  test('differs when the intent differs', () => {
    fc.assert(
      fc.property(specs, specs, (a, b) => {
        const same = canonicalJson(revisionIntent(a)) === canonicalJson(revisionIntent(b))
        expect(revisionHash(a) === revisionHash(b)).toBe(same)
      }),
    )
  })

  test('keeps the order of lists, which means something', () => {
    const [, spec] = recorded[0] ?? fail()
    const withArgs = (args: string[]) => ({
      ...spec,
      podTemplate: { spec: { containers: [{ name: 'runtime', args }] } },
    })
    expect(revisionHash(withArgs(['a', 'b']))).not.toBe(revisionHash(withArgs(['b', 'a'])))
  })
})

test('a revision is named after its ModelDeployment and its hash', () => {
  expect(revisionName('fraud', '0123456789')).toBe('fraud-0123456789')
})

test('the intent has only what the user wrote', () => {
  expect(revisionIntent({ model: { uri: 'pvc://a/b', contract: 'Any' } })).toEqual({ model: { uri: 'pvc://a/b' } })
})

test('canonical JSON is JSON of the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

const fail = (): never => {
  throw new Error('there is a recorded hash')
}

const word = fc.string({ minLength: 1, maxLength: 8 })
const specs: fc.Arbitrary<IdentifiedSpec> = fc.record(
  {
    model: fc.record({ uri: word, version: word, name: word }, { requiredKeys: ['uri'] }),
    runtime: fc.record(
      { device: fc.constantFrom('CPU', 'GPU'), threads: fc.constantFrom<'Auto' | number>('Auto', 1, 2), image: word },
      { requiredKeys: [] },
    ),
    resources: fc.record({ limits: fc.dictionary(word, fc.oneof(word, fc.nat())) }, { requiredKeys: [] }),
    podTemplate: fc.record({ spec: fc.dictionary(word, fc.jsonValue()) }, { requiredKeys: [] }),
  },
  { requiredKeys: ['model'] },
)

/** The same value with the keys of every object in another order. */
const shuffled = <Value>(value: Value, order: fc.Stream<number>): Value => {
  const shuffle = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(shuffle)
    if (typeof node !== 'object' || node === null) return node
    const ranked = Object.entries(node).map(([key, field]) => ({ key, field, rank: order.next().value ?? 0 }))
    return Object.fromEntries(ranked.toSorted((a, b) => a.rank - b.rank).map(({ key, field }) => [key, shuffle(field)]))
  }
  return shuffle(value) as Value
}
