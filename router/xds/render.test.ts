import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from '@jest/globals'
import { endpoints, setting } from '../fixtures.ts'
import type { Endpoint, Endpoints, Setting } from '../model.ts'
import { encodeAny } from '../stream/encode.ts'
import { bootstrap } from './bootstrap.ts'
import type { Message } from './json.ts'
import { renderModel, type RenderedModel } from './render.ts'
import { Rendered } from './rendered.ts'

const options = { listenAddress: '::' }
const golden = join(import.meta.dirname, 'golden')

/** `SLIPWAY_GOLDEN=write npm run test:unit -- router/xds` writes them anew; look at the difference before you commit. */
const goldenText = async (name: string, text: string): Promise<string> => {
  const path = join(golden, name)
  if (process.env['SLIPWAY_GOLDEN'] === 'write') {
    await mkdir(golden, { recursive: true })
    await writeFile(path, text)
  }
  return readFile(path, 'utf8')
}

describe('what Envoy is told is what was looked at', () => {
  const rendered = renderModel(
    { ...setting, mirror: { revision: 'fraud-bbbbbbbbbb', perMille: 250 } },
    endpoints,
    options,
  )

  test.each([
    ['bootstrap.json', bootstrap('/xds', 'router-0', 'shop', 512 * 1024 * 1024)],
    ['clusters.json', rendered.clusters],
    ['listener.json', rendered.listener],
    ['routes.json', rendered.routes],
    ['routes-sticky.json', renderModel({ ...setting, stickyHeader: 'x-user-id' }, endpoints, options).routes],
    ['endpoints.json', rendered.endpoints.find(({ name }) => name === 'fraud/fraud-aaaaaaaaaa/grpc')],
  ])('%s', async (name, told) => {
    const text = `${JSON.stringify(told, null, 2)}\n`
    expect(JSON.parse(text)).toEqual(JSON.parse(await goldenText(name, text)))
  })
})

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/)
const pod: fc.Arbitrary<Endpoint> = fc.record({
  address: fc.oneof(fc.ipV4(), fc.ipV6()),
  port: fc.integer({ min: 1, max: 65_535 }),
})

/** A setting as the operator could write it, and any pods for any of its revisions. */
const world: fc.Arbitrary<{ setting: Setting; endpoints: Endpoints }> = fc
  .record({
    names: fc.uniqueArray(label, { minLength: 1, maxLength: 5 }),
    parts: fc.array(fc.nat({ max: 1000 }), { minLength: 5, maxLength: 5 }),
    versions: fc.array(fc.constantFrom('v1', 'v2', undefined), { minLength: 5, maxLength: 5 }),
    pods: fc.array(fc.array(pod, { maxLength: 3 }), { minLength: 5, maxLength: 5 }),
    endings: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    hasStable: fc.boolean(),
    mirrored: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
    sticky: fc.boolean(),
    epoch: fc.nat(),
  })
  .map(({ names, parts, versions, pods, endings, hasStable, mirrored, sticky, epoch }) => {
    const weights = shareOut(parts.slice(0, names.length))
    const revisions = names.map((name, i) => {
      const version = versions[i]
      return { name, weight: weights[i] ?? 0, ...(version !== undefined && { version }) }
    })
    const [stable, other] = names
    const isMirrored = hasStable && mirrored !== undefined && other !== undefined
    return {
      setting: {
        name: 'm',
        uid: 'abcdef01-1',
        model: 'm',
        port: 20_000,
        epoch,
        timeoutMs: 1000,
        revisions,
        ...(hasStable && stable !== undefined && { stable }),
        ...(isMirrored && { mirror: { revision: other, perMille: mirrored } }),
        ...(sticky && { stickyHeader: 'x-user' }),
      },
      endpoints: new Map(
        names.map((name, i) => {
          const own = pods[i] ?? []
          return [name, { ready: endings[i] === true ? 0 : own.length, http: own, grpc: own }]
        }),
      ),
    }
  })

/** Integers in these proportions that add up to 1000, or all 0. */
const shareOut = (parts: readonly number[]): number[] => {
  const sum = parts.reduce((a, b) => a + b, 0)
  if (sum === 0) return parts.map(() => 0)
  const shares = parts.map((part) => Math.floor((part * 1000) / sum))
  const rest = 1000 - shares.reduce((a, b) => a + b, 0)
  return shares.map((share, i) => (i === 0 ? share + rest : share))
}

/** Every cluster that anything in a message points at. */
const pointedAt = (message: unknown): { name: string; weight: number }[][] => {
  if (Array.isArray(message)) return message.flatMap(pointedAt)
  if (typeof message !== 'object' || message === null) return []
  return Object.entries(message).flatMap(([field, value]) =>
    field === 'weighted_clusters'
      ? [(value as { clusters: { name: string; weight: number }[] }).clusters]
      : pointedAt(value),
  )
}

