import { describe, expect, test } from '@jest/globals'
import { openFraud } from './fraud.ts'
import { chanceInterval, countOf, failures, openClient } from './load.ts'

const { router, client, share } = await openFraud({ concurrency: 2 })

describe('shares', () => {
  test.each([1, 50, 500])('%d in a thousand is what the canary gets, over HTTP/1.1 and h2c', async (weight) => {
    await share(weight)
    const h2c = openClient(router.port, { h2c: true })
    try {
      for (const each of [client, h2c]) {
        const answers = await each.many(2000, 16)
        expect(failures(answers)).toEqual([])
        const [low, high] = chanceInterval(answers.length, weight / 1000)
        expect(countOf(answers, 'fraud-b')).toBeGreaterThanOrEqual(low)
        expect(countOf(answers, 'fraud-b')).toBeLessThanOrEqual(high)
      }
    } finally {
      await h2c.close()
    }
  })

  test('no request is lost while the shares change forty times', async () => {
    const changes = async (): Promise<void> => {
      for (let i = 0; i < 40; i += 1) await share([10, 990, 500, 0, 1000][i % 5] ?? 0)
    }
    const answers = await client.during(changes(), 8)
    expect(answers.length).toBeGreaterThan(100)
    expect(failures(answers)).toEqual([])
  })

  test('once the router says that a weight of 0 is applied, nobody is sent there', async () => {
    for (let i = 0; i < 20; i += 1) {
      await share(500)
      await share(0)
      expect(countOf(await client.many(20, 8), 'fraud-b')).toBe(0)
    }
  })
})

describe('what a router says of itself', () => {
  test('it counts what was answered by each revision', async () => {
    await share(500)
    const before = await router.model()
    const answers = await client.many(400)
    const after = await router.until(
      'all are counted',
      ({ revisions }) => total(revisions) >= total(before.revisions) + 400,
    )
    for (const revision of ['fraud-a', 'fraud-b']) {
      const [old, now] = [before, after].map((model) => model.revisions.find((r) => r.revision === revision))
      expect((now?.requests.s2xx ?? 0) - (old?.requests.s2xx ?? 0)).toBe(countOf(answers, revision))
    }
    expect(after.revisions.map(({ revision, weight, readyEndpoints }) => [revision, weight, readyEndpoints])).toEqual([
      ['fraud-a', 500, 1],
      ['fraud-b', 500, 1],
    ])
  })

  test('latency bins hold as many requests as were answered', async () => {
    const model = await router.until('histograms are flushed', ({ revisions }) =>
      revisions.every(({ latency, requests }) => latency.reduce((n, b) => n + b.count, 0) === requests.completed),
    )
    expect(total(model.revisions)).toBeGreaterThan(0)
  })
})

const total = (revisions: readonly { readonly requests: { readonly completed: number } }[]): number =>
  revisions.reduce((sum, { requests }) => sum + requests.completed, 0)
