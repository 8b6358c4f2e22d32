import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { openCaller } from './calls.ts'
import { openFraud } from './fraud.ts'
import { chanceInterval, countOf, failures } from './load.ts'
import type { PodOptions } from './upstream.ts'

const { router, client, stable, canary, traffic } = await openFraud()
const caller = openCaller(router.port)
afterAll(() => caller.close())

const share = (canaryWeight: number, more: object = {}) =>
  router.apply(traffic(canaryWeight, { versions: { 'fraud-a': 'v7', 'fraud-b': 'v8' }, ...more }))

const path = (version: string): string => `/v2/models/fraud/versions/${version}/infer`

describe('a request that names a version', () => {
  beforeAll(async () => {
    await share(100)
  })

  test.each([
    ['v7', 'fraud-a'],
    ['v8', 'fraud-b'],
  ])('%s goes to the live revision of it, whatever the shares', async (version, revision) => {
    const answers = await client.many(50, 4, () => ({ path: path(version) }))
    expect(failures(answers)).toEqual([])
    expect(countOf(answers, revision)).toBe(50)
  })

  test('a version that is not live is answered with the live ones', async () => {
    for (const asked of [
      path('v6'),
      path('v'),
      path('v77'),
      '/v2/models/x/../fraud/versions/v6',
      '/v2/models/fraud/versions',
    ]) {
      const { status, body } = await client.ask({ path: asked })
      expect([asked, status]).toEqual([asked, 404])
      const sentence = 'no such version of model fraud is live; live now: v7 (fraud-a), v8 (fraud-b)'
      expect(JSON.parse(body)).toEqual({ error: sentence })
    }
  })

  test('is counted apart, because it says nothing about the shares', async () => {
    const before = await router.model()
    await client.many(30, 4, () => ({ path: path('v8') }))
    await client.many(10, 4, () => ({ headers: { 'x-slipway-revision': 'fraud-b' } }))
    const after = await router.until(
      'they are counted',
      ({ revisions }) => (revisions[1]?.named ?? 0) >= (before.revisions[1]?.named ?? 0) + 40,
    )
    expect(after.revisions[1]?.named).toBe((before.revisions[1]?.named ?? 0) + 40)
    expect(after.revisions[1]?.requests.completed).toBe((before.revisions[1]?.requests.completed ?? 0) + 40)
    expect(after.revisions[0]?.named).toBe(before.revisions[0]?.named)
  })

  test('any other path, and another model, follows the shares and is the runtime to answer', async () => {
    for (const asked of [
      '/',
      '/v2/models/other/versions/v1',
      '/v2/models/fraud',
      '/v2/models/fraudulent/versions/v1',
    ]) {
      expect((await client.ask({ path: asked })).status).toBe(200)
    }
  })

  test('a version that two live revisions share follows the shares between them', async () => {
    await share(500, { versions: { 'fraud-a': 'v7', 'fraud-b': 'v7' } })
    const answers = await client.many(1000, 8, () => ({ path: path('v7') }))
    const [low, high] = chanceInterval(1000, 0.5)
    expect(countOf(answers, 'fraud-b')).toBeGreaterThanOrEqual(low)
    expect(countOf(answers, 'fraud-b')).toBeLessThanOrEqual(high)
  })
})

describe('a tester who names a revision in x-slipway-revision', () => {
  test('gets it at weight 0 already, over HTTP and gRPC', async () => {
    await share(0)
    const headers = { 'x-slipway-revision': 'fraud-b' }
    expect((await client.ask({ headers })).revision).toBe('fraud-b')
    expect(await caller.infer(undefined, headers)).toBe('fraud-b')
    expect(await caller.infer()).toBe('fraud-a')
  })

  test('is told which ones are live where it is not, in the form of the protocol', async () => {
    const headers = { 'x-slipway-revision': 'fraud-x' }
    const sentence = 'no such revision is live; live now: v7 (fraud-a), v8 (fraud-b)'
    const { status, body } = await client.ask({ headers })
    expect([status, JSON.parse(body)]).toEqual([404, { error: sentence }])
    await expect(caller.infer(undefined, headers)).rejects.toMatchObject({ details: sentence })
  })

  test('cannot reach a candidate that has no pod yet', async () => {
    router.pods([stable])
    await share(0)
    await router.until('the candidate has no pod', ({ revisions }) => revisions[1]?.readyEndpoints === 0)
    expect((await client.ask({ headers: { 'x-slipway-revision': 'fraud-b' } })).status).toBe(404)
    router.pods([stable, canary])
  })
})

