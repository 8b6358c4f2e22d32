// The measurements, each by itself: what is done to a process, and which samples come of it.
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import type { Fault } from '../../test/proxy/fault.ts'
import { startProxy, type Proxy } from '../../test/proxy/proxy.ts'
import { beyondLeases } from '../../test/proxy/schedule.ts'
import { change, type Children } from './children.ts'
import { start, type Program, type Subject } from './subject.ts'
import type { World } from './world.ts'

export interface ColdStart {
  readonly coldStartSeconds: number
  readonly reconciledSeconds: number
  readonly rssMib: number
  readonly peakMib: number
  /** User and system time until every key was reconciled. */
  readonly cpuSeconds: number
  /** Until every key was reconciled; of the peer 0. */
  readonly lagP99Ms: number
  readonly lagMaxMs: number
}

/** From nothing to every key reconciled, and what it then takes to do nothing. */
export const coldStart = async (program: Program, world: World, settleMs: number): Promise<ColdStart> => {
  const subject = await start(program, {
    kubeconfig: world.plane.kubeconfig,
    namespace: world.namespace,
    resyncSeconds: 600,
  })
  try {
    const synced = await subject.synced()
    await subject.leading()
    const reconciled = await subject.reconciled(world.names.length)
    const cpuSeconds = subject.cpuSeconds()
    const { p99Ms: lagP99Ms, maxMs: lagMaxMs } = (await subject.lag()) ?? { p99Ms: 0, maxMs: 0 }
    await sleep(settleMs)
    const { rssMib, peakMib } = subject.memory()
    return {
      coldStartSeconds: (synced - subject.startedAt) / 1000,
      reconciledSeconds: (reconciled - synced) / 1000,
      rssMib,
      peakMib,
      cpuSeconds,
      lagP99Ms,
      lagMaxMs,
    }
  } finally {
    await subject.stop()
  }
}

/** Resyncs with nothing to do: what a reconcile costs, and what is written. */
export const resyncs = async (
  program: Program,
  world: World,
  count: number,
): Promise<{ readonly cpuMicros: number; readonly writes: number }> => {
  const { kubeconfig, auditLog } = world.plane
  const subject = await start(program, { kubeconfig, namespace: world.namespace, resyncSeconds: 4 })
  try {
    await subject.leading()
    const models = world.names.length
    await subject.reconciled(2 * models, 1000)
    const total = (): Promise<number> => subject.metric('controller_runtime_reconcile_total')
    const [before, cpuBefore, writesBefore] = [await total(), subject.cpuSeconds(), await writesIn(auditLog, program)]
    await subject.reconciled(before + count * models, 1000)
    const done = (await total()) - before
    return {
      cpuMicros: ((subject.cpuSeconds() - cpuBefore) / done) * 1e6,
      writes: (await writesIn(auditLog, program)) - writesBefore,
    }
  } finally {
    await subject.stop()
  }
}

/** Writes of a program that are in the API server's audit log: all but its lease's and its Events. */
export const writesIn = async (auditLog: string, { userAgent }: Program): Promise<number> => {
  let writes = 0
  for (const line of (await readFile(auditLog, 'utf8')).split('\n')) {
    if (!line.includes(`"userAgent":"${userAgent}`) || line.includes('dryRun=All')) continue
    const { verb, objectRef } = JSON.parse(line) as { verb: string; objectRef?: { resource?: string } }
    if (['get', 'list', 'watch'].includes(verb)) continue
    if (objectRef?.resource !== 'leases' && objectRef?.resource !== 'events') writes += 1
  }
  return writes
}

/** So many changes a second for a while, each of another model. @returns the milliseconds of each */
export const churn = async (
  world: World,
  children: Children,
  perSecond: number,
  seconds: number,
): Promise<number[]> => {
  const startedAt = performance.now()
  const pending: Promise<number>[] = []
  for (let n = 0; n < perSecond * seconds; n += 1) {
    await sleep(Math.max(0, startedAt + (n * 1000) / perSecond - performance.now()))
    pending.push(change(world, children, world.names[(n * 37) % world.names.length] ?? ''))
  }
  return Promise.all(pending)
}

