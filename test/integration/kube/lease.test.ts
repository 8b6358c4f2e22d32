// Leader election on a real API server: one leader at a time, a quick handover, and no write by a leader that was not
// there when its lease ran out.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { FencedError } from '../../../operator/kube/errors.ts'
import { LeaderLease, microTime } from '../../../operator/kube/lease.ts'
import { configmaps, leases } from '../../../operator/kube/resources.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { startProxy } from '../../proxy/proxy.ts'
import { configMap, connect, createNamespace, credentials, leaseTimes, until, type Connected } from './server.ts'

let server: Connected
let namespace: string
const endings: (() => unknown)[] = []

beforeAll(async () => {
  server = await connect()
})

beforeEach(async () => {
  namespace = await createNamespace(server.client)
})

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})

/** A client of one's own whose calls pass a proxy, which can play faults. Both end with the test. */
const behindProxy = async () => {
  const known = await credentials()
  const proxy = await startProxy({ server: known.server, tls: (await known.current()).tls })
  endings.push(() => proxy.close())
  const own = await connect(proxy.server)
  endings.push(() => own.close())
  return { proxy, own }
}

afterAll(() => server.close())

interface Candidate extends Connected {
  readonly lease: LeaderLease
}

const candidate = async (identity: string): Promise<Candidate> => {
  const own = await connect()
  const { client, registry } = own
  const lease = new LeaderLease({ client, registry, namespace, name: 'leader', identity, log: silent, ...leaseTimes })
  endings.push(async () => {
    await lease.release()
    await own.close()
  })
  return { ...own, lease }
}

const never = new AbortController().signal
const holder = async (): Promise<string | undefined> =>
  (await server.client.get(leases, namespace, 'leader')).spec?.holderIdentity

/** What the metrics of leader election say: whether it leads, and how often it came and went. */
const told = async ({ registry }: Connected): Promise<Record<string, number>> => {
  const values = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values ?? []
  const transitions = await values('leader_election_transitions_total')
  return {
    leads: (await values('leader_election_master_status'))[0]?.value ?? -1,
    ...Object.fromEntries(transitions.map(({ labels, value }) => [labels['to'], value])),
  }
}

const write = ({ client }: Connected) => client.apply(configmaps, configMap(namespace, 'written'))

test('the second candidate waits, may not write, and takes over at once when the first one releases', async () => {
  const [a, b] = [await candidate('a'), await candidate('b')]
  await a.lease.acquire(never)
  expect(await holder()).toBe('a')
  await write(a)

  const taking = b.lease.acquire(never)
  const first = await Promise.race([
    taking,
    until('a has renewed twice', async () => {
      const spec = (await server.client.get(leases, namespace, 'leader')).spec
      return (
        spec !== undefined && Date.parse(spec.renewTime ?? '') - Date.parse(spec.acquireTime ?? '') > 400 && 'renewed'
      )
    }),
  ])
  expect(first).toBe('renewed')
  await expect(write(b)).rejects.toThrow(FencedError)
  await expect(write(b)).rejects.toThrow('another process holds the lease')

  await a.lease.release()
  await expect(write(a)).rejects.toThrow(FencedError)
  await taking
  expect(await holder()).toBe('b')
  await write(b)
  expect((await server.client.get(leases, namespace, 'leader')).spec?.leaseTransitions).toBe(1)
}, 180_000)

test('a restarted container of the same pod takes its own lease over without waiting', async () => {
  const a = await candidate('pod-1')
  await a.lease.acquire(never)
  const before = await server.client.get(leases, namespace, 'leader')
  const again = await candidate('pod-1')
  const tries = await again.sent('GET')
  await again.lease.acquire(never)
  // The first look already took it.
  expect((await again.sent('GET')) - tries).toBe(1)
  const after = await server.client.get(leases, namespace, 'leader')
  expect(after.spec?.acquireTime).toBe(before.spec?.acquireTime)
}, 180_000)