const mirrorsOf = (rendered: RenderedModel): { cluster: string; by: string; numerator: number }[] =>
  rendered.clusters.flatMap(({ name, message }) => {
    const extensions = Object.values(message['typed_extension_protocol_options'] as Message) as Message[]
    const policies = extensions.flatMap((e) => (e['request_mirror_policies'] ?? []) as Message[])
    return policies.map((policy) => ({
      cluster: String(policy['cluster']),
      by: name,
      numerator: (policy['runtime_fraction'] as { default_value: { numerator: number } }).default_value.numerator,
    }))
  })

describe('whatever the setting and the pods are', () => {
  test('weights of a route add up to 1000, none is 0, and the stable one is last', () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        for (const clusters of pointedAt(renderModel(s, e, options).routes.message)) {
          expect(clusters.reduce((sum, { weight }) => sum + weight, 0)).toBe(1000)
          expect(clusters.every(({ weight }) => weight > 0)).toBe(true)
          const stableAt = clusters.findIndex(({ name }) => name.split('/')[1] === s.stable)
          expect([-1, clusters.length - 1]).toContain(stableAt)
        }
      }),
    )
  })

  test('every cluster that a route or a mirror names exists, and is told its pods', () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        const rendered = renderModel(s, e, options)
        const exists = new Set(rendered.clusters.map(({ name }) => name))
        const named = pointedAt(rendered.routes.message).flat()
        expect(named.map(({ name }) => name).filter((name) => !exists.has(name))).toEqual([])
        expect(mirrorsOf(rendered).filter(({ cluster }) => !exists.has(cluster))).toEqual([])
        expect(new Set(rendered.endpoints.map(({ name }) => name))).toEqual(exists)
      }),
    )
  })

  test("a mirror is stable's alone, and its numerator keeps it independent of the split", () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        const mirrors = mirrorsOf(renderModel(s, e, options))
        expect(mirrors).toHaveLength(s.mirror === undefined ? 0 : 2)
        for (const { by, numerator } of mirrors) {
          expect(by.split('/')[1]).toBe(s.stable)
          expect(numerator % 1000).toBe(0)
        }
      }),
    )
  })

  test('a revision without a ready pod has no share while stable has one', () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        const { shares } = renderModel(s, e, options)
        const stablePods = s.stable === undefined ? 0 : (e.get(s.stable)?.http.length ?? 0)
        for (const { name } of s.revisions) {
          if (name === s.stable || stablePods === 0 || (e.get(name)?.ready ?? 0) > 0) continue
          expect(shares.weights.get(name)).toBe(0)
        }
      }),
    )
  })

  test('names are such that Envoy changes none of them and statistics can be cut at dots', () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        const { clusters, listener } = renderModel(s, e, options)
        for (const { name } of [...clusters, listener]) expect(name).toMatch(/^[a-z0-9/-]+$/)
        expect(new Set(clusters.map(({ name }) => name)).size).toBe(clusters.length)
      }),
    )
  })

  test('all of it has a place in the tables of what Envoy takes', () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        const { clusters, endpoints: pods, routes, listener } = renderModel(s, e, options)
        for (const { message } of [...clusters, ...pods, routes, listener])
          expect(encodeAny(message).length).toBeGreaterThan(0)
      }),
    )
  })

  test('the same input gives the same bytes, and another epoch another version', () => {
    fc.assert(
      fc.property(world, ({ setting: s, endpoints: e }) => {
        const [one, two] = [renderModel(s, e, options), renderModel(structuredClone(s), new Map(e), options)]
        expect(two.routes).toEqual(one.routes)
        expect([...two.clusters, ...two.endpoints, two.listener]).toEqual([
          ...one.clusters,
          ...one.endpoints,
          one.listener,
        ])
        expect(renderModel({ ...s, epoch: s.epoch + 1 }, e, options).routes.version).not.toBe(one.routes.version)
      }),
    )
  })

  test('what was rendered before is the same object only while setting and pods are the same', () => {
    fc.assert(
      fc.property(world, world, ({ setting: s, endpoints: e }, { setting: t, endpoints: f }) => {
        const rendered = new Rendered(options)
        const one = rendered.of(s, e)
        expect(rendered.of(structuredClone(s), structuredClone(new Map(e)))).toBe(one)
        for (const [setting, pods] of [[t, f] as const, [s, new Map()] as const, [s, e] as const])
          expect(rendered.of(setting, pods)).toEqual(renderModel(setting, pods, options))
        rendered.keepOnly([])
        expect(rendered.of(s, e)).not.toBe(one)
      }),
    )
  })
})
