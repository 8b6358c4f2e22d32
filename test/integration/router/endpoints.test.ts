import { describe, expect, test } from '@jest/globals'
import type { RevisionTraffic } from '../../../operator/api/routerstate.ts'
import { eventually } from '../operator/eventually.ts'
import { openCaller } from './calls.ts'
import { countOf, failures, type Answer } from './load.ts'
import type { Pod } from './upstream.ts'
import { openFraud } from './fraud.ts'

const { router, client, stable, canary, share, epoch } = await openFraud()
let second = await router.startPod('fraud-a')

const figure = (name: string): Promise<number> => router.figure(`cluster.fraud/fraud-a/http.${name}`)

/** Until so many pods of stable are healthy by the router's own checks. */
const healthy = (count: number): Promise<unknown> =>
  eventually(`${count} pods are healthy`, async () => {
    return (await figure('membership_total')) === count && (await figure('membership_healthy')) === count
  })

const weights = async (): Promise<Record<string, number>> =>
  Object.fromEntries((await router.model()).revisions.map(({ revision, weight }) => [revision, weight]))

describe('a revision whose last pod is not ready any more', () => {
  test('loses its share to stable at once, without a 503, and has it again with its pod', async () => {
    router.pods([stable, canary])
    await share(500)
    const flapping = async (): Promise<void> => {
      for (let i = 0; i < 10; i += 1) {
        router.pods([stable, [canary, i % 2 === 0 ? 'unready' : 'ending']])
        const emptied = await router.until('the share has moved', ({ revisions }) => revisions[0]?.weight === 1000)
        expect(emptied.emptied).toEqual(['fraud-b'])
        expect(emptied.appliedEpoch).toBe(epoch())
        router.pods([stable, canary])
        await router.until('the share is back', ({ revisions }) => revisions[0]?.weight === 500)
      }
    }
    const answers = await client.during(flapping())
    expect(failures(answers)).toEqual([])
    expect(countOf(answers, 'fraud-b')).toBeGreaterThan(0)
  })

  test('loses it as well when the pod has gone without a word', async () => {
    const dead = await router.startPod('fraud-b')
    router.pods([stable, dead])
    await share(500)
    await dead.kill()
    router.pods([stable])
    await router.until('the share has moved', ({ revisions }) => revisions[0]?.weight === 1000)
    expect(failures(await client.many(100))).toEqual([])
  })

  test('keeps it where stable has no pod either: nobody else was found good enough', async () => {
    router.pods([canary])
    await share(500)
    await router.until('stable is empty', ({ revisions }) => revisions[0]?.readyEndpoints === 0)
    expect(await weights()).toEqual({ 'fraud-a': 500, 'fraud-b': 500 })
    const answers = await client.many(100)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 503]))
    const refused = answers.find(({ status }) => status === 503)
    expect(JSON.parse(refused?.body ?? '')).toEqual({ error: 'no healthy upstream' })
  })
})