test('a leader that died without a word is succeeded when its lease is over, and not before', async () => {
  const now = microTime(new Date())
  const spec = {
    holderIdentity: 'dead',
    leaseDurationSeconds: 2,
    acquireTime: now,
    renewTime: now,
    leaseTransitions: 6,
  }
  const metadata = { name: 'leader', namespace }
  await server.client.create(leases, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec })
  const b = await candidate('b')
  const startedAt = performance.now()
  await b.lease.acquire(never)
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(2000)
  expect(await server.client.get(leases, namespace, 'leader')).toMatchObject({
    spec: { holderIdentity: 'b', leaseTransitions: 7 },
  })
}, 180_000)

test('a leader whose lease someone else took knows it at its next renewal and writes no more', async () => {
  const a = await candidate('a')
  expect(await told(a)).toEqual({ leads: 0, leader: 0, none: 0 })
  await a.lease.acquire(never)
  expect(await told(a)).toEqual({ leads: 1, leader: 1, none: 0 })
  await server.client.mergePatch(leases, namespace, 'leader', { spec: { holderIdentity: 'thief' } })
  await until('a knows', () => a.lease.lost.aborted)
  expect(await told(a)).toEqual({ leads: 0, leader: 1, none: 1 })
  await expect(write(a)).rejects.toThrow('the lease was lost')
  expect(await holder()).toBe('thief')
}, 180_000)

test('a leader whose lease somebody deleted makes it anew and goes on leading; one that is too late for that does not', async () => {
  const a = await candidate('a')
  await a.lease.acquire(never)
  await server.client.delete(leases, namespace, 'leader')
  await until('the lease is there again', async () => {
    const lease = await server.client.find(leases, namespace, 'leader')
    return lease?.spec?.holderIdentity === 'a'
  })
  expect(a.lease.leading).toBe(true)
  await write(a)

  await server.client.delete(leases, namespace, 'leader')
  const b = await candidate('b')
  await b.lease.acquire(never)
  // Whoever made it first has it: one of the two, and the other knows.
  await until('one of them leads', () => a.lease.lost.aborted || !b.lease.leading)
  expect(await holder()).toBe(a.lease.lost.aborted ? 'b' : 'a')
}, 180_000)

test('a renewal that fails late is tried again while there is time', async () => {
  const { proxy, own } = await behindProxy()
  // After a renewal that fails at 3 s, another whole period would end beyond the deadline.
  const times = { leaseDurationMs: 8000, renewDeadlineMs: 5000, retryPeriodMs: 3000 }
  const lease = new LeaderLease({ client: own.client, namespace, name: 'leader', identity: 'a', log: silent, ...times })
  endings.push(() => lease.release())
  await lease.acquire(never)
  proxy.play({ fault: { fault: 'status', code: 503 }, when: ({ verb }) => verb === 'update', times: 1 })
  const renewed = (): boolean =>
    proxy.requests.filter(({ asked, code }) => asked.verb === 'update' && code === 200).length > 0
  await until('it was renewed, or lost', () => renewed() || lease.lost.aborted)
  expect(lease.leading).toBe(true)
}, 40_000)

test('calls that hang, however many, do not keep the lease from being renewed', async () => {
  const { proxy, own } = await behindProxy()
  const { client } = own
  const lease = new LeaderLease({ client, namespace, name: 'leader', identity: 'a', log: silent, ...leaseTimes })
  endings.push(() => lease.release())
  await lease.acquire(never)
  // A webhook of somebody else that does not answer: reads are fine, and every worker waits for its write.
  proxy.play({ fault: { fault: 'halfOpen' }, when: ({ verb }) => verb === 'patch' })
  const stop = new AbortController()
  const workers = 40
  const hanging = Array.from({ length: workers }, (_, n) =>
    client.apply(configmaps, configMap(namespace, `worker-${n}`), { signal: stop.signal }).catch(() => 'ended'),
  )
  endings.push(async () => {
    stop.abort()
    await Promise.all(hanging)
  })
  await until('some of them hang', () => proxy.begun('halfOpen') > 0)
  const renewals = (): number => proxy.requests.filter(({ asked }) => asked.verb === 'update').length
  const before = renewals()
  await until('it was renewed ten times, or lost', () => renewals() >= before + 10 || lease.lost.aborted)
  expect(lease.leading).toBe(true)
}, 180_000)

