// A long life in short: changes without pause, faults half of the time, and what the operator holds on to: memory, sockets,
// timers, files. All of it must be flat.
import { setTimeout as sleep } from 'node:timers/promises'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import { change, followChildren } from '../../bench/operator/children.ts'
import { plainKubeconfig } from '../../bench/operator/measure.ts'
import { relativeSlope } from '../../bench/figures.ts'
import { slipway, start } from '../../bench/operator/subject.ts'
import { createWorld } from '../../bench/operator/world.ts'
import { startProxy } from '../proxy/proxy.ts'
import { randomEpisodes } from '../proxy/schedule.ts'

export interface SoakOptions {
  readonly seconds: number
  readonly models: number
  readonly perSecond: number
  /** Of the faults; printed by whoever starts this. */
  readonly seed: number
  readonly report: (line: string) => void
}

export interface Sample {
  /** Since the start of the churn, in seconds. */
  readonly at: number
  readonly rssMib: number
  /** A fault was played now or a moment ago: connections come and go with it. */
  readonly disturbed: boolean
  readonly resources: Readonly<Record<string, number>>
}

export interface Soaked {
  readonly changes: number
  readonly samples: readonly Sample[]
  /** How the operator ended before it was told to, if it did. */
  readonly ended: number | string | undefined
}

/** How long after the last fault connections may still be coming back. */
const settleMs = 10_000
/** One minute: faults in the first half of it, none in the second. */
const periodMs = 60_000
const sampleMs = 5000

/** Every change must have been done in the end, or this rejects. */
export const soak = async ({ seconds, models, perSecond, seed, report }: SoakOptions): Promise<Soaked> => {
  const world = await createWorld(models, report)
  const credentials = await loadCredentials({ kubeconfig: world.plane.kubeconfig })
  const proxy = await startProxy({ server: credentials.server, tls: (await credentials.current()).tls, seed })
  const subject = await start(await slipway(), {
    kubeconfig: await plainKubeconfig(world, proxy.server),
    namespace: world.namespace,
    resyncSeconds: 60,
    environment: { SLIPWAY_RELIST_INTERVAL: '20s' },
  })
  const children = await followChildren(world)
  const stop = new AbortController()
  try {
    await subject.leading()
    await subject.reconciled(models)
    const startedAt = performance.now()
    const elapsedMs = (): number => performance.now() - startedAt
    const samples: Sample[] = []
    /** When the last fault ended; in the future while one is played. */
    let calmFrom = 0
    const take = async (): Promise<void> => {
      const { rssMib } = subject.memory()
      const resources = await subject.resources()
      const disturbed = elapsedMs() < calmFrom + settleMs
      samples.push({ at: elapsedMs() / 1000, rssMib, disturbed, resources })
    }
    const sampling = (async () => {
      while (!stop.signal.aborted) {
        if (subject.ended() === undefined) await take()
        await pause(sampleMs, stop.signal)
      }
    })()
    const faulting = (async () => {
      for (let period = 0; !stop.signal.aborted; period += 1) {
        const episodes = randomEpisodes(seed + period, periodMs / 2)
        calmFrom = Infinity
        report(`faults: ${episodes.map(({ name }) => name).join(', ')}`)
        await Promise.all(
          episodes.map(async ({ atMs, forMs, rules, cuts }) => {
            await pause(atMs, stop.signal)
            const ends = rules.map((rule) => proxy.play(rule))
            if (cuts) proxy.cut()
            await pause(forMs, stop.signal)
            for (const end of ends) end()
          }),
        )
        calmFrom = elapsedMs()
        await pause(periodMs / 2, stop.signal)
      }
    })()
    /** The last change of each model. A new one waits for it: each is seen, and no more are under way than there are models. */
    const last = new Map<string, Promise<unknown>>()
    let changes = 0
    let dueMs = 0
    while (elapsedMs() < seconds * 1000 && subject.ended() === undefined) {
      await sleep(Math.max(0, dueMs - elapsedMs()))
      const name = world.names[(changes * 37) % world.names.length] ?? ''
      await last.get(name)?.catch((error: unknown) => {
        // That it ended says more than that a change was not done.
        if (subject.ended() === undefined) throw error
      })
      // What a fault held up is not caught up with: the rate is what it is.
      dueMs = Math.max(dueMs, elapsedMs()) + 1000 / perSecond
      changes += 1
      const done = change(world, children, name)
      last.set(name, done)
      // It is awaited later; until then a failure must not end the process.
      done.catch(() => {})
    }
    stop.abort()
    await faulting
    proxy.heal()
    if (subject.ended() === undefined) await Promise.all(last.values())
    await sampling
    // Without faults and changes for a moment: what is held now is held for ever.
    await sleep(5000)
    if (subject.ended() === undefined) await take()
    return { changes, samples, ended: subject.ended() }
  } finally {
    stop.abort()
    await subject.stop()
    await children.close()
    await proxy.close()
    await world.close()
  }
}

/** How fast memory grows after the first fifth, in percent an hour (decision 0281). */
export const slopePercentPerHour = (samples: readonly Sample[]): number => {
  const kept = samples.slice(Math.floor(samples.length / 5))
  return relativeSlope(kept.map(({ at, rssMib: value }) => ({ at, value }))) * 3600 * 100
}

const pause = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal }).catch(() => {})