describe('sticky', () => {
  test('a user who has met the canary stays there as it grows, and all come back at 0', async () => {
    const users = Array.from({ length: 300 }, (_, i) => `user-${i}`)
    const members = async (weight: number): Promise<Set<string>> => {
      await share(weight, { sticky: 'x-user-id' })
      const answers = await client.many(users.length, 8, (i) => ({ headers: { 'x-user-id': users[i] ?? '' } }))
      expect(failures(answers)).toEqual([])
      const sides = await Promise.all(
        users.map(async (user) => [user, (await client.ask({ headers: { 'x-user-id': user } })).revision] as const),
      )
      return new Set(sides.filter(([, side]) => side === 'fraud-b').map(([user]) => user))
    }
    let before = new Set<string>()
    for (const weight of [10, 50, 200, 500, 900]) {
      const now = await members(weight)
      expect([...before].filter((user) => !now.has(user))).toEqual([])
      const [low, high] = chanceInterval(users.length, weight / 1000)
      expect(now.size).toBeGreaterThanOrEqual(low)
      expect(now.size).toBeLessThanOrEqual(high)
      before = now
    }
    expect((await members(0)).size).toBe(0)
  })

  test('gRPC calls of a user go where the requests of that user go', async () => {
    await share(300, { sticky: 'x-user-id' })
    const sides = async (user: string): Promise<string[]> => {
      const headers = { 'x-user-id': user }
      return [(await client.ask({ headers })).revision, await caller.infer(undefined, headers)]
    }
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => sides(`user-${i}`)))
    expect(all.filter(([http, grpc]) => http !== grpc)).toEqual([])
    expect(new Set(all.flat())).toEqual(new Set(['fraud-a', 'fraud-b']))
  })

  test('requests without the header are drawn by chance', async () => {
    await share(500, { sticky: 'x-user-id' })
    const answers = await client.many(200)
    expect(countOf(answers, 'fraud-a')).toBeGreaterThan(50)
    expect(countOf(answers, 'fraud-b')).toBeGreaterThan(50)
  })
})

describe('gRPC', () => {
  test('calls are shared as requests are, and a stream stays with one revision', async () => {
    await share(500)
    const answers = await Promise.all(Array.from({ length: 400 }, () => caller.infer()))
    const [low, high] = chanceInterval(400, 0.5)
    const canaries = answers.filter((revision) => revision === 'fraud-b').length
    expect(canaries).toBeGreaterThanOrEqual(low)
    expect(canaries).toBeLessThanOrEqual(high)
    const streams = await Promise.all(Array.from({ length: 20 }, () => caller.stream(10)))
    expect(streams.map((s) => [s.length, new Set(s).size])).toEqual(Array.from({ length: 20 }, () => [10, 1]))
    expect(new Set(streams.flat())).toEqual(new Set(['fraud-a', 'fraud-b']))
  })

  test('a call that fails counts as a failure though its HTTP status is 200', async () => {
    await share(0)
    const before = await router.model()
    await caller.stream(1)
    await expect(caller.infer(undefined, { 'x-slipway-revision': 'none' })).rejects.toThrow('no such revision')
    const after = await router.until(
      'the call is counted',
      ({ revisions }) => (revisions[0]?.grpc.success ?? 0) > (before.revisions[0]?.grpc.success ?? 0),
    )
    expect(after.revisions[0]?.grpc.failure).toBe(before.revisions[0]?.grpc.failure)
  })

  test('a message of 8 MB passes', async () => {
    expect(await caller.infer(Buffer.alloc(8 * 1024 * 1024))).toBe('fraud-a')
  })

  test('a stream on which messages go may last longer than traffic.timeout', async () => {
    await share(0, { timeout: '300ms' })
    expect(await caller.stream(5, 200)).toHaveLength(5)
  })
})

describe('a request that has reached a model is not sent again', () => {
  test.each<[string, PodOptions, number]>([
    ['that answers 500', { status: 500 }, 500],
    ['that answers 503', { status: 503 }, 503],
    ['that hangs up instead', { insteadOfAnswers: 'hangs up' }, 503],
  ])('%s', async (_, options, expected) => {
    const pods = [await router.startPod('fraud-d', options), await router.startPod('fraud-d', options)]
    router.pods([stable, ...pods])
    await share(0, { weights: { 'fraud-d': 1000 }, stable: 'fraud-d' })
    await router.until('both are listed', ({ revisions }) => revisions[0]?.readyEndpoints === 2)
    const headers = { 'x-envoy-retry-on': '5xx,reset', 'x-envoy-max-retries': '5' }
    expect((await client.ask({ headers, body: Buffer.from('{}') })).status).toBe(expected)
    expect(pods.flatMap(({ seen }) => seen)).toHaveLength(1)
    router.pods([stable, canary])
  })
})

describe('a client', () => {
  test('cannot change how the router works by headers of its own', async () => {
    await share(0, { timeout: '60s' })
    const headers = {
      'x-envoy-upstream-rq-timeout-ms': '1',
      'x-envoy-retry-on': '5xx',
      'x-envoy-max-retries': '5',
      'x-slipway-shadow': '1',
      'x-request-id': 'mine',
    }
    const seenBefore = stable.seen.length
    expect((await client.ask({ headers })).status).toBe(200)
    const [seen] = stable.seen.slice(seenBefore)
    expect(Object.keys(seen?.headers ?? {}).filter((name) => /^x-envoy-(up|retry|max)|shadow/.test(name))).toEqual([])
    expect(seen?.headers['x-request-id']).toBe('mine')
  })

  test('waits as long as traffic.timeout says, and then gets an error of the protocol', async () => {
    const slow = await router.startPod('fraud-c', { delayMs: 5000 })
    router.pods([stable, slow])
    await share(0, { weights: { 'fraud-c': 1000 }, stable: 'fraud-c', timeout: '300ms' })
    const { status, body } = await client.ask()
    expect([status, JSON.parse(body)]).toEqual([504, { error: 'upstream request timeout' }])
    const { revisions } = await router.until('it is counted', (m) => (m.revisions[0]?.requests.timeouts ?? 0) > 0)
    expect(revisions[0]?.requests.s5xx).toBe(1)
  })
})
