// What clients lose when something goes: pods and routers, in order and by force, with nobody there to help.
import { setTimeout as sleep } from 'node:timers/promises'
import { killPod } from '../../test/kit/kill.ts'
import type { Failure, RunningLoad, Summary } from './client.ts'
import type { World } from './world.ts'

export interface Loss {
  readonly sent: number
  readonly failed: number
  /** Failures that are not of requests under way when something was killed. */
  readonly beyond: number
  readonly failures: readonly Failure[]
}

/** Clients that keep their connections and clients that make one for each request, of both protocols of HTTP. */
const clients = async (world: World): Promise<readonly RunningLoad[]> => [
  await world.load({ rate: 100, workers: 16 }),
  await world.load({ protocol: 'h2c', rate: 50, workers: 16 }),
  await world.load({ keepAlive: false, rate: 30, workers: 16 }),
]

type Killing = Awaited<ReturnType<typeof killPod>>

/** @param deed returns when it has killed something; undefined where nothing is killed */
const under = async (
  world: World,
  load: (world: World) => Promise<readonly RunningLoad[]>,
  deed: () => Promise<Killing | undefined>,
): Promise<Loss> => {
  await world.whole()
  const running = await load(world)
  await sleep(1000)
  const killing = await deed()
  await sleep(1000)
  return lossOf(await Promise.all(running.map((one) => one.stop())), killing)
}

const lossOf = (summaries: readonly Summary[], killing: Killing | undefined): Loss => {
  const failures = summaries.flatMap((summary) => summary.failures)
  const sum = (figure: (summary: Summary) => number): number => summaries.reduce((total, one) => total + figure(one), 0)
  const inFlight = failures.filter(
    ({ sentAt, at }) => killing !== undefined && sentAt <= killing.until && at >= killing.from,
  )
  return {
    sent: sum((s) => s.sent),
    failed: sum((s) => s.failed),
    beyond: sum((s) => s.failed) - inFlight.length,
    failures,
  }
}

/** Stable is scaled from 4 to 1, and then a pod of it is deleted while another comes. */
export const scaleDown = async (world: World): Promise<Loss> => {
  const { shell, namespace, stable, replicas } = world
  const scale = (count: number): Promise<string> =>
    shell.kubectl(['scale', '-n', namespace, `deployment/${stable}`, `--replicas=${count}`])
  await world.apply({ candidate: 200 })
  await scale(4)
  const loss = await under(world, clients, async () => {
    await scale(1)
    await world.until('one is left', async () => (await world.podsOf(stable)).length === 1)
    await scale(2)
    await world.whole()
    const [pod] = await world.podsOf(stable)
    await shell.kubectl(['delete', 'pod', pod?.name ?? '', '-n', namespace, '--wait', '--timeout=120s'])
    await world.whole()
    return undefined
  })
  await scale(replicas)
  return loss
}

export const podKill = (world: World): Promise<Loss> =>
  under(world, clients, async () => {
    const [pod] = await world.podsOf(world.stable)
    const killedAt = await killPod(world.cluster, world.namespace, pod?.name ?? '')
    await sleep(5000)
    await world.whole()
    return killedAt
  })

export const routerDelete = (world: World): Promise<Loss> =>
  under(world, clients, async () => {
    const [router] = await world.routers()
    await world.shell.kubectl(['delete', 'pod', router?.name ?? '', '-n', world.namespace, '--wait', '--timeout=120s'])
    await world.whole()
    return undefined
  })

export const routerKill = (world: World): Promise<Loss> =>
  under(world, clients, async () => {
    const [router] = await world.routers()
    const killedAt = await killPod(world.cluster, world.namespace, router?.name ?? '')
    await sleep(5000)
    await world.whole()
    return killedAt
  })

/** Pods are deleted one after the other for so long, and nobody but Kubernetes and the agents does anything. */
export const operatorDown = async (world: World, seconds: number): Promise<Loss> => {
  const { shell, namespace, stable, candidate } = world
  await world.apply({ candidate: 200 })
  return under(world, clients, async () => {
    for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
      for (const revision of [stable, candidate]) {
        const [pod] = await world.podsOf(revision)
        await shell.kubectl(['delete', 'pod', pod?.name ?? '', '-n', namespace, '--wait', '--timeout=120s'])
        await shell.kubectl(['rollout', 'status', '-n', namespace, `deployment/${revision}`, '--timeout=120s'])
      }
    }
    return undefined
  })
}