describe('pods', () => {
  test('that are about to end are left before they stop, so no request is lost', async () => {
    router.pods([stable, second])
    await share(0)
    const replacements = async (): Promise<void> => {
      let old = second
      for (let i = 0; i < 8; i += 1) {
        const fresh = await router.startPod('fraud-a')
        router.pods([stable, old, fresh])
        await router.until('three are ready', ({ revisions }) => revisions[0]?.readyEndpoints === 3)
        router.pods([stable, [old, 'ending'], fresh])
        await router.until('one is left', ({ revisions }) => revisions[0]?.readyEndpoints === 2)
        await settled(old)
        await old.kill()
        old = fresh
      }
      second = old
    }
    expect(failures(await client.during(replacements()))).toEqual([])
  })

  test('that are replaced all at once are replaced without a lost request', async () => {
    let now = await router.startPod('fraud-a')
    router.pods([now])
    await share(0)
    await router.until('one is ready', ({ revisions }) => revisions[0]?.readyEndpoints === 1)
    const swaps = async (): Promise<void> => {
      for (let i = 0; i < 20; i += 1) {
        const fresh = await router.startPod('fraud-a')
        router.pods([fresh, [now, 'ending']])
        await heard(fresh)
        now = fresh
      }
    }
    const answers = await client.during(swaps(), 4)
    expect(answers.length).toBeGreaterThan(50)
    expect(failures(answers)).toEqual([])
  })

  test('that all end still serve while they end: better than nobody', async () => {
    router.pods([[stable, 'ending']])
    await share(0)
    await router.until('none is ready', ({ revisions }) => revisions[0]?.readyEndpoints === 0)
    expect(failures(await client.many(50))).toEqual([])
    router.pods([[stable, 'ended']])
    await eventually('it is gone', async () => (await client.ask()).status === 503)
  })

  test('that are killed cost no more than the requests that were in flight on them', async () => {
    const workers = 8
    const survivor = await router.startPod('fraud-a', { delayMs: 10 })
    const victim = await router.startPod('fraud-a', { delayMs: 10 })
    router.pods([survivor, victim])
    await share(0)
    await router.until('both are ready', ({ revisions }) => revisions[0]?.readyEndpoints === 2)
    const death = async (): Promise<void> => {
      await router.until('it is loaded', () => victim.seen.length > 30)
      await victim.kill()
      const before = survivor.seen.length
      await router.until('the other goes on', () => survivor.seen.length > before + 200)
      router.pods([survivor])
      await router.until('it is left out', ({ revisions }) => revisions[0]?.readyEndpoints === 1)
    }
    const answers = await client.during(death(), workers)
    expect(failures(answers).length).toBeLessThanOrEqual(workers)
    const model = await router.model()
    const [revision] = model.revisions
    expect((revision?.ejections ?? 0) + (revision?.retries ?? 0)).toBeGreaterThan(0)
  })

  test('that cannot be connected to any more are put aside, which is counted, and nobody loses a request to them', async () => {
    const [alive, dead] = [await router.startPod('fraud-a'), await router.startPod('fraud-a')]
    router.pods([alive, dead])
    await share(0)
    await healthy(2)
    const [before] = (await router.model()).revisions
    await dead.kill()
    // Those that met it first are asked again some milliseconds later.
    const aside = router.until('it is put aside', ({ revisions }) => {
      const { ejections, retries } = grown(before, revisions[0])
      return ejections > 0 && retries >= 2
    })
    expect(failures(await client.during(aside))).toEqual([])
    const found = grown(before, (await aside).revisions[0])
    expect(found.connectFailures).toBeGreaterThanOrEqual(2)
    expect(found.s5xx).toBe(0)
  })

  test('that say they are not ready before the kubelet has noticed get nothing; where all say so, all are asked', async () => {
    const [well, ill] = [await router.startPod('fraud-a'), await router.startPod('fraud-a')]
    router.pods([well, ill])
    await share(0)
    await healthy(2)
    const panics = (): Promise<number> => figure('lb_healthy_panic')
    const answers: Answer[] = []
    const asked = async (): Promise<readonly [number, number]> => {
      const [w, i] = [well.seen.length, ill.seen.length]
      answers.push(...(await client.many(40)))
      return [well.seen.length - w, ill.seen.length - i]
    }
    const both = ([w, i]: readonly [number, number]): boolean => w > 0 && i > 0
    // Whom Envoy's workers take for healthy follows what it says by up to a second.
    const before = await eventually('they are not asked for want of a healthy one', async () => {
      const count = await panics()
      return both(await asked()) && (await panics()) === count && { count }
    })
    ill.isHealthy = false
    await eventually('only the other is asked', async () => (await asked())[1] === 0)
    expect(await panics()).toBe(before.count)
    well.isHealthy = false
    await eventually('all are asked again', async () => both(await asked()) && (await panics()) > before.count)
    expect(failures(answers)).toEqual([])
  })

  test('have IPv6 addresses where the cluster has, and so have clients', async () => {
    const six = await router.startPod('fraud-a', { address: '::1' })
    router.pods([six])
    await share(0)
    const caller = openCaller(router.port)
    try {
      expect(failures(await client.many(20))).toEqual([])
      expect(await caller.infer()).toBe('fraud-a')
      expect(six.seen.length).toBeGreaterThanOrEqual(20)
      expect((await fetch(`http://[::1]:${router.port}/v2/models/fraud`)).status).toBe(200)
    } finally {
      caller.close()
    }
  })
})

/** By how much the figures of a revision have grown. */
const grown = (before: RevisionTraffic | undefined, now: RevisionTraffic | undefined) => {
  const by = (figure: (of: RevisionTraffic) => number): number =>
    (now === undefined ? 0 : figure(now)) - (before === undefined ? 0 : figure(before))
  return {
    ejections: by(({ ejections }) => ejections),
    retries: by(({ retries }) => retries),
    connectFailures: by(({ requests }) => requests.connectFailures),
    s5xx: by(({ requests }) => requests.s5xx),
  }
}

/** Until the pod has been sent a request. */
const heard = (pod: Pod): Promise<unknown> => router.until('the new pod answers users', () => pod.seen.length > 0)

/** Until nothing has come for a while: what was sent before the change is answered. */
const settled = async (pod: Pod): Promise<void> => {
  for (let last = -1; last !== pod.seen.length;) {
    last = pod.seen.length
    await client.many(20, 1)
  }
}
