import { beforeEach, describe, expect, test } from '@jest/globals'
import type { ModelTraffic } from '../../../operator/api/routerstate.ts'
import { eventually } from '../operator/eventually.ts'
import { openCaller } from './calls.ts'
import { openFraud } from './fraud.ts'
import { chanceInterval, countOf, failures } from './load.ts'
import { sliceOf } from './objects.ts'
import { startDeaf, type Pod } from './upstream.ts'

const { router, client, stable, canary, share } = await openFraud()

beforeEach(() => router.pods([stable, canary]))

const mirror = (perMille: number, canaryWeight: number) =>
  share(canaryWeight, perMille > 0 ? { mirror: { revision: 'fraud-b', perMille } } : {})

const copies = (pod: Pod) => pod.seen.filter(({ headers }) => headers['x-slipway-shadow'] === '1')

describe('a mirror', () => {
  test.each([
    [100, 100],
    [5, 500],
    [10, 500],
  ])('of %d in a thousand copies stable requests only, whatever the split (canary %d)', async (perMille, weight) => {
    await mirror(perMille, weight)
    const before = copies(canary).length
    const answers = await client.many(4000, 16, (i) => ({ headers: { 'x-request-id': `${perMille}-${weight}-${i}` } }))
    expect(failures(answers)).toEqual([])
    const fromStable = countOf(answers, 'fraud-a')
    const [low, high] = chanceInterval(fromStable, perMille / 1000)
    const model = await router.until('the copies are counted', ({ shadow }) => (shadow?.requests.completed ?? 0) >= low)
    const copied = copies(canary).slice(before)
    expect(copied.length).toBeGreaterThanOrEqual(low)
    expect(copied.length).toBeLessThanOrEqual(high)
    const servedByStable = new Set(
      answers.flatMap((a, i) => (a.revision === 'fraud-a' ? [`${perMille}-${weight}-${i}`] : [])),
    )
    const ids = new Set(stable.seen.map(({ headers }) => headers['x-request-id']))
    expect(copied.filter(({ headers }) => !ids.has(headers['x-request-id']))).toEqual([])
    expect(servedByStable.size).toBe(fromStable)
    expect(model.revisions.map(({ requests }) => requests.s5xx)).toEqual([0, 0])
  })

  test('carries no credentials, and the request that it copies stays as it was', async () => {
    await mirror(1000, 0)
    const [before, seenBefore] = [copies(canary).length, stable.seen.length]
    const headers = { authorization: 'Bearer secret', cookie: 'a=b', 'x-request-id': 'joined' }
    await client.ask({ headers, body: Buffer.alloc(1000) })
    const model = await router.until('the copy came', () => copies(canary).length > before)
    const [copy] = copies(canary).slice(before)
    const [original] = stable.seen.slice(seenBefore)
    expect(copy?.headers).toMatchObject({ 'x-request-id': 'joined', 'x-slipway-shadow': '1' })
    expect([copy?.headers.authorization, copy?.headers.cookie, copy?.bytes]).toEqual([undefined, undefined, 1000])
    expect(original?.headers).toMatchObject({ authorization: 'Bearer secret', cookie: 'a=b', 'x-request-id': 'joined' })
    expect(original?.headers['x-slipway-shadow']).toBeUndefined()
    expect(model.shadow?.revision).toBe('fraud-b')
  })

  test('copies gRPC calls and streams as well', async () => {
    await mirror(1000, 0)
    const caller = openCaller(router.port)
    try {
      const before = canary.calls.length
      expect(await caller.infer()).toBe('fraud-a')
      expect(await caller.stream(5)).toHaveLength(5)
      await router.until('two copies came', () => canary.calls.length >= before + 2)
    } finally {
      caller.close()
    }
  })

  test('comes and goes without a lost request', async () => {
    const changes = async (): Promise<void> => {
      for (let i = 0; i < 12; i += 1) await mirror(i % 2 === 0 ? 500 : 0, 100)
    }
    expect(failures(await client.during(changes(), 4))).toEqual([])
  })
})

describe('a shadow that is broken hurts nobody', () => {
  test('it has no pod', async () => {
    router.pods([stable])
    await mirror(1000, 0)
    expect(failures(await client.many(200))).toEqual([])
  })

  test('it refuses connections', async () => {
    const dead = await router.startPod('fraud-b')
    await dead.kill()
    router.pods([stable, dead])
    await mirror(1000, 0)
    expect(failures(await client.many(200))).toEqual([])
    const { revisions } = await router.model()
    expect(revisions[0]?.requests.s5xx).toBe(0)
  })

  test('it never answers: copies beyond its limits are dropped, and counted as its own', async () => {
    const silent = await router.startPod('fraud-b', { insteadOfAnswers: 'is silent' })
    router.pods([stable, silent])
    await mirror(1000, 0)
    const { shadow, revisions: before } = await router.model()
    expect(failures(await client.many(200))).toEqual([])
    // Thirty-two are with it, as many wait for a place.
    const dropped = (shadow?.requests.overflows ?? 0) + 200 - 64
    const { revisions } = await router.until(
      'the rest is dropped',
      (model) => (model.shadow?.requests.overflows ?? 0) >= dropped,
    )
    await eventually('it has all that it gets', () => copies(silent).length === 32)
    const ofUsers = ({ requests }: ModelTraffic['revisions'][number]) => [requests.overflows, requests.s5xx]
    expect(revisions.map(ofUsers)).toEqual(before.map(ofUsers))
  })

  test('it accepts and never reads, while users send 8 MB', async () => {
    const deaf = await startDeaf()
    try {
      const silent: Pod = { ...canary, http: deaf.port, grpc: deaf.port }
      router.pods([stable, silent])
      await mirror(1000, 0)
      const body = Buffer.alloc(8 * 1024 * 1024)
      const answers = await client.many(4, 2, () => ({ body }))
      expect(failures(answers)).toEqual([])
      expect(answers.map(({ body: text }) => (JSON.parse(text) as { bytes: number }).bytes)).toEqual(
        answers.map(() => body.length),
      )
      expect(sliceOf(silent).ports?.[0]?.port).toBe(deaf.port)
    } finally {
      await mirror(0, 0)
      await deaf.close()
    }
  })
})