/** Changes by users from the moment that a restarted operator leads, while it still looks at everything once. */
export const changesDuringRestart = async (program: Program, world: World, children: Children): Promise<number[]> => {
  const subject = await start(program, {
    kubeconfig: world.plane.kubeconfig,
    namespace: world.namespace,
    resyncSeconds: 600,
  })
  try {
    await subject.leading()
    const took = await churn(world, children, 20, 3)
    await subject.reconciled(world.names.length)
    return took
  } finally {
    await subject.stop()
  }
}

/** From the end of a leader until the one that stood by leads, in seconds. */
export const failover = async (program: Program, world: World, signal: 'SIGTERM' | 'SIGKILL'): Promise<number> => {
  const options = { kubeconfig: world.plane.kubeconfig, namespace: world.namespace, resyncSeconds: 600 }
  const running: Subject[] = []
  try {
    const leader = await start(program, { ...options, identity: 'slipway-a' })
    running.push(leader)
    await leader.leading()
    const standby = await start(program, { ...options, identity: 'slipway-b' })
    running.push(standby)
    await standby.synced()
    // It has asked for the lease and waits.
    await sleep(3000)
    const endedAt = performance.now()
    await Promise.all([leader.stop(signal), standby.leading()])
    return ((await standby.leading()) - endedAt) / 1000
  } finally {
    await Promise.all(running.map((subject) => subject.stop('SIGKILL')))
  }
}

const outages: Readonly<Record<string, readonly Fault[]>> = {
  '429': [{ fault: 'status', code: 429, retryAfterSeconds: 1 }],
  '500': [{ fault: 'status', code: 500 }],
  'half-open': [{ fault: 'halfOpen' }, { fault: 'silence' }],
}

/**
 * The API server is away in one of three ways; the lease is let through, because a leader without one ends by design.
 * @returns seconds from when it is back until a change of that moment is done, for each way
 */
export const faultRecovery = async (
  program: Program,
  world: World,
  children: Children,
  seconds: number,
  report: (line: string) => void,
): Promise<Readonly<Record<string, number>>> => {
  const credentials = await loadCredentials({ kubeconfig: world.plane.kubeconfig })
  const recovered: Record<string, number> = {}
  for (const [name, faults] of Object.entries(outages)) {
    const proxy: Proxy = await startProxy({ server: credentials.server, tls: (await credentials.current()).tls })
    const kubeconfig = await plainKubeconfig(world, proxy.server)
    const subject = await start(program, { kubeconfig, namespace: world.namespace, resyncSeconds: 600 })
    try {
      await subject.leading()
      await subject.reconciled(world.names.length)
      for (const fault of faults) proxy.play({ fault, when: beyondLeases })
      proxy.cut()
      await sleep(seconds * 1000)
      proxy.heal()
      recovered[name] = (await change(world, children, world.names[0] ?? '')) / 1000
      report(`${name}: ${recovered[name]?.toFixed(1)} s`)
    } catch (error) {
      const state = subject.ended() === undefined ? 'runs' : `ended with ${subject.ended()}`
      throw new Error(`after ${seconds} s of ${name} the operator ${state} and said last:\n${subject.lastWords()}`, {
        cause: error,
      })
    } finally {
      await subject.stop()
      await proxy.close()
    }
  }
  return recovered
}

/** A kubeconfig for the proxy, which goes on as the administrator. */
export const plainKubeconfig = async ({ plane }: World, server: string): Promise<string> => {
  const file = `${plane.dir}/proxy.kubeconfig`
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'proxy',
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'nobody' } }],
    // The reader of kubeconfigs takes no plain HTTP otherwise.
    clusters: [{ name: 'proxy', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'nobody', user: {} }],
  }
  await writeFile(file, JSON.stringify(config))
  return file
}