test('a release does not wait for a renewal that is not answered, and takes a late one into account', async () => {
  const { proxy, own } = await behindProxy()
  const lease = new LeaderLease({
    client: own.client,
    namespace,
    name: 'leader',
    identity: 'a',
    log: silent,
    ...leaseTimes,
    // A renewal may take half of this, and its answer never comes.
    leaseDurationMs: 120_000,
    renewDeadlineMs: 100_000,
  })
  await lease.acquire(never)
  const renewed = Promise.withResolvers<void>()
  proxy.play({ fault: { fault: 'loseAnswer' }, times: 1, onPlayed: () => renewed.resolve() })
  await renewed.promise
  await lease.release()
  expect(await holder()).toBe('')
}, 40_000)

test('a candidate that is told to stop in the moment in which it takes the lease gives it back', async () => {
  const { proxy, own } = await behindProxy()
  const lease = new LeaderLease({
    client: own.client,
    namespace,
    name: 'leader',
    identity: 'a',
    log: silent,
    // Its try may take half of this; nobody who waits for the lease has it sooner than after its duration.
    leaseDurationMs: 120_000,
    renewDeadlineMs: 100_000,
  })
  proxy.play({ fault: { fault: 'loseAnswer' }, when: ({ verb }) => verb === 'create', times: 1 })
  const stop = new AbortController()
  const taking = lease.acquire(stop.signal)
  await until('the server has done it', async () => {
    const made = await server.client.find(leases, namespace, 'leader')
    return made?.spec?.holderIdentity === 'a'
  })
  stop.abort(new Error('got SIGTERM'))
  await expect(taking).rejects.toThrow('got SIGTERM')
  expect(lease.leading).toBe(false)
  await lease.release()
  expect(await holder()).toBe('')
}, 180_000)

test('a leader whose event loop stood still refuses the very next write by the clock, before any timer has told it', async () => {
  const a = await candidate('a')
  await a.lease.acquire(never)
  await write(a)
  const end = performance.now() + leaseTimes.renewDeadlineMs + 100
  while (performance.now() < end);
  await expect(write(a)).rejects.toThrow(
    /^patch configmaps written was not sent: the lease was last renewed \d+ ms ago$/,
  )
}, 180_000)

test('a leader that was frozen past its lease sends no write when it wakes, and exits non-zero', async () => {
  const frozen = await startCandidate('frozen')
  await until('it writes', () => frozen.lines.includes('wrote'))
  frozen.process.kill('SIGSTOP')

  const b = await candidate('b')
  await b.lease.acquire(never)
  const taken = await write(b)
  const saidBefore = frozen.lines.length
  frozen.process.kill('SIGCONT')

  const [code] = (await once(frozen.process, 'exit')) as [number | null]
  expect(code).toBe(1)
  const said = frozen.lines.slice(saidBefore)
  expect(said).toContain('lost')
  // The answer of a write from before the freeze may come after it; everything sent since was refused.
  expect(said.filter((line) => line === 'wrote').length).toBeLessThanOrEqual(1)
  expect(said.some((line) => line.startsWith('FencedError'))).toBe(true)
  const after = await server.client.get(configmaps, namespace, 'written')
  expect(after.metadata.resourceVersion).toBe(taken.metadata.resourceVersion)
}, 180_000)

const startCandidate = async (identity: string): Promise<{ process: ChildProcess; lines: string[] }> => {
  const program = new URL('candidate.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [program, namespace, identity], { stdio: ['ignore', 'pipe', 'inherit'] })
  endings.push(() => child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(line))
  await until('it leads', () => lines.includes('leading'))
  return { process: child, lines }
}
