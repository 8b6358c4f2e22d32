// Many settings, one after the other, under load: how long until every router has each, and that nobody is lost on the
// way or answered by a revision whose weight is 0.
import { large, type World } from './world.ts'
import type { Summary } from './client.ts'

export interface Changes {
  readonly ackMs: readonly number[]
  readonly summaries: readonly Summary[]
}

/** In a circle; at 0 and at 1000 one of the two revisions may not answer any more. */
const circle = [500, 0, 10, 1000, 200]

export const changeWeights = async (
  world: World,
  changes: number,
  report: (line: string) => void,
): Promise<Changes> => {
  // The rate leaves the machine room for the routers themselves.
  const loads = [
    await world.load({ rate: 150, workers: 16 }),
    await world.load({ protocol: 'h2c', rate: 50, workers: 16 }),
    await world.load({ keepAlive: false, rate: 20, workers: 16 }),
  ]
  const forbid = (revisions: readonly string[]): Promise<unknown> =>
    Promise.all(loads.map((load) => load.forbid(revisions)))
  const ackMs: number[] = []
  for (let change = 0; change < changes; change += 1) {
    const candidate = circle[change % circle.length] ?? 0
    ackMs.push(await world.apply({ candidate }))
    const silent = candidate === 0 ? [world.candidate] : candidate === 1000 ? [world.stable] : []
    if (silent.length > 0) {
      await forbid(silent)
      await new Promise((resolve) => setTimeout(resolve, 30))
      // What was sent under the ban has to end under it.
      await forbid([])
    }
    if ((change + 1) % 200 === 0) report(`${change + 1} of ${changes} changes`)
  }
  const summaries = await Promise.all(loads.map((load) => load.stop()))
  return { ackMs, summaries }
}

export interface Hop {
  readonly kind: 'small' | '602 KB'
  readonly workers: number
  /** Median of the way through a router less the median of the direct way, one a pair of runs. */
  readonly addedMs: readonly number[]
  /** CPU time of Envoy, one a run through it. */
  readonly cpuUs: readonly number[]
}

/** To a pod directly and to the same pods by way of one router, in turns. */
export const measureHop = async (world: World, pairs: number, requests: number): Promise<Hop[]> => {
  await world.apply({ candidate: 0 })
  const [router] = await world.routers()
  const [pod] = await world.podsOf(world.stable)
  if (router === undefined || pod === undefined) throw new Error('no router, or no pod of stable')
  const ticks = async (): Promise<number> => {
    const stat = await world.read(router.name, 'envoy', '/proc/1/stat')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // Fields 14 and 15 of /proc/PID/stat, in ticks of a hundredth of a second.
    return Number(fields[11]) + Number(fields[12])
  }
  const hops: Hop[] = []
  for (const kind of ['small', '602 KB'] as const) {
    for (const workers of [1, 16]) {
      const [addedMs, cpuUs]: [number[], number[]] = [[], []]
      const count = kind === 'small' ? requests : Math.round(requests / 5)
      const way = async (host: string, port: number): Promise<Summary> =>
        (await world.load({ ...(kind === 'small' ? {} : large()), host, port, workers, count })).done
      for (let pair = 0; pair < pairs; pair += 1) {
        const direct = await way(pod.address, 8080)
        const before = await ticks()
        const routed = await way(router.address, world.port)
        cpuUs.push((((await ticks()) - before) * 10_000) / count)
        for (const { failures } of [direct, routed])
          if (failures[0]) throw new Error(`the hop fails: ${failures[0].error}`)
        addedMs.push(routed.p50Ms - direct.p50Ms)
      }
      hops.push({ kind, workers, addedMs, cpuUs })
    }
  }
  return hops
}
