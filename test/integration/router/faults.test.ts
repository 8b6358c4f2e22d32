import { createServer } from 'node:net'
import { once } from 'node:events'
import { rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { silent } from '../../../operator/telemetry/log.ts'
import { drain } from '../../../router/drain.ts'
import { EnvoyAdmin } from '../../../router/envoy/admin.ts'
import { eventually } from '../operator/eventually.ts'
import { openFraud } from './fraud.ts'
import { countOf, failures, openClient } from './load.ts'
import type { Traffic } from './objects.ts'
import { freePort } from './stage.ts'

const { router, client, stable, canary, epoch, traffic } = await openFraud()

const ready = (): Promise<unknown> =>
  eventually(
    'the router is ready',
    async () => (await router.agent().notReady()) === undefined,
    () => router.agent().notReady(),
  )

describe('a status that is older than what is applied', () => {
  test('changes nothing, and the router says so until a newer one comes', async () => {
    await router.apply(traffic(0))
    router.ask({ ...traffic(1000), port: router.port, epoch: epoch() - 2 })
    const model = await router.until('it is refused', ({ problem }) => problem !== undefined)
    expect(model.problem).toBe(
      `status.traffic.epoch is ${epoch() - 2}, lower than ${epoch() - 1}, which is applied; an epoch only rises`,
    )
    expect([model.appliedEpoch, model.wantedEpoch]).toEqual([epoch() - 1, epoch() - 2])
    expect(countOf(await client.many(50), 'fraud-a')).toBe(50)
    expect((await router.apply(traffic(1000))).problem).toBeUndefined()
    expect(countOf(await client.many(50), 'fraud-b')).toBe(50)
  })

  test('is refused by an agent that was started again, too', async () => {
    await router.apply(traffic(0))
    await router.restartAgent(false)
    router.ask({ ...traffic(1000), port: router.port, epoch: 1 })
    await router.restartAgent(true)
    await router.until('it is refused', ({ problem }) => problem?.includes('lower than') === true)
    expect(countOf(await client.many(50), 'fraud-a')).toBe(50)
  })

  test('is none where the object was made again under its name', async () => {
    await router.apply(traffic(0))
    router.ask({ ...traffic(1000), port: router.port, epoch: 1, uid: 'another-uid' })
    await router.until('it is applied', ({ appliedEpoch, uid }) => appliedEpoch === 1 && uid === 'another-uid')
    expect(countOf(await client.many(50), 'fraud-b')).toBe(50)
    router.ask({ ...traffic(0), port: router.port })
    await router.until('the old one is back', ({ appliedEpoch }) => appliedEpoch === epoch())
  })
})

describe('a status that makes no sense', () => {
  test.each<[string, Partial<Traffic>, string]>([
    ['weights', { weights: { 'fraud-a': 900 } }, 'status.traffic.weights add up to 900'],
    ['a port', { port: 9902 }, 'status.traffic.port is 9902'],
    ['a name', { weights: { '../fraud': 1000 } }, 'status names a revision "../fraud"'],
    ['a mirror', { mirror: { revision: 'fraud-a', perMille: 10 } }, 'copies the requests of fraud-a to itself'],
  ])('in its %s is refused with what was found, and what was applied goes on', async (_, wrong, problem) => {
    await router.apply(traffic(0))
    router.ask({ port: router.port, ...traffic(1000), ...wrong })
    const model = await router.until('it is refused', (m) => m.problem !== undefined)
    expect(model.problem).toContain(problem)
    expect(model.appliedEpoch).toBe(epoch() - 1)
    expect(countOf(await client.many(20), 'fraud-a')).toBe(20)
    expect(await router.agent().notReady()).toBeUndefined()
  })

  test('nobody may answer: the router says so instead of refusing the connection', async () => {
    const model = await router.apply(traffic(0, { weights: {} }))
    expect(model.problem).toBeUndefined()
    const { status, body } = await client.ask()
    expect([status, JSON.parse(body)]).toEqual([503, { error: 'no revision of fraud is ready to answer' }])
  })
})

describe('a configuration that Envoy refuses', () => {
  test('leaves the last good routes, says why, and the next good one is applied', async () => {
    await router.apply(traffic(0))
    router.ask({ ...traffic(1000, { versions: { 'fraud-b': 'v?8' } }), port: router.port })
    const model = await router.until('it is refused', ({ problem }) => problem !== undefined)
    expect(model.problem).toContain('Envoy refused routes fraud')
    expect(model.problem).toContain('PathSeparatedPrefix: value does not match')
    expect(model.appliedEpoch).toBe(epoch() - 1)
    expect(countOf(await client.many(50), 'fraud-a')).toBe(50)
    expect(await router.agent().notReady()).toBeUndefined()
    // An Envoy that is started again has to find the good ones.
    await router.restartEnvoy('SIGKILL')
    await ready()
    expect(countOf(await client.many(50), 'fraud-a')).toBe(50)
    expect((await router.apply(traffic(1000))).problem).toBeUndefined()
  })

  test('of one object does not hold up the others', async () => {
    const [taken, free] = [await freePort(), await freePort()]
    const foreign = createServer().listen(taken, '::')
    await once(foreign, 'listening')
    try {
      const ours = traffic(1000)
      const more = { weights: { 'fraud-a': 1000 }, stable: 'fraud-a', epoch: 1 }
      router.ask(
        { ...ours, port: router.port },
        { ...more, name: 'blocked', port: taken },
        { ...more, name: 'zebra', port: free },
      )
      await router.until('ours is applied', ({ appliedEpoch }) => appliedEpoch === epoch())
      await router.until('the other new one is applied', ({ appliedEpoch }) => appliedEpoch === 1, 'zebra')
      const blocked = await router.until('it is said', ({ problem }) => problem !== undefined, 'blocked')
      expect(blocked.problem).toMatch(/Envoy refused listener blocked: .*(in use|bind)/)
      const other = openClient(free)
      expect(failures(await other.many(10))).toEqual([])
      await other.close()
      expect(failures(await client.many(10))).toEqual([])
      expect(await router.agent().notReady()).toBeUndefined()
    } finally {
      foreign.close()
    }
  })

  test('two objects with one port: the one that has it keeps it', async () => {
    await router.apply(traffic(0))
    const other = { weights: { 'fraud-b': 1000 }, stable: 'fraud-b', epoch: 1, name: 'a-thief', port: router.port }
    router.ask(other, { ...traffic(0), port: router.port })
    const thief = await router.until('it is said', ({ problem }) => problem !== undefined, 'a-thief')
    expect(thief.problem).toBe(`status.traffic.port ${router.port} is fraud's on this router`)
    expect(countOf(await client.many(20), 'fraud-a')).toBe(20)
  })
})

describe('a disk that is full', () => {
  test('holds up nothing, is said, and is written to as soon as it takes writes again', async () => {
    await router.apply(traffic(0))
    // Whatever is written through this link meets the error of a full disk.
    const beside = join(router.folder, 'applied.json.new')
    const full = setInterval(() => void symlink('/dev/full', beside).catch(() => {}), 1)
    router.ask({ ...traffic(1000), port: router.port })
    await router.until('it is applied', ({ appliedEpoch }) => appliedEpoch === epoch())
    expect(countOf(await client.many(20), 'fraud-b')).toBe(20)
    await eventually('it is said', async () => (await router.state()).problem?.includes('ENOSPC'))
    expect(await router.agent().notReady()).toBeUndefined()
    clearInterval(full)
    await rm(beside, { force: true })
    await eventually('nothing is wrong any more', async () => (await router.state()).problem === undefined)
  })
})

describe('a process of the router that ends', () => {
  test('Envoy: it comes back with the same shares, another boot id, and counters from zero', async () => {
    await router.apply(traffic(300))
    await client.many(20)
    const before = await router.state()
    await router.restartEnvoy('SIGKILL')
    await ready()
    expect(failures(await client.many(100))).toEqual([])
    const after = await router.until('it is applied again', ({ appliedEpoch }) => appliedEpoch === epoch())
    expect((await router.state()).bootId).not.toBe(before.bootId)
    expect(after.revisions.map(({ weight }) => weight)).toEqual([700, 300])
    expect((await router.apply(traffic(0))).appliedEpoch).toBe(epoch())
  })

  test('the agent, while the API server is away: users, shares, figures and readiness stay', async () => {
    await router.apply(traffic(300))
    const answers = await client.during(router.restartAgent(false))
    expect(failures(answers)).toEqual([])
    await ready()
    const { models, problem } = await router.state()
    expect(models.map(({ name, appliedEpoch, wantedEpoch }) => [name, appliedEpoch, wantedEpoch])).toEqual([
      ['fraud', epoch(), epoch()],
    ])
    expect(models[0]?.revisions.map(({ weight }) => weight)).toEqual([700, 300])
    expect(problem).toContain('the API server has not been heard yet')
    await router.restartAgent(true)
    expect((await router.apply(traffic(0))).problem).toBeUndefined()
  })

  test('both, in the middle of many changes: what was asked last is what is served', async () => {
    for (let i = 0; i < 5; i += 1) {
      router.ask({ ...traffic(500), port: router.port })
      router.pods([stable, [canary, i % 2 === 0 ? 'unready' : 'ready']])
      await (i % 2 === 0 ? router.restartAgent(true) : router.restartEnvoy('SIGKILL'))
    }
    router.pods([stable, canary])
    await router.apply(traffic(0))
    expect(countOf(await client.many(50), 'fraud-a')).toBe(50)
  })
})

describe('a model that goes', () => {
  test('takes its listener, its clusters and its files with it, and no request of another', async () => {
    const port = await freePort()
    const other = { name: 'other', port, weights: { 'fraud-b': 1000 }, stable: 'fraud-b', epoch: 1 }
    const ours = { ...traffic(0), port: router.port }
    router.ask(ours, other)
    await router.until('it is served', ({ appliedEpoch }) => appliedEpoch === 1, 'other')
    const guest = openClient(port)
    expect(failures(await guest.many(10))).toEqual([])
    await guest.close()
    const leaving = async (): Promise<void> => {
      router.ask(ours)
      await eventually('its port is closed', async () => {
        const late = openClient(port)
        const { status } = await late.ask()
        await late.close()
        return status === 0
      })
    }
    expect(failures(await client.during(leaving(), 4))).toEqual([])
    expect((await router.state()).models.map(({ name }) => name)).toEqual(['fraud'])
  })
})

describe('a router that goes', () => {
  test('first serves on as ever, then sends its clients away, and loses no request of theirs', async () => {
    await router.apply(traffic(0))
    const admin = new EnvoyAdmin(router.folder)
    const asked = openClient(router.port)
    try {
      router.agent().draining = true
      expect(await router.agent().notReady()).toBe('draining')
      const going = drain(admin, { delayMs: 300, timeoutMs: 20_000 }, silent)
      // Clients that leave half a second after they are told.
      const answers = await asked.during(sleep(800), 8)
      await Promise.all([asked.close(), client.close()])
      await going
      expect(await admin.connections()).toBe(0)
      expect(answers.length).toBeGreaterThan(50)
      expect(failures(answers)).toEqual([])
    } finally {
      router.agent().draining = false
      await admin.close()
    }
  })

  test('does not wait for ever for a client that stays', async () => {
    await router.restartEnvoy('SIGTERM')
    await ready()
    const admin = new EnvoyAdmin(router.folder)
    const stays = openClient(router.port)
    await stays.ask()
    await drain(admin, { delayMs: 0, timeoutMs: 500 }, silent)
    expect(await admin.connections()).toBeGreaterThan(0)
    await Promise.all([stays.close(), admin.close()])
  })
})
